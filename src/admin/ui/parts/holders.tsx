/** The chunk map of a content: who holds which of its chunks, and how many hold each. */
import { useMemo } from "hono/jsx/dom";
import { formatContentId, formatSize } from "../../../core/human.ts";
import type { ContentHolders, FileInfo } from "../../../core/model.ts";
import { countOf, readRanges, sumOf } from "../chunk-set.ts";
import { plural } from "../format.ts";
import { useEvents, useLoaded } from "../hooks.ts";
import { CopyButton, Failure, Loading, Name } from "./basics.tsx";
import { ChunkPicture } from "./chunk-map.tsx";
import { Dialog } from "./dialog.tsx";

const RELOAD_MS = 2000;
const HOLDERS_SHOWN_MAX = 50;
/** From this number of holders on, a chunk is drawn as fully available. */
const PLENTY = 4;

export function HoldersDialog({
  file,
  load,
  onClose,
}: {
  file: FileInfo;
  load: () => Promise<ContentHolders>;
  onClose: () => void;
}) {
  const holders = useLoaded(load, [file.content_id], RELOAD_MS);
  useEvents(["chunks_registered", "peer_left"], holders.reload, 300);
  return (
    <Dialog
      wide
      title={
        <>
          Chunks of <Name text={file.fname} />
        </>
      }
      onClose={onClose}
    >
      <p class="text-secondary facts">
        <span>{formatSize(file.size)}</span>
        <span>{file.total_chunknum.toLocaleString("en")} chunks</span>
        <span>
          content <code>{formatContentId(file.content_id)}</code>
          <CopyButton text={file.content_id} label="Copy the content id" />
        </span>
      </p>
      {holders.value !== undefined ? (
        <HoldersView {...holders.value} />
      ) : holders.error !== undefined ? (
        <Failure error={holders.error} retry={holders.reload} />
      ) : (
        <Loading />
      )}
    </Dialog>
  );
}

function HoldersView({ total_chunknum: total, holders: sample }: ContentHolders) {
  // The role sends them in random order; sorted, each keeps its place on the page.
  const holders = sample.toSorted((a, b) => a.address.localeCompare(b.address, "en", { numeric: true }));
  const version = holders.map(({ address, chunks }) => `${address} ${chunks}`).join();
  const sets = useMemo(() => holders.map(({ chunks }) => readRanges(total, chunks)), [version, total]);
  const sum = useMemo(() => sumOf(total, sets), [version, total]);
  const rarest = total === 0 ? 0 : sum.reduce((least, count) => Math.min(least, count), Number.POSITIVE_INFINITY);
  const missing = sum.reduce((count, value) => count + (value === 0 ? 1 : 0), 0);
  if (total === 0) return <p>This file is empty: there are no chunks to hold.</p>;
  const summary =
    missing > 0
      ? `${missing.toLocaleString("en")} of ${total.toLocaleString("en")} chunks have no holder online`
      : `every chunk has at least ${rarest} ${rarest === 1 ? "holder" : "holders"}`;
  return (
    <>
      <ul class="strips">
        <li class="strip all-holders">
          <strong>{plural(holders.length, "holder", "holders")}</strong>
          <ChunkPicture
            kind="strip"
            height={40}
            total={total}
            version={version}
            label={`Availability: ${summary}`}
            levelOf={(chunk) => (sum[chunk] === 0 ? -1 : Math.min(1, sum[chunk]! / Math.min(PLENTY, holders.length)))}
          />
          <span />
        </li>
        {holders.slice(0, HOLDERS_SHOWN_MAX).map(({ address }, index) => (
          <HolderStrip key={address} address={address} set={sets[index]!} version={version} />
        ))}
      </ul>
      <p class={missing > 0 ? "small text-danger-emphasis mt-3 mb-0" : "small text-secondary mt-3 mb-0"}>
        {summary[0]!.toUpperCase() + summary.slice(1)}. From left to right the chunks from first to last; the stronger
        the colour, the more of them are held.
      </p>
      {holders.length >= HOLDERS_SHOWN_MAX && (
        <p class="small text-secondary">A random sample of the holders; there are more.</p>
      )}
    </>
  );
}

function HolderStrip({ address, set, version }: { address: string; set: Uint8Array; version: string }) {
  const held = countOf(set);
  const percent = Math.floor((100 * held) / set.length);
  return (
    <li class="strip">
      <code>{address}</code>
      <ChunkPicture
        kind="strip"
        height={16}
        total={set.length}
        version={version}
        label={`${address} holds ${held} of ${set.length} chunks`}
        levelOf={(chunk) => set[chunk]!}
      />
      <span class="strip-percent">{percent} %</span>
    </li>
  );
}
