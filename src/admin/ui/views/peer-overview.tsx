/** Overview of the peer: tracker, rates, limits, exit. */
import { useId } from "hono/jsx/dom";
import { formatRate, formatSize } from "../../../core/human.ts";
import type { PeerStatus } from "../../types.ts";
import { answerOf, peerApi } from "../api.ts";
import { formatAge, plural } from "../format.ts";
import { useAction } from "../hooks.ts";
import { Card, CopyButton, Empty, Loading, Name, Tile } from "../parts/basics.tsx";
import { RateChart } from "../parts/chart.tsx";
import { ExitButton } from "../parts/exit-button.tsx";
import { Icon } from "../parts/icons.tsx";
import { toast } from "../parts/toasts.tsx";
import { hostPortOf } from "../peer-query.ts";
import { fetches, loadStatus, RATE_POINTS_MAX, rates, status } from "../peer-state.ts";
import { useStore } from "../store.ts";
import { useState } from "../view-state.ts";
import { ActivityList } from "./activity.tsx";
import { FetchLine } from "./peer-transfers.tsx";

export function PeerOverview() {
  const now = useStore(status);
  if (now === undefined) return <Loading lines={8} />;
  return (
    <div class="view-body">
      <dl class="tiles">
        <Tile
          label="Shared"
          value={now.shares.toLocaleString("en")}
          detail={plural(now.contents, "content served", "contents served")}
        />
        <Tile label="Fetching" value={now.fetches.toLocaleString("en")} detail={now.fetches === 1 ? "file" : "files"} />
        <Tile label="Received" value={formatSize(now.bytes_received)} detail="since the start" />
        <Tile label="Sent" value={formatSize(now.bytes_sent)} detail={`up for ${formatAge(now.uptime_ms)}`} />
      </dl>
      <div class="columns">
        <div class="column">
          <Rates />
          <Running />
          <Card title="Activity" aside={<a href="#/activity">All of it</a>} flush>
            <ActivityList max={8} />
          </Card>
        </div>
        <div class="column">
          <TrackerCard now={now} />
          <LimitsCard now={now} />
          <Card title="This peer">
            <dl class="fact-list">
              <dt>Reached at</dt>
              <dd>
                <code>{now.address ?? now.listen}</code>
              </dd>
              <dt>Fetches go to</dt>
              <dd>
                <Name text={now.files_folder} />
              </dd>
              <dt>Process</dt>
              <dd>
                {now.pid}, version {now.version}
              </dd>
            </dl>
            <ExitButton
              text="What it shares is no longer served from here. Unfinished fetches go on when it is started again."
              exit={() => answerOf(peerApi.shutdown.$post())}
            />
          </Card>
        </div>
      </div>
    </div>
  );
}

function Rates() {
  const points = useStore(rates);
  const last = points.at(-1) ?? { down: 0, up: 0 };
  return (
    <Card
      title="Throughput"
      aside={
        <span class="legend">
          <span class="down">
            <Icon name="down" /> {formatRate(last.down)}
          </span>
          <span class="up">
            <Icon name="up" /> {formatRate(last.up)}
          </span>
        </span>
      }
    >
      <RateChart
        points={points}
        pointsMax={RATE_POINTS_MAX}
        label={`Received ${formatRate(last.down)}, sent ${formatRate(last.up)}; the last two minutes`}
      />
    </Card>
  );
}

function Running() {
  const all = useStore(fetches);
  const running = [...all.values()].filter(({ progress }) => progress.state === "running");
  return (
    <Card title="Running fetches" aside={<a href="#/transfers">All transfers</a>} flush>
      {running.length === 0 ? (
        <Empty icon="down" title="Nothing is being fetched">
          <a href="#/files">Choose a file</a> that somebody shares.
        </Empty>
      ) : (
        <ul class="plain">
          {running.slice(0, 5).map((view) => (
            <li key={view.progress.id} class="fetch-brief">
              <FetchLine view={view} />
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function TrackerCard({ now }: { now: PeerStatus }) {
  const [address, setAddress] = useState("");
  const { busy, run } = useAction();
  const id = useId();
  const target = hostPortOf(address);
  const connect = (event: Event) => {
    event.preventDefault();
    if (target === undefined) return;
    run(async () => {
      const joined = await answerOf(peerApi.connect.$post({ json: target }));
      toast.done(`Joined ${joined.tracker} as ${joined.address}`);
      // Unless the user has typed another one meanwhile.
      setAddress((now) => (now === address ? "" : now));
      await loadStatus();
    });
  };
  return (
    <Card title="Tracker">
      <p class="big-address">
        <i class={`dot ${now.connected ? "good" : "bad"}`} aria-hidden="true" />
        <code>
          <Name text={now.tracker} />
        </code>
        <CopyButton text={now.tracker} label="Copy the tracker's address" />
      </p>
      <p class="small text-secondary" role="status">
        {now.connected
          ? `Joined as ${now.address ?? now.listen}`
          : "Not reached; this peer keeps trying. Transfers under way go on without it."}
      </p>
      <p class="small text-secondary">
        {now.swarm === null ? (
          "Of no swarm: connections are not encrypted."
        ) : (
          <>
            Member of <Name text={now.swarm} />: connections are encrypted, and to members only.
          </>
        )}
      </p>
      <form class="address-form" onSubmit={connect}>
        <div class="flex-grow-1">
          <label class="form-label" for={id}>
            Join another tracker
          </label>
          <input
            id={id}
            class="form-control"
            placeholder="HOST:PORT"
            value={address}
            onInput={(event: Event) => setAddress((event.target as HTMLInputElement).value)}
          />
        </div>
        <button type="submit" class="btn btn-outline-secondary" disabled={busy || target === undefined}>
          Connect
        </button>
      </form>
    </Card>
  );
}

const MIB = 1024 * 1024;

/** Mebibytes per second as typed; null for none. */
function limitOf(text: string): number | null {
  return text.trim() === "" ? null : Math.round(Number(text) * MIB);
}

function LimitsCard({ now }: { now: PeerStatus }) {
  const shown = (limit: number | null) => (limit === null ? "" : String(Math.round((limit / MIB) * 1000) / 1000));
  // The typed text that is not applied yet; undefined if the field shows the present limit.
  const [typedUp, setUp] = useState<string | undefined>(undefined);
  const [typedDown, setDown] = useState<string | undefined>(undefined);
  const { busy, run } = useAction();
  const upLimit = typedUp === undefined ? now.up_limit : limitOf(typedUp);
  const downLimit = typedDown === undefined ? now.down_limit : limitOf(typedDown);
  const isChanged = upLimit !== now.up_limit || downLimit !== now.down_limit;
  const apply = (event: Event) => {
    event.preventDefault();
    run(async () => {
      await answerOf(peerApi.limits.$put({ json: { up_limit: upLimit, down_limit: downLimit } }));
      await loadStatus();
      // Unless the user has typed something else meanwhile.
      setUp((typed) => (typed === typedUp ? undefined : typed));
      setDown((typed) => (typed === typedDown ? undefined : typed));
      toast.done("The limits hold from now on.");
    });
  };
  return (
    <Card title="Limits">
      <form class="limits-form" onSubmit={apply}>
        <LimitField label="Receive at most" value={typedDown ?? shown(now.down_limit)} onInput={setDown} />
        <LimitField label="Send at most" value={typedUp ?? shown(now.up_limit)} onInput={setUp} />
        <button type="submit" class="btn btn-outline-secondary" disabled={busy || !isChanged}>
          Apply
        </button>
      </form>
    </Card>
  );
}

function LimitField({ label, value, onInput }: { label: string; value: string; onInput: (text: string) => void }) {
  const id = useId();
  return (
    <div>
      <label class="form-label" for={id}>
        {label}
      </label>
      <div class="input-group">
        <input
          id={id}
          class="form-control"
          type="number"
          min="0.001"
          step="any"
          placeholder="none"
          value={value}
          aria-describedby={`${id}-unit`}
          onInput={(event: Event) => onInput((event.target as HTMLInputElement).value)}
        />
        <span class="input-group-text" id={`${id}-unit`}>
          MiB/s
        </span>
      </div>
    </div>
  );
}
