/** The members of the tracker's swarm, machines that wait to be approved, and the invitations that can still be used. */
import type { Child } from "hono/jsx";
import type { InvitationInfo, MemberInfo } from "../../types.ts";
import { answerOf, pagesOf, trackerApi } from "../api.ts";
import { formatAge } from "../format.ts";
import { useAction, useEvents, useLoaded, useNow } from "../hooks.ts";
import { Card, Empty, Failure, Loading, Name, plainName } from "../parts/basics.tsx";
import { Confirm } from "../parts/dialog.tsx";
import { Icon } from "../parts/icons.tsx";
import { type Column, DataTable } from "../parts/table.tsx";
import { toast } from "../parts/toasts.tsx";
import { useState } from "../view-state.ts";
import { InviteDialog } from "./invite-dialog.tsx";

const RELOAD_MS = 3000;

export function TrackerMembers() {
  const status = useLoaded(() => answerOf(trackerApi.status.$get()), [], RELOAD_MS);
  if (status.value === undefined)
    return status.error === undefined ? <Loading lines={6} /> : <Failure error={status.error} retry={status.reload} />;
  if (status.value.swarm === null)
    return (
      <Empty icon="lock" title="This tracker is of no swarm">
        <p class="mb-2">Its connections are plain, and on this machine only. A private swarm begins with</p>
        <code>p2pfs tracker start --open</code>
      </Empty>
    );
  return <Members swarm={status.value.swarm} />;
}

function Members({ swarm }: { swarm: string }) {
  const [version, setVersion] = useState(0);
  const [isInviting, setInviting] = useState(false);
  const lists = useLoaded(
    async () => {
      const members: MemberInfo[] = [];
      for await (const page of pagesOf((query) => trackerApi.swarm.members.$get({ query }))) members.push(...page);
      const invitations = await answerOf(trackerApi.swarm.invitations.$get());
      setVersion((before) => before + 1);
      return { members: members.filter(({ state }) => state !== "revoked"), invitations };
    },
    [],
    RELOAD_MS,
  );
  useEvents(["hello", "peer_joined", "peer_left"], lists.reload, 150);
  if (lists.value === undefined)
    return lists.error === undefined ? <Loading lines={6} /> : <Failure error={lists.error} retry={lists.reload} />;
  const { members, invitations } = lists.value;
  return (
    <div class="view-body">
      <Card flush>
        <MemberTable
          members={members}
          version={version}
          onChanged={lists.reload}
          tools={
            <button type="button" class="btn btn-primary" onClick={() => setInviting(true)}>
              <Icon name="peers" /> Let machines in
            </button>
          }
        />
      </Card>
      {invitations.length > 0 && (
        <Card title="Invitations" flush>
          <InvitationTable invitations={invitations} version={version} onChanged={lists.reload} />
        </Card>
      )}
      <p class="text-secondary">
        Swarm <Name text={swarm} />: everything between its members is encrypted, and nobody else is let in.
      </p>
      {isInviting && <InviteDialog onMade={lists.reload} onClose={() => setInviting(false)} />}
    </div>
  );
}

interface MemberTableProps {
  readonly members: readonly MemberInfo[];
  readonly version: number;
  readonly onChanged: () => void;
  readonly tools: Child;
}

function MemberTable({ members, version, onChanged, tools }: MemberTableProps) {
  const now = useNow();
  const ago = (time: string) => `${formatAge(now - Date.parse(time))} ago`;
  const columns: Column<MemberInfo>[] = [
    {
      heading: "Name",
      sortBy: ({ name }) => name,
      class: "cell-name",
      cell: ({ name, id }) => (
        <div class="d-flex flex-column">
          <Name text={name} />
          <span class="small text-secondary text-truncate">{id}</span>
        </div>
      ),
    },
    { heading: "Role", sortBy: ({ role }) => role, cell: ({ role }) => role },
    { heading: "State", sortBy: stateOf, cell: (member) => <State member={member} /> },
    { heading: "Joined", sortBy: ({ joined }) => joined, class: "hide-narrow", cell: ({ joined }) => ago(joined) },
    {
      heading: "Last seen",
      sortBy: ({ last_seen }) => last_seen ?? "",
      class: "hide-narrow",
      cell: ({ last_seen }) => (last_seen === null ? "never" : ago(last_seen)),
    },
    {
      heading: "Certificate until",
      sortBy: ({ expires }) => expires ?? "",
      class: "hide-narrow",
      cell: ({ expires }) => expires?.slice(0, 10) ?? "",
    },
    {
      heading: "Actions",
      align: "end",
      class: "cell-actions",
      cell: (member) => <MemberActions member={member} onChanged={onChanged} />,
    },
  ];
  return (
    <DataTable
      caption="Members"
      rows={members}
      version={version + now}
      columns={columns}
      keyOf={({ id }) => id}
      textOf={({ name, id }) => `${name} ${id}`}
      searchLabel="Search names and ids"
      tools={tools}
      empty={<Empty icon="peers" title="There is no member yet" />}
    />
  );
}

function stateOf({ state, online }: MemberInfo): string {
  if (state === "waiting") return "waits for approval";
  return online ? "online" : "offline";
}

function State({ member }: { member: MemberInfo }) {
  return (
    <span class="d-inline-flex align-items-center gap-2">
      <i class={member.online ? "dot good" : "dot"} aria-hidden="true" />
      {stateOf(member)}
    </span>
  );
}

/** A tracker removes no tracker from here, where that could be itself; the command line can. */
function MemberActions({
  member: { id, name, role, state },
  onChanged,
}: {
  member: MemberInfo;
  onChanged: () => void;
}) {
  const { busy, run } = useAction();
  const [isAsking, setAsking] = useState(false);
  const json = { member: id };
  const approve = () =>
    run(async () => {
      await answerOf(trackerApi.swarm.approve.$post({ json }));
      toast.done(`${plainName(name)} is a member now.`);
      onChanged();
    });
  const revoke = () =>
    run(async () => {
      await answerOf(trackerApi.swarm.revoke.$post({ json }));
      toast.done(`${plainName(name)} is no member any more.`);
      onChanged();
    });
  return (
    <span class="actions">
      {state === "waiting" && (
        <button type="button" class="btn btn-primary btn-sm" disabled={busy} onClick={approve}>
          <Icon name="check" /> Approve<span class="visually-hidden"> {plainName(name)}</span>
        </button>
      )}
      {role === "peer" && (
        <button type="button" class="btn btn-outline-danger btn-sm" disabled={busy} onClick={() => setAsking(true)}>
          <Icon name="close" /> Remove<span class="visually-hidden"> {plainName(name)}</span>
        </button>
      )}
      {isAsking && (
        <Confirm
          title={`Remove ${plainName(name)}?`}
          text={
            <p class="mb-0">
              Its connections are closed within a minute, everywhere. To come back it needs a new invitation.
            </p>
          }
          action="Remove it"
          onConfirm={revoke}
          onClose={() => setAsking(false)}
        />
      )}
    </span>
  );
}

interface InvitationTableProps {
  readonly invitations: readonly InvitationInfo[];
  readonly version: number;
  readonly onChanged: () => void;
}

function InvitationTable({ invitations, version, onChanged }: InvitationTableProps) {
  const { busy, run } = useAction();
  const end = (id: string) =>
    run(async () => {
      await answerOf(trackerApi.swarm.invitations[":id"].$delete({ param: { id } }));
      toast.done(`Nobody can join by ${id} any more.`);
      onChanged();
    });
  const columns: Column<InvitationInfo>[] = [
    { heading: "Invitation", class: "cell-name", cell: ({ id }) => <code>{id}</code> },
    { heading: "Note", cell: ({ label }) => <Name text={label} /> },
    { heading: "Role", cell: ({ role }) => role },
    { heading: "Used", align: "end", cell: ({ used, uses }) => `${used} of ${uses}` },
    { heading: "Until", class: "hide-narrow", cell: ({ expires }) => new Date(expires).toLocaleString("en") },
    {
      heading: "Actions",
      align: "end",
      class: "cell-actions",
      cell: ({ id }) => (
        <button type="button" class="btn btn-outline-secondary btn-sm" disabled={busy} onClick={() => end(id)}>
          <Icon name="close" /> End<span class="visually-hidden"> the invitation {id}</span>
        </button>
      ),
    },
  ];
  return (
    <DataTable
      caption="Invitations"
      rows={invitations}
      version={version}
      columns={columns}
      keyOf={({ id }) => id}
      empty={<Empty icon="link" title="There is no invitation" />}
    />
  );
}
