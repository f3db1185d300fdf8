/** All shared files, or those of one peer, to look at and to fetch. */
import { useId } from "hono/jsx/dom";
import type { FileInfo } from "../../../core/model.ts";
import { answerOf, peerApi } from "../api.ts";
import { useFileList } from "../file-list.ts";
import { Card, Empty, plainName } from "../parts/basics.tsx";
import { FileTable } from "../parts/file-table.tsx";
import { HoldersDialog } from "../parts/holders.tsx";
import { Icon } from "../parts/icons.tsx";
import { peerQueryOf } from "../peer-query.ts";
import { status } from "../peer-state.ts";
import { useStore } from "../store.ts";
import { useState } from "../view-state.ts";
import { FetchDialog } from "./fetch-dialog.tsx";

export function PeerFiles() {
  const [peer, setPeer] = useState("");
  const [typed, setTyped] = useState("");
  const discover = (address: string) => {
    setPeer(address);
    setTyped(address);
  };
  const list = useFileList(
    (query) =>
      peer === ""
        ? peerApi.files.$get({ query })
        : peerApi.discover.$get({ query: { ...peerQueryOf(peer), ...query } }),
    peer,
  );
  const [mapped, setMapped] = useState<FileInfo | null>(null);
  const [wanted, setWanted] = useState<FileInfo | null>(null);
  const own = useStore(status)?.address;
  return (
    <div class="view-body">
      <Card flush>
        <FileTable
          list={list}
          caption={peer === "" ? "Shared files" : `Files of ${peer}`}
          onMap={setMapped}
          onPeer={discover}
          tools={<Discover peer={peer} typed={typed} onType={setTyped} onPeer={discover} />}
          empty={
            peer === "" ? (
              <Empty icon="files" title="Nobody shares a file yet">
                Be the first: <a href="#/shares">share a file</a>.
              </Empty>
            ) : (
              <Empty icon="files" title="This peer shares nothing" />
            )
          }
          actions={(file) =>
            file.address === own ? (
              <span class="own-badge">yours</span>
            ) : (
              <button type="button" class="btn btn-outline-secondary btn-sm" onClick={() => setWanted(file)}>
                <Icon name="down" /> Fetch<span class="visually-hidden"> {plainName(file.fname)}</span>
              </button>
            )
          }
        />
      </Card>
      {mapped !== null && (
        <HoldersDialog
          file={mapped}
          load={() =>
            answerOf(peerApi.contents[":content_id"].holders.$get({ param: { content_id: mapped.content_id } }))
          }
          onClose={() => setMapped(null)}
        />
      )}
      {wanted !== null && (
        <FetchDialog
          file={wanted}
          namesakes={list.rows.filter(({ fname }) => fname === wanted.fname)}
          onClose={() => setWanted(null)}
        />
      )}
    </div>
  );
}

/** The files of one peer alone (discover), itself included. */
function Discover({
  peer,
  typed,
  onType,
  onPeer,
}: {
  peer: string;
  typed: string;
  onType: (text: string) => void;
  onPeer: (peer: string) => void;
}) {
  const id = useId();
  const wanted = typed.trim();
  return (
    <form
      class="discover"
      onSubmit={(event: Event) => {
        event.preventDefault();
        onPeer(wanted);
      }}
    >
      <label class="visually-hidden" for={id}>
        Files of one peer: its address
      </label>
      <Icon name="peers" />
      <input
        id={id}
        class="form-control"
        placeholder="Of one peer: HOST:PORT"
        value={typed}
        onInput={(event: Event) => onType((event.target as HTMLInputElement).value)}
      />
      {peer === "" || (wanted !== "" && wanted !== peer) ? (
        <button type="submit" class="btn btn-outline-secondary" disabled={wanted === ""}>
          Discover
        </button>
      ) : (
        <button type="button" class="btn btn-outline-secondary" onClick={() => onPeer("")}>
          All peers
        </button>
      )}
    </form>
  );
}
