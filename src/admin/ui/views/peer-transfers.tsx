/** The fetches of this peer: progress, rate, sources and chunks. */

import { formatRate, formatSize } from "../../../core/human.ts";
import type { FetchProgress, SourceShare } from "../../types.ts";
import { answerOf, peerApi } from "../api.ts";
import { countOf } from "../chunk-set.ts";
import { formatAge, plural } from "../format.ts";
import { useAction } from "../hooks.ts";
import { Bar, Card, Empty, Loading, Name, plainName } from "../parts/basics.tsx";
import { ChunkPicture } from "../parts/chunk-map.tsx";
import { Confirm } from "../parts/dialog.tsx";
import { Icon } from "../parts/icons.tsx";
import { type FetchView, fetches, fetchesLoaded, loadDetail } from "../peer-state.ts";
import { useStore } from "../store.ts";
import { useEffect, useState } from "../view-state.ts";
import { FetchDialog } from "./fetch-dialog.tsx";

const SOURCES_SHOWN_MAX = 8;
const STATE_LABELS: Readonly<Record<FetchProgress["state"], string>> = {
  running: "Fetching",
  done: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
  stopped: "Stopped",
};

export function PeerTransfers() {
  const all = useStore(fetches);
  const isLoaded = useStore(fetchesLoaded);
  const [isAsking, setAsking] = useState(false);
  const latest = withoutEarlierTries([...all.values()]);
  const running = latest.filter(({ progress }) => progress.state === "running");
  const ended = latest.filter(({ progress }) => progress.state !== "running").toReversed();
  return (
    <div class="view-body">
      <div class="view-tools">
        <button type="button" class="btn btn-primary" onClick={() => setAsking(true)}>
          <Icon name="down" /> Fetch by name or ticket
        </button>
      </div>
      {!isLoaded && <Loading lines={5} />}
      {isLoaded && latest.length === 0 && (
        <Card flush>
          <Empty icon="down" title="Nothing has been fetched yet">
            <a href="#/files">Choose a file</a>, or paste a ticket that somebody gave you.
          </Empty>
        </Card>
      )}
      {running.map((view) => (
        <FetchCard key={view.progress.id} view={view} />
      ))}
      {ended.length > 0 && (
        <Card title="Ended" flush>
          <ul class="plain">
            {ended.map((view) => (
              <EndedLine key={view.progress.id} view={view} />
            ))}
          </ul>
        </Card>
      )}
      {isAsking && <FetchDialog onClose={() => setAsking(false)} />}
    </div>
  );
}

/** Of several fetches to one destination only the last. */
function withoutEarlierTries(all: readonly FetchView[]): FetchView[] {
  const last = new Map<string, FetchView>();
  for (const view of all.toSorted((a, b) => Number(a.progress.id) - Number(b.progress.id))) {
    last.delete(view.progress.destination);
    last.set(view.progress.destination, view);
  }
  return [...last.values()];
}

/** Name, progress bar and figures of a running fetch. */
export function FetchLine({ view: { progress } }: { view: FetchView }) {
  const { fname, bytes, size, bytes_per_second: rate, sources } = progress;
  const part = size === 0 ? 1 : bytes / size;
  const leftMs = rate > 0 ? ((size - bytes) / rate) * 1000 : undefined;
  return (
    <>
      <div class="fetch-head">
        <strong class="text-truncate">
          <Name text={fname} />
        </strong>
        <span class="fetch-percent">{Math.floor(part * 100)} %</span>
      </div>
      <Bar value={part} label={`Fetch of ${plainName(fname)}`} />
      <p class="fetch-facts">
        <span>
          {formatSize(bytes)} of {formatSize(size)}
        </span>
        <span>{formatRate(rate)}</span>
        <span>{leftMs === undefined ? "time left unknown" : `${formatAge(leftMs + 999)} left`}</span>
        <span>{plural(sources, "source", "sources")}</span>
      </p>
    </>
  );
}

function FetchCard({ view }: { view: FetchView }) {
  const { progress, chunks, shares, version } = view;
  const [isAsking, setAsking] = useState(false);
  const { busy, run } = useAction();
  useEffect(() => {
    if (chunks === undefined) loadDetail(progress.id);
  }, []);
  const end = (keep: "true" | "false") =>
    run(async () => {
      await answerOf(peerApi.fetches[":id"].$delete({ param: { id: progress.id }, query: { keep } }));
    });
  const held = chunks === undefined ? 0 : countOf(chunks);
  const name = plainName(progress.fname);
  return (
    <section class="card fetch-card" aria-label={`Fetch of ${name}`}>
      <div class="card-body">
        <FetchLine view={view} />
        {chunks !== undefined && (
          <ChunkPicture
            kind="map"
            height={72}
            total={chunks.length}
            version={version}
            label={`Chunks of ${name}: ${held} of ${chunks.length} are here`}
            levelOf={(chunk) => chunks[chunk]!}
          />
        )}
        <SourceShares shares={shares} />
        <div class="fetch-foot">
          <span class="small text-secondary text-truncate">
            to <Name text={progress.destination} />
          </span>
          <div class="fetch-actions">
            <button type="button" class="btn btn-outline-secondary btn-sm" disabled={busy} onClick={() => end("true")}>
              <Icon name="pause" /> Pause<span class="visually-hidden"> the fetch of {name}</span>
            </button>
            <button type="button" class="btn btn-outline-danger btn-sm" disabled={busy} onClick={() => setAsking(true)}>
              <Icon name="close" /> Cancel<span class="visually-hidden"> the fetch of {name}</span>
            </button>
          </div>
        </div>
      </div>
      {isAsking && (
        <Confirm
          title="Cancel this fetch?"
          text={<p class="mb-0">What has arrived, {formatSize(progress.bytes)}, will be deleted. Pause keeps it.</p>}
          action="Cancel and delete"
          onConfirm={() => end("false")}
          onClose={() => setAsking(false)}
        />
      )}
    </section>
  );
}

/** How much each source sent, as a bar and as text. */
function SourceShares({ shares }: { shares: readonly SourceShare[] }) {
  const giving = shares.filter(({ bytes }) => bytes > 0).toSorted((a, b) => (a.address < b.address ? -1 : 1));
  const total = giving.reduce((sum, { bytes }) => sum + bytes, 0);
  if (total === 0) return null;
  return (
    <div class="sources">
      <div class="source-bar" aria-hidden="true">
        {giving.map(({ address, bytes }, index) => (
          <i key={address} class={`tone-${index % SOURCES_SHOWN_MAX}`} style={{ width: `${(100 * bytes) / total}%` }} />
        ))}
      </div>
      <ul class="source-list" aria-label="Sources">
        {giving.slice(0, SOURCES_SHOWN_MAX).map(({ address, inbound, bytes, rejected }, index) => (
          <li key={address}>
            <i class={`swatch tone-${index}`} aria-hidden="true" />
            <code>{address}</code>
            {inbound && <span class="text-secondary"> inbound</span>} {formatSize(bytes)}
            <span class="text-secondary"> {Math.round((100 * bytes) / total)} %</span>
            {rejected > 0 && <span class="text-danger-emphasis"> {rejected} damaged</span>}
          </li>
        ))}
        {giving.length > SOURCES_SHOWN_MAX && <li class="text-secondary">{giving.length - SOURCES_SHOWN_MAX} more</li>}
      </ul>
    </div>
  );
}

function EndedLine({ view: { progress } }: { view: FetchView }) {
  const { busy, run } = useAction();
  const { id, fname, state, bytes, size, destination, error } = progress;
  const retry = () =>
    run(async () => {
      await answerOf(peerApi.fetches[":id"].retry.$post({ param: { id } }));
    });
  return (
    <li class="ended">
      <span class={`state-badge ${state}`}>
        <Icon
          name={state === "done" ? "check" : state === "failed" ? "alert" : state === "stopped" ? "pause" : "close"}
        />
        {STATE_LABELS[state]}
      </span>
      <div class="ended-what">
        <strong class="text-truncate">
          <Name text={fname} />
        </strong>
        <span class="small text-secondary text-truncate">
          {state === "done" || state === "cancelled" ? formatSize(size) : `${formatSize(bytes)} of ${formatSize(size)}`}{" "}
          · <Name text={destination} />
        </span>
        {state === "failed" && error !== null && (
          <span class="small text-danger-emphasis">
            <Name text={error.message} />
          </span>
        )}
      </div>
      {state !== "done" && (
        <button type="button" class="btn btn-outline-secondary btn-sm" disabled={busy} onClick={retry}>
          <Icon name="retry" /> {state === "stopped" ? "Go on" : "Retry"}
          <span class="visually-hidden"> with {plainName(fname)}</span>
        </button>
      )}
    </li>
  );
}
