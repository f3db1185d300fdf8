/** Which peer holds which chunks of every file, a strip for each. */
import { useEffect, useRef, useState } from "hono/jsx/dom";
import type { ChunkInfo } from "../../types.ts";
import { pagesOf, trackerApi } from "../api.ts";
import { readRanges } from "../chunk-set.ts";
import { useEvents } from "../hooks.ts";
import { Card, Empty, Failure, Loading, Name, plainName } from "../parts/basics.tsx";
import { ChunkPicture } from "../parts/chunk-map.tsx";
import { type Column, DataTable } from "../parts/table.tsx";

/** Of a larger swarm the beginning; a file's own chunk map has the rest. */
const ROWS_MAX = 5000;

export function TrackerChunks() {
  const [rows, setRows] = useState<readonly ChunkInfo[] | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const [isCut, setCut] = useState(false);
  const version = useRef(0);
  const turn = useRef(0);
  const load = async () => {
    const mine = ++turn.current!;
    try {
      const found: ChunkInfo[] = [];
      for await (const page of pagesOf((query) => trackerApi.chunks.$get({ query }))) {
        found.push(...page);
        if (mine !== turn.current) return;
        if (found.length >= ROWS_MAX) break;
      }
      version.current = version.current! + 1;
      setCut(found.length >= ROWS_MAX);
      setRows(found);
      setError(undefined);
    } catch (thrown) {
      setError(thrown);
    }
  };
  useEffect(() => {
    load();
  }, []);
  useEvents(["hello", "chunks_registered", "published", "unpublished", "peer_joined", "peer_left"], load, 500);
  if (rows === undefined) return error === undefined ? <Loading lines={8} /> : <Failure error={error} retry={load} />;
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
        version={version.current!}
        columns={columns}
        keyOf={({ key, holder }) => `${key} ${holder}`}
        textOf={({ key, holder, content_id }) => `${key} ${holder} ${content_id}`}
        searchLabel="Search files and holders"
        empty={
          <Empty icon="grid" title="Nobody holds a chunk">
            As soon as a peer publishes or fetches, its chunks show here.
          </Empty>
        }
        tools={isCut && <span class="small text-secondary">the first {ROWS_MAX.toLocaleString("en")} rows</span>}
      />
    </Card>
  );
}
