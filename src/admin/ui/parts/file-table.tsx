/** The table of shared files, the same for both roles except for the actions. */
import type { Child } from "hono/jsx";
import { formatSize } from "../../../core/human.ts";
import type { FileInfo } from "../../../core/model.ts";
import type { FileList } from "../file-list.ts";
import { Failure, Loading, Name, plainName } from "./basics.tsx";
import { Icon } from "./icons.tsx";
import { type Column, DataTable } from "./table.tsx";

export interface FileTableProps {
  readonly list: FileList;
  readonly caption: string;
  readonly empty: Child;
  readonly onMap: (file: FileInfo) => void;
  readonly onPeer?: (address: string) => void;
  readonly actions?: (file: FileInfo) => Child;
  readonly tools?: Child;
}

export function FileTable({ list, caption, empty, onMap, onPeer, actions, tools }: FileTableProps) {
  const hasFailed = list.error !== undefined;
  const columns: Column<FileInfo>[] = [
    {
      heading: "Name",
      sortBy: (file) => file.fname.toLowerCase(),
      class: "cell-name",
      cell: (file) => (
        <div class="file-name">
          <Name text={file.fname} />
          <span class="small text-secondary text-truncate">
            <Name text={file.path} />
          </span>
        </div>
      ),
    },
    { heading: "Size", align: "end", sortBy: (file) => file.size, cell: (file) => formatSize(file.size) },
    {
      heading: "Chunks",
      align: "end",
      class: "hide-narrow",
      sortBy: (file) => file.total_chunknum,
      cell: (file) => file.total_chunknum.toLocaleString("en"),
    },
    {
      heading: "Publisher",
      sortBy: (file) => file.address,
      cell: (file) =>
        onPeer === undefined ? (
          <code>{file.address}</code>
        ) : (
          <button type="button" class="btn btn-link p-0" onClick={() => onPeer(file.address)}>
            <code>{file.address}</code>
            <span class="visually-hidden"> — show the files of this peer</span>
          </button>
        ),
    },
    {
      heading: "Holders",
      align: "end",
      sortBy: (file) => file.holders,
      cell: (file) => (
        <button
          type="button"
          class="btn btn-holders"
          onClick={() => onMap(file)}
          aria-label={`${file.holders} holders of ${plainName(file.fname)}: show the chunk map`}
        >
          <Signal holders={file.holders} />
          {file.holders}
        </button>
      ),
    },
    ...(actions === undefined
      ? []
      : [{ heading: "Actions", align: "end" as const, class: "cell-actions", cell: actions }]),
  ];
  return (
    <>
      {list.isStale && (
        <p class="stale-note" role="status">
          The swarm has changed since this list was loaded.{" "}
          <button type="button" class="btn btn-link p-0" onClick={list.reload}>
            Load it anew
          </button>
        </p>
      )}
      {hasFailed && list.rows.length > 0 && <Failure error={list.error} retry={list.reload} />}
      <DataTable
        caption={caption}
        rows={list.rows}
        version={list.version}
        columns={columns}
        keyOf={(file) => file.key}
        textOf={(file) => `${file.fname} ${file.path} ${file.address} ${file.content_id}`}
        searchLabel="Search names, paths, peers"
        empty={empty}
        instead={
          list.isFirst ? (
            <Loading lines={8} />
          ) : hasFailed && list.rows.length === 0 ? (
            <Failure error={list.error} retry={list.reload} />
          ) : undefined
        }
        tools={
          <>
            {tools}
            {list.loading && list.rows.length > 0 && (
              <span class="small text-secondary" role="status">
                <Icon name="retry" /> {list.rows.length.toLocaleString("en")} loaded…
              </span>
            )}
          </>
        }
      />
    </>
  );
}

/** One to four bars for the number of holders. */
function Signal({ holders }: { holders: number }) {
  return (
    <span class="signal" aria-hidden="true">
      {[1, 2, 3, 4].map((bar) => (
        <i key={bar} class={bar <= holders ? "signal-bar on" : "signal-bar"} />
      ))}
    </span>
  );
}
