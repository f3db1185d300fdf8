/** The joined peers, with a ping and the files of each. */

import { formatDuration } from "../../../core/human.ts";
import type { PeerInfo } from "../../types.ts";
import { answerOf, pagesOf, trackerApi } from "../api.ts";
import { formatAge } from "../format.ts";
import { useAction, useEvents, useLoaded, useNow } from "../hooks.ts";
import { Card, Empty, Failure, Loading, Name } from "../parts/basics.tsx";
import { Icon } from "../parts/icons.tsx";
import { type Column, DataTable } from "../parts/table.tsx";
import { peerQueryOf } from "../peer-query.ts";
import { useState } from "../view-state.ts";
import { PeerFilesDialog } from "./tracker-files.tsx";

const RELOAD_MS = 5000;

export function TrackerPeers() {
  const [version, setVersion] = useState(0);
  const peers = useLoaded(
    async () => {
      const rows: PeerInfo[] = [];
      for await (const page of pagesOf((query) => trackerApi.peers.$get({ query }))) rows.push(...page);
      setVersion((before) => before + 1);
      return rows;
    },
    [],
    RELOAD_MS,
  );
  useEvents(["hello", "peer_joined", "peer_left", "published", "unpublished"], peers.reload, 150);
  const [discovered, setDiscovered] = useState<string | null>(null);
  const now = useNow();
  if (peers.value === undefined)
    return peers.error === undefined ? <Loading lines={6} /> : <Failure error={peers.error} retry={peers.reload} />;
  const ago = (time: string) => `${formatAge(now - Date.parse(time))} ago`;
  const columns: Column<PeerInfo>[] = [
    {
      heading: "Address",
      sortBy: ({ address }) => address,
      class: "cell-name",
      cell: ({ address }) => <code>{address}</code>,
    },
    { heading: "Host", sortBy: ({ host_name }) => host_name, cell: ({ host_name }) => <Name text={host_name} /> },
    { heading: "Joined", sortBy: ({ since }) => since, cell: ({ since }) => ago(since) },
    {
      heading: "Last seen",
      sortBy: ({ last_seen }) => last_seen,
      class: "hide-narrow",
      cell: ({ last_seen }) => ago(last_seen),
    },
    { heading: "Files", align: "end", sortBy: ({ files }) => files, cell: ({ files }) => files.toLocaleString("en") },
    {
      heading: "Actions",
      align: "end",
      class: "cell-actions",
      cell: ({ address }) => (
        <>
          <PingButton address={address} />
          <button type="button" class="btn btn-outline-secondary btn-sm" onClick={() => setDiscovered(address)}>
            <Icon name="files" /> Files<span class="visually-hidden"> of {address}</span>
          </button>
        </>
      ),
    },
  ];
  return (
    <div class="view-body">
      <Card flush>
        <DataTable
          caption="Joined peers"
          rows={peers.value}
          version={version + now}
          columns={columns}
          keyOf={({ address }) => address}
          textOf={({ address, host_name }) => `${address} ${host_name}`}
          searchLabel="Search addresses and hosts"
          empty={
            <Empty icon="peers" title="Nobody has joined yet">
              <p class="mb-2">Start a peer that joins this tracker:</p>
              <code>p2pfs peer start --tracker HOST:PORT</code>
            </Empty>
          }
        />
      </Card>
      {discovered !== null && <PeerFilesDialog address={discovered} onClose={() => setDiscovered(null)} />}
    </div>
  );
}

function PingButton({ address }: { address: string }) {
  const { busy, run } = useAction();
  const [result, setResult] = useState<{ alive: boolean; duration_ms: number } | null>(null);
  const ping = () =>
    run(async () => {
      setResult(await answerOf(trackerApi.ping.$get({ query: peerQueryOf(address) })));
    });
  return (
    <span class="ping">
      <span class="ping-result" role="status">
        {result === null ? "" : result.alive ? formatDuration(result.duration_ms) : "gone"}
      </span>
      <button type="button" class="btn btn-outline-secondary btn-sm" disabled={busy} onClick={ping}>
        <Icon name="signal" /> Ping<span class="visually-hidden"> {address}</span>
      </button>
    </span>
  );
}
