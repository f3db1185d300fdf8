/** Overview of the tracker: address, peers, events, exit. */
import { useId } from "hono/jsx/dom";
import type { Invited } from "../../types.ts";
import { answerOf, trackerApi } from "../api.ts";
import { formatAge, plural } from "../format.ts";
import { useAction, useEvents, useLoaded } from "../hooks.ts";
import { Card, CopyButton, Failure, Loading, Name, Tile } from "../parts/basics.tsx";
import { ExitButton } from "../parts/exit-button.tsx";
import { Icon } from "../parts/icons.tsx";
import { toast } from "../parts/toasts.tsx";
import { useState } from "../view-state.ts";
import { ActivityList } from "./activity.tsx";
import { InvitationDialog } from "./invite-dialog.tsx";

const STATUS_MS = 2000;
const DEFAULT_PORT = 7700;

export function TrackerOverview() {
  const status = useLoaded(() => answerOf(trackerApi.status.$get()), [], STATUS_MS);
  useEvents(["hello", "peer_joined", "peer_left", "published", "unpublished", "listening"], status.reload, 100);
  const now = status.value;
  if (now === undefined)
    return status.error === undefined ? <Loading lines={6} /> : <Failure error={status.error} retry={status.reload} />;
  return (
    <div class="view-body">
      <dl class="tiles">
        <Tile label="Peers" value={now.peers.toLocaleString("en")} detail="joined" />
        <Tile
          label="Files"
          value={now.files.toLocaleString("en")}
          detail={`of ${plural(now.contents, "content", "contents")}`}
        />
        <Tile label="Up for" value={formatAge(now.uptime_ms)} detail={`version ${now.version}`} />
      </dl>
      <div class="columns">
        <Card title={now.listening ? "Listening" : "Not listening yet"}>
          <StartForm address={now.address} onStarted={status.reload} />
          <dl class="fact-list">
            <dt>Process</dt>
            <dd>{now.pid}</dd>
            <dt>Swarm</dt>
            <dd>{now.swarm === null ? "none: connections are not encrypted" : <Name text={now.swarm} />}</dd>
            <dt>Data folder</dt>
            <dd>
              <Name text={now.data_folder} />
            </dd>
          </dl>
          <ExitButton
            text="Peers keep their files and go on with transfers under way; nobody can find anything new until a tracker listens there again."
            exit={() => answerOf(trackerApi.shutdown.$post())}
          />
        </Card>
        <Card title="Activity" aside={<a href="#/activity">All of it</a>} flush>
          <ActivityList max={8} />
        </Card>
      </div>
    </div>
  );
}

function StartForm({ address, onStarted }: { address: string | null; onStarted: () => void }) {
  const [host, setHost] = useState("127.0.0.1");
  const [port, setPort] = useState(String(DEFAULT_PORT));
  /** Of a start that has made a swarm. */
  const [invitation, setInvitation] = useState<Invited | null>(null);
  const { busy, run } = useAction();
  const id = useId();
  const start = (event: Event) => {
    event.preventDefault();
    run(async () => {
      const started = await answerOf(trackerApi.start.$post({ json: { host: host.trim(), port: Number(port) } }));
      toast.done(`Listening on ${started.address}`);
      setInvitation(started.invitation);
      onStarted();
    });
  };
  return (
    <div>
      {invitation !== null && <InvitationDialog invited={invitation} onClose={() => setInvitation(null)} />}
      {address !== null && (
        <p class="big-address">
          <Icon name="signal" />
          <code>{address}</code>
          <CopyButton text={address} label="Copy the address" />
        </p>
      )}
      <form class="address-form" onSubmit={start}>
        <div class="flex-grow-1">
          <label class="form-label" for={`${id}-host`}>
            {address === null ? "Address" : "Move to address"}
          </label>
          <input
            id={`${id}-host`}
            class="form-control"
            value={host}
            required
            onInput={(event: Event) => setHost((event.target as HTMLInputElement).value)}
          />
        </div>
        <div class="port-field">
          <label class="form-label" for={`${id}-port`}>
            Port
          </label>
          <input
            id={`${id}-port`}
            class="form-control"
            type="number"
            min="0"
            max="65535"
            required
            value={port}
            onInput={(event: Event) => setPort((event.target as HTMLInputElement).value)}
          />
        </div>
        <button
          type="submit"
          class={`btn ${address === null ? "btn-primary" : "btn-outline-secondary"}`}
          disabled={busy}
        >
          {address === null ? "Start listening" : "Move"}
        </button>
      </form>
    </div>
  );
}
