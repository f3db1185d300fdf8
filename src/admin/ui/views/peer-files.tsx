/** Every shared file, or those of one peer: to fetch, to look at. */
import { useId, useState } from "hono/jsx/dom";
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
import { FetchDialog } from "./fetch-dialog.tsx";

export function PeerFiles() {
  const [peer, setPeer] = useState("");
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
    <>
      <Card flush>
        <FileTable
          list={list}
          caption={peer === "" ? "Shared files" : `Files of ${peer}`}
          onMap={setMapped}
          onPeer={setPeer}
          tools={<Discover key={peer} peer={peer} onPeer={setPeer} />}
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
    </>
  );
}

/** The files of one peer alone (discover), itself included. */
function Discover({ peer, onPeer }: { peer: string; onPeer: (peer: string) => void }) {
  const [typed, setTyped] = useState(peer);
  const id = useId();
  const discover = (event: Event) => {
    event.preventDefault();
    onPeer(typed.trim());
  };
  return (
    <form class="discover" onSubmit={discover}>
      <label class="visually-hidden" for={id}>
        Files of one peer: its address
      </label>
      <Icon name="peers" />
      <input
        id={id}
        class="form-control"
        placeholder="Of one peer: HOST:PORT"
        value={typed}
        onInput={(event: Event) => setTyped((event.target as HTMLInputElement).value)}
      />
      {peer === "" ? (
        <button type="submit" class="btn btn-outline-secondary" disabled={typed.trim() === ""}>
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
