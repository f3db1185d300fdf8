/** Folders of the peer's machine, for choosing a file to publish or a folder to fetch to. */

import { formatSize } from "../../../core/human.ts";
import { answerOf, peerApi } from "../api.ts";
import { useLoaded } from "../hooks.ts";
import { useState } from "../view-state.ts";
import { Empty, Failure, Loading, Name } from "./basics.tsx";
import { Icon } from "./icons.tsx";

export interface FolderBrowserProps {
  readonly pick: "file" | "folder";
  /** Where to begin; the peer's choice by default. */
  readonly start?: string | undefined;
  /** Called with the path of a chosen file, and of each folder that is entered. */
  readonly onPick: (path: string, name: string) => void;
  readonly picked: string;
}

/** Shown for a folder that cannot be read. */
const nowhere = { parent: null, entries: [], truncated: false };

export function FolderBrowser({ pick, start, onPick, picked }: FolderBrowserProps) {
  const [path, setPath] = useState(start);
  const folder = useLoaded(() => answerOf(peerApi.browse.$get({ query: path === undefined ? {} : { path } })), [path]);
  const enter = (next: string) => {
    setPath(next);
    if (pick === "folder") onPick(next, "");
  };
  const leave = () => {
    setPath(start);
    if (pick === "folder") onPick("", "");
  };
  const hasFailed = folder.error !== undefined;
  if (folder.value === undefined && !hasFailed) return <Loading lines={6} />;
  const {
    path: here,
    parent,
    entries,
    truncated,
  } = hasFailed || folder.value === undefined ? { ...nowhere, path: path ?? "" } : folder.value;
  const shown = entries.filter(({ kind }) => pick === "file" || kind === "folder");
  return (
    <div class="browser">
      <div class="browser-path">
        <button
          type="button"
          class="btn btn-icon"
          aria-label="Folder above"
          disabled={parent === null}
          onClick={() => parent !== null && enter(parent)}
        >
          <Icon name="parent" />
        </button>
        <input
          key={here}
          class="browser-input"
          aria-label="Folder; type another one and press Enter"
          value={here}
          spellcheck={false}
          onKeydown={(event: KeyboardEvent) => {
            if (event.key !== "Enter") return;
            event.preventDefault();
            const wanted = (event.target as HTMLInputElement).value.trim();
            if (wanted.startsWith("/")) enter(wanted);
          }}
        />
      </div>
      {hasFailed ? (
        <Failure error={folder.error} retry={leave} />
      ) : shown.length === 0 ? (
        <Empty icon="folder" title={pick === "file" ? "This folder is empty" : "No folders in here"} />
      ) : (
        <ul class="browser-list" aria-label={`Folder ${here}`}>
          {shown.map((entry) => (
            <li key={entry.path}>
              <button
                type="button"
                class={`browser-entry ${entry.path === picked ? "picked" : ""}`}
                aria-pressed={entry.kind === "file" ? String(entry.path === picked) : undefined}
                onClick={() => (entry.kind === "folder" ? enter(entry.path) : onPick(entry.path, entry.name))}
              >
                <Icon name={entry.kind} />
                <span class="flex-grow-1 text-truncate">
                  <Name text={entry.name} />
                </span>
                {entry.size !== null && <span class="text-secondary small">{formatSize(entry.size)}</span>}
              </button>
            </li>
          ))}
        </ul>
      )}
      {truncated && <p class="small text-secondary mt-2 mb-0">There is more in this folder than the list shows.</p>}
    </div>
  );
}
