/** Which peer holds which chunks of every file, a strip for each. */

import type { ChunkInfo } from "../../types.ts";
import { pagesOf, trackerApi } from "../api.ts";
import { readRanges } from "../chunk-set.ts";
import { useEvents, useLoaded } from "../hooks.ts";
import { Card, Empty, Failure, Loading, Name, plainName } from "../parts/basics.tsx";
import { ChunkPicture } from "../parts/chunk-map.tsx";
import { type Column, DataTable } from "../parts/table.tsx";
import { useState } from "../view-state.ts";

/** Rows at most; the chunk map of a file shows the others. */
const ROWS_MAX = 5000;
const CALM_MS = 500;

export function TrackerChunks() {
  const [version, setVersion] = useState(0);
  const chunks = useLoaded(async () => {
    const found: ChunkInfo[] = [];
    for await (const page of pagesOf((query) => trackerApi.chunks.$get({ query }))) {
      found.push(...page);
      if (found.length >= ROWS_MAX) break;
    }
    setVersion((before) => before + 1);
    return found;
  }, []);
  const changes = ["hello", "chunks_registered", "published", "unpublished", "peer_joined", "peer_left"];
  useEvents(changes, chunks.reload, CALM_MS);
  const rows = chunks.value;
  if (rows === undefined)
    return chunks.error === undefined ? <Loading lines={8} /> : <Failure error={chunks.error} retry={chunks.reload} />;
  const columns: Column<ChunkInfo>[] = [
    {
      heading: "File",
      sortBy: ({ key }) => key.toLowerCase(),
      class: "cell-name",
      cell: ({ key }) => <Name text={key} />,
    },
    { heading: "Holder", sortBy: ({ holder }) => holder, cell: ({ holder }) => <code>{holder}</code> },
    {
      heading: "Chunks",
      class: "cell-strip",
      cell: ({ chunks, total_chunknum: total, holder, key, percent }) => {
        const set = readRanges(total, chunks);
        return (
          <ChunkPicture
            kind="strip"
            height={16}
            total={total}
            version={chunks}
            label={`${holder} holds ${Math.floor(percent)} % of ${plainName(key)}: chunks ${chunks}`}
            levelOf={(chunk) => set[chunk]!}
          />
        );
      },
    },
    {
      heading: "Has",
      align: "end",
      sortBy: ({ percent }) => percent,
      cell: ({ percent, total_chunknum: total }) => (
        <span title={`of ${total} chunks`}>
          {Math.floor(percent)} %<span class="small text-secondary"> of {total.toLocaleString("en")}</span>
        </span>
      ),
    },
  ];
  return (
    <Card flush>
      <DataTable
        caption="Chunks of every file by holder"
        rows={rows}
        version={version}
        columns={columns}
        keyOf={({ key, holder }) => `${key} ${holder}`}
        textOf={({ key, holder, content_id }) => `${key} ${holder} ${content_id}`}
        searchLabel="Search files and holders"
        empty={
          <Empty icon="grid" title="Nobody holds a chunk">
            As soon as a peer publishes or fetches, its chunks show here.
          </Empty>
        }
        tools={
          rows.length >= ROWS_MAX && (
            <span class="small text-secondary">the first {ROWS_MAX.toLocaleString("en")} rows</span>
          )
        }
      />
    </Card>
  );
}
