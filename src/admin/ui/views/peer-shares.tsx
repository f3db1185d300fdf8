/** What this peer shares: publish a file of its machine, hand out tickets, stop sharing. */
import { useId, useMemo } from "hono/jsx/dom";
import { formatSize } from "../../../core/human.ts";
import type { Published, PublishProgress, ShareInfo } from "../../types.ts";
import { answerOf, linesOf, peerApi } from "../api.ts";
import { useAction, useEvents, useLoaded } from "../hooks.ts";
import { Bar, Card, CopyButton, Empty, Failure, InlineFailure, Loading, Name, plainName } from "../parts/basics.tsx";
import { Confirm, Dialog } from "../parts/dialog.tsx";
import { FolderBrowser } from "../parts/folder-browser.tsx";
import { Icon } from "../parts/icons.tsx";
import { toast } from "../parts/toasts.tsx";
import { useEffect, useState } from "../view-state.ts";

export function PeerShares() {
  const shares = useLoaded(() => answerOf(peerApi.shares.$get()), []);
  useEvents(["hello", "published", "unpublished", "share_lost"], shares.reload, 100);
  const [isPublishing, setPublishing] = useState(false);
  const [leaving, setLeaving] = useState<ShareInfo | null>(null);
  const { run } = useAction();
  const unpublish = (fname: string) =>
    run(async () => {
      await answerOf(peerApi.shares[":fname"].$delete({ param: { fname: encodeURIComponent(fname) } }));
      toast.done(`${fname} is shared no longer.`);
    });
  return (
    <div class="view-body">
      <div class="view-tools">
        <button type="button" class="btn btn-primary" onClick={() => setPublishing(true)}>
          <Icon name="share" /> Share a file
        </button>
      </div>
      <Card flush>
        {shares.value === undefined ? (
          shares.error === undefined ? (
            <Loading />
          ) : (
            <Failure error={shares.error} retry={shares.reload} />
          )
        ) : shares.value.length === 0 ? (
          <Empty icon="share" title="You share nothing yet">
            A shared file stays where it is; others fetch it chunk by chunk from here and from one another.
          </Empty>
        ) : (
          <ul class="plain" aria-label="Files that this peer shares">
            {shares.value.map((share) => (
              <ShareLine key={share.fname} share={share} onUnpublish={() => setLeaving(share)} />
            ))}
          </ul>
        )}
      </Card>
      {isPublishing && <PublishDialog onClose={() => setPublishing(false)} />}
      {leaving !== null && (
        <Confirm
          title="Stop sharing this file?"
          text={
            <p class="mb-0">
              <Name text={leaving.fname} /> stays on this machine. Whoever has fetched it goes on serving it.
            </p>
          }
          action="Stop sharing"
          onConfirm={() => unpublish(leaving.fname)}
          onClose={() => setLeaving(null)}
        />
      )}
    </div>
  );
}

function ShareLine({ share, onUnpublish }: { share: ShareInfo; onUnpublish: () => void }) {
  const { fname, path, size, ticket, served } = share;
  return (
    <li class="share">
      <Icon name="file" />
      <div class="share-what">
        <strong class="text-truncate">
          <Name text={fname} />
        </strong>
        <span class="small text-secondary text-truncate">
          {formatSize(size)} · shown to others as <Name text={path} />
        </span>
        {!served && (
          <span class="small text-danger-emphasis">
            The file has changed or is gone, so that it is not served. Share it again.
          </span>
        )}
      </div>
      <div class="share-actions">
        <CopyButton text={ticket} label={`Copy the ticket of ${plainName(fname)}`} caption="Ticket" />
        <button type="button" class="btn btn-outline-secondary btn-sm" onClick={onUnpublish}>
          <Icon name="trash" /> Stop sharing<span class="visually-hidden"> {plainName(fname)}</span>
        </button>
      </div>
    </li>
  );
}

function PublishDialog({ onClose }: { onClose: () => void }) {
  const [path, setPath] = useState("");
  const [fname, setFname] = useState("");
  const [progress, setProgress] = useState<PublishProgress | null>(null);
  const [published, setPublished] = useState<Published | null>(null);
  const { busy, failure, run } = useAction({ inPlace: true });
  const id = useId();
  const leaving = useMemo(() => new AbortController(), []);
  // Closing the dialog ends the publish; the peer stops reading the file.
  useEffect(() => () => leaving.abort(), []);
  const publish = (event: Event) => {
    event.preventDefault();
    const name = fname.trim();
    // Others see this path, so it is the file's name only, not its place on this machine.
    const lname = path.slice(path.lastIndexOf("/") + 1);
    run(async () => {
      const json = { path, lname, ...(name === "" ? {} : { fname: name }) };
      const lines = peerApi.shares.$post({ json }, { init: { signal: leaving.signal } });
      for await (const line of linesOf<PublishProgress | Published>(lines)) {
        if ("event" in line) setProgress(line);
        else setPublished(line);
      }
    }).then(() => setProgress(null));
  };
  if (published !== null) return <PublishedDialog published={published} onClose={onClose} />;
  return (
    <Dialog
      title="Share a file"
      onClose={onClose}
      footer={
        <>
          <button type="button" class="btn btn-outline-secondary" onClick={onClose}>
            {busy ? "Stop" : "Not now"}
          </button>
          <button type="submit" form={`${id}-form`} class="btn btn-primary" disabled={busy || path === ""}>
            {busy ? "Reading the file…" : "Share"}
          </button>
        </>
      }
    >
      <form id={`${id}-form`} onSubmit={publish}>
        <p class="form-label mb-1">A file on the machine of this peer</p>
        <FolderBrowser
          pick="file"
          picked={path}
          onPick={(picked, name) => {
            setPath(picked);
            setFname(name);
          }}
        />
        <div class="mt-3">
          <label class="form-label" for={`${id}-name`}>
            Shared as
          </label>
          <input
            id={`${id}-name`}
            class="form-control"
            placeholder="Choose a file first"
            value={fname}
            disabled={path === ""}
            onInput={(event: Event) => setFname((event.target as HTMLInputElement).value)}
          />
        </div>
        {progress !== null && (
          <div class="mt-3">
            <Bar value={progress.size === 0 ? 1 : progress.bytes / progress.size} label="Reading the file" />
            <p class="small text-secondary mb-0 mt-1">
              {formatSize(progress.bytes)} of {formatSize(progress.size)} read
            </p>
          </div>
        )}
        <InlineFailure error={failure} />
      </form>
    </Dialog>
  );
}

function PublishedDialog({ published, onClose }: { published: Published; onClose: () => void }) {
  return (
    <Dialog
      title={
        <>
          <Name text={published.fname} /> is shared
        </>
      }
      onClose={onClose}
      footer={
        <button type="button" class="btn btn-primary" onClick={onClose}>
          Done
        </button>
      }
    >
      <p>
        {formatSize(published.size)} in {published.total_chunknum.toLocaleString("en")}{" "}
        {published.total_chunknum === 1 ? "chunk" : "chunks"}. Everybody in the swarm can fetch it by its name. This
        ticket pins exactly these bytes:
      </p>
      <div class="command-line">
        <code>{published.ticket}</code>
        <CopyButton text={published.ticket} label="Copy the ticket" />
      </div>
    </Dialog>
  );
}
