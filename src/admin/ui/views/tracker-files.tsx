/** Every file of every peer, with its holders; and the files of one peer. */

import type { FileInfo } from "../../../core/model.ts";
import { answerOf, trackerApi } from "../api.ts";
import { useFileList } from "../file-list.ts";
import { Card, Empty } from "../parts/basics.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { FileTable } from "../parts/file-table.tsx";
import { HoldersDialog } from "../parts/holders.tsx";
import { peerQueryOf } from "../peer-query.ts";
import { useState } from "../view-state.ts";

const holdersOf = (file: FileInfo) => () =>
  answerOf(trackerApi.contents[":content_id"].holders.$get({ param: { content_id: file.content_id } }));

export function TrackerFiles() {
  const list = useFileList((query) => trackerApi.files.$get({ query }), "all");
  const [mapped, setMapped] = useState<FileInfo | null>(null);
  const [peer, setPeer] = useState<string | null>(null);
  return (
    <div class="view-body">
      <Card flush>
        <FileTable
          list={list}
          caption="Shared files"
          onMap={setMapped}
          onPeer={setPeer}
          empty={
            <Empty icon="files" title="Nothing is shared yet">
              <p class="mb-2">A peer that has joined shares a file by</p>
              <code>p2pfs peer publish FILE</code>
            </Empty>
          }
        />
      </Card>
      {peer !== null && <PeerFilesDialog address={peer} onClose={() => setPeer(null)} />}
      {mapped !== null && <HoldersDialog file={mapped} load={holdersOf(mapped)} onClose={() => setMapped(null)} />}
    </div>
  );
}

export function PeerFilesDialog({ address, onClose }: { address: string; onClose: () => void }) {
  const list = useFileList(
    (query) => trackerApi.discover.$get({ query: { ...peerQueryOf(address), ...query } }),
    address,
  );
  const [mapped, setMapped] = useState<FileInfo | null>(null);
  return (
    <Dialog
      wide
      title={
        <>
          Files of <code>{address}</code>
        </>
      }
      onClose={onClose}
    >
      <FileTable
        list={list}
        caption={`Files of ${address}`}
        onMap={setMapped}
        empty={<Empty icon="files" title="This peer shares nothing" />}
      />
      {mapped !== null && <HoldersDialog file={mapped} load={holdersOf(mapped)} onClose={() => setMapped(null)} />}
    </Dialog>
  );
}
