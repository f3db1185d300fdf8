/** The dialog for a fetch: what, whose file, and where to. */
import { useId } from "hono/jsx/dom";
import { formatSize } from "../../../core/human.ts";
import type { FileInfo } from "../../../core/model.ts";
import type { FetchEvent } from "../../types.ts";
import { linesOf, peerApi } from "../api.ts";
import { useAction } from "../hooks.ts";
import { InlineFailure, Name } from "../parts/basics.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { FolderBrowser } from "../parts/folder-browser.tsx";
import { toast } from "../parts/toasts.tsx";
import { hostPortOf } from "../peer-query.ts";
import { status } from "../peer-state.ts";
import { useStore } from "../store.ts";
import { useState } from "../view-state.ts";

export interface FetchDialogProps {
  /** The file to fetch; without it the dialog asks for a name or ticket. */
  readonly file?: FileInfo;
  /** Files of the same name, to choose whose is meant. */
  readonly namesakes?: readonly FileInfo[];
  readonly onClose: () => void;
}

export function FetchDialog({ file, namesakes = [], onClose }: FetchDialogProps) {
  const [what, setWhat] = useState("");
  const [from, setFrom] = useState(file?.address ?? "");
  const [folder, setFolder] = useState("");
  const [isChoosing, setChoosing] = useState(false);
  const { busy, failure, run } = useAction({ inPlace: true });
  const now = useStore(status);
  const id = useId();
  const own = now?.address ?? "";
  const sources = namesakes.filter(({ address }) => address !== own);
  const isTicket = /^p2pfs:\/\//i.test(what.trim());
  const begin = (event: Event) => {
    event.preventDefault();
    run(async () => {
      const source = isTicket ? undefined : hostPortOf(from);
      const json = {
        what: file?.fname ?? what.trim(),
        detached: true,
        ...(source === undefined ? {} : { from: source }),
        ...(folder === "" ? {} : { destination: folder }),
      };
      for await (const line of linesOf<FetchEvent>(peerApi.fetches.$post({ json }))) {
        toast.done(line.event === "receipt" ? `${line.fname} is here already.` : `Fetching ${line.fname}`);
      }
      onClose();
      location.hash = "#/transfers";
    });
  };
  return (
    <Dialog
      title={
        file === undefined ? (
          "Fetch a file"
        ) : (
          <>
            Fetch <Name text={file.fname} />
          </>
        )
      }
      onClose={onClose}
      footer={
        <>
          <button type="button" class="btn btn-outline-secondary" onClick={onClose}>
            Not now
          </button>
          <button type="submit" form={`${id}-form`} class="btn btn-primary" disabled={busy}>
            {busy ? "Asking the swarm…" : "Fetch"}
          </button>
        </>
      }
    >
      <form id={`${id}-form`} onSubmit={begin}>
        {file === undefined ? (
          <>
            <label class="form-label" for={`${id}-what`}>
              Name or ticket
            </label>
            <input
              id={`${id}-what`}
              class="form-control"
              required
              autofocus
              autocomplete="off"
              placeholder="report.pdf, or p2pfs://…"
              value={what}
              onInput={(event: Event) => setWhat((event.target as HTMLInputElement).value)}
            />
            {!isTicket && (
              <div class="mt-3">
                <label class="form-label" for={`${id}-from`}>
                  Whose file <span class="text-secondary">where several peers share that name</span>
                </label>
                <input
                  id={`${id}-from`}
                  class="form-control"
                  placeholder="IP:PORT, or leave it empty"
                  value={from}
                  onInput={(event: Event) => setFrom((event.target as HTMLInputElement).value)}
                />
              </div>
            )}
          </>
        ) : (
          <fieldset>
            <legend class="form-label">Whose file</legend>
            {(sources.length === 0 ? [file] : sources).map((each) => (
              <label class="source-choice" key={each.address}>
                <input
                  class="form-check-input"
                  type="radio"
                  name={`${id}-source`}
                  value={each.address}
                  checked={from === each.address}
                  onInput={() => setFrom(each.address)}
                />
                <code>{each.address}</code>
                <span class="text-secondary">
                  {formatSize(each.size)}, {each.holders} {each.holders === 1 ? "holder" : "holders"}
                </span>
              </label>
            ))}
            <p class="small text-secondary mb-0">The chunks come from every holder of the same content at once.</p>
          </fieldset>
        )}
        <div class="mt-3">
          <span class="form-label">Goes to</span>
          <div class="destination">
            <code class="text-truncate">
              <Name text={folder === "" ? (now?.files_folder ?? "the peer's own folder") : folder} />
            </code>
            <button
              type="button"
              class="btn btn-outline-secondary btn-sm"
              aria-expanded={String(isChoosing)}
              onClick={() => setChoosing(!isChoosing)}
            >
              {isChoosing ? "Done" : "Choose a folder"}
            </button>
          </div>
          {isChoosing && (
            <div class="mt-2">
              <FolderBrowser pick="folder" picked={folder} onPick={(path) => setFolder(path)} />
            </div>
          )}
        </div>
        <InlineFailure error={failure} />
      </form>
    </Dialog>
  );
}
