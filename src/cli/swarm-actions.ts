/** The actions of `p2pfs swarm`: on this machine's own membership, and on the members of a tracker's swarm. */
import { allPagesOf, answerOf, type InvitationInfo, type MemberInfo } from "../admin/client.ts";
import { sourceError } from "../core/disk-error.ts";
import { P2pfsError } from "../core/errors.ts";
import { SIGNED_TEXT_CHARACTERS_MAX } from "../core/limits.ts";
import type { CliContext, CommonFlags } from "./context.ts";
import { formatAgo, printable } from "./format.ts";
import { invitationText } from "./invitation-text.ts";
import { joinRequestOf } from "./join-request.ts";
import { resolvePath } from "./paths.ts";
import { dataFolderOf, reachTracker } from "./reach.ts";
import { writeList, writeResult } from "./render.ts";
import { interruptionOf } from "./signals.ts";
import type { Column } from "./table.ts";

const membership = () => import("../admin/membership.ts");

export interface InviteFlags extends CommonFlags {
  readonly uses?: number;
  /** Milliseconds. */
  readonly for?: number;
  readonly role?: "peer" | "tracker";
  readonly approve?: boolean;
  readonly label?: string;
}

export interface InvitesFlags extends CommonFlags {
  readonly revoke?: string;
}

export interface RequestFlags extends CommonFlags {
  readonly role?: "peer" | "tracker";
}

export interface SignFlags extends CommonFlags {
  readonly role?: "peer" | "tracker";
  readonly name?: string;
}

export interface JoinFlags extends CommonFlags {
  readonly name?: string;
}

export async function create(this: CliContext, flags: CommonFlags, name?: string): Promise<void> {
  const { createSwarm } = await membership();
  const made = await createSwarm({ dataFolder: dataFolderOf(this, flags), name });
  writeResult(
    this,
    flags,
    made,
    ({ swarm, data_folder }) =>
      `made the swarm ${printable(swarm)} in ${printable(data_folder)}\n` +
      "`p2pfs tracker start --open` starts its tracker, and `p2pfs swarm invite` prints the line by which a machine joins",
  );
}

export async function join(this: CliContext, flags: JoinFlags, token?: string): Promise<void> {
  const { joinBy } = await membership();
  const interruption = interruptionOf(this);
  try {
    const asked = await joinRequestOf(this, token, flags.name, interruption);
    if (asked === undefined)
      throw new P2pfsError("usage", "the invitation is missing", {
        hint: "p2pfs swarm join p2pfs-join:…; the tracker's `p2pfs swarm invite` prints the whole line",
      });
    const joined = await joinBy({ ...asked, dataFolder: dataFolderOf(this, flags) });
    writeResult(
      this,
      flags,
      joined,
      ({ swarm, role, name, expires }) =>
        `joined the swarm ${printable(swarm)} as ${role} ${printable(name)} until ${expires.slice(0, 10)}; it renews itself`,
    );
  } finally {
    interruption.stopListening();
  }
}

export async function leave(this: CliContext, flags: CommonFlags): Promise<void> {
  const { leaveSwarm } = await membership();
  const left = await leaveSwarm({ dataFolder: dataFolderOf(this, flags) });
  writeResult(this, flags, left, ({ swarm, told }) => {
    const unheard = told ? "" : "; its tracker could not be told, so remove this machine there: p2pfs swarm revoke";
    return `left the swarm ${printable(swarm)}${unheard}`;
  });
}

export async function show(this: CliContext, flags: CommonFlags): Promise<void> {
  const { ownMemberships } = await membership();
  const rows = ownMemberships({ dataFolder: dataFolderOf(this, flags) });
  const columns: Column<(typeof rows)[number]>[] = [
    { heading: "SWARM", cell: ({ swarm }) => swarm },
    { heading: "ROLE", cell: ({ role }) => role },
    { heading: "ID", cell: ({ id }) => id },
    { heading: "EXPIRES", cell: ({ expires }) => expires.slice(0, 10) },
    { heading: "TRACKERS", cell: ({ trackers }) => trackers.join(" ") },
    { heading: "DATA FOLDER", cell: ({ data_folder }) => data_folder },
  ];
  await writeList(this, flags, rows, columns, "this machine is of no swarm");
}

export async function request(this: CliContext, flags: RequestFlags): Promise<void> {
  const { requestCertificate } = await membership();
  const made = await requestCertificate({ dataFolder: dataFolderOf(this, flags), role: flags.role ?? "peer" });
  writeResult(this, flags, made, ({ request }) => request.trimEnd());
}

export async function accept(this: CliContext, flags: CommonFlags, file: string): Promise<void> {
  const { acceptCertificate } = await membership();
  const text = await readText(this, file);
  const joined = await acceptCertificate({ dataFolder: dataFolderOf(this, flags), text });
  writeResult(
    this,
    flags,
    joined,
    ({ swarm, role, expires }) =>
      `joined the swarm ${printable(swarm)} as ${role} until ${expires.slice(0, 10)}; it renews itself`,
  );
}

/** At a tracker's prompt. */
export async function showSwarm(this: CliContext, flags: CommonFlags): Promise<void> {
  const shown = await answerOf(reachTracker(this, flags).api.swarm.$get());
  writeResult(this, flags, shown, ({ swarm, id, expires, trackers }) =>
    [
      `swarm ${printable(swarm)}`,
      `this tracker is its member ${id} until ${expires.slice(0, 10)}; that renews itself`,
      `machines join at ${trackers.join(" and ") || "no address yet: `start` makes it listen"}`,
    ].join("\n"),
  );
}

export async function invite(this: CliContext, flags: InviteFlags): Promise<void> {
  const { uses, for: forMs, role, approve, label } = flags;
  const json = {
    ...(uses === undefined ? {} : { uses }),
    ...(forMs === undefined ? {} : { for_ms: forMs }),
    ...(role === undefined ? {} : { role }),
    ...(approve === undefined ? {} : { approve }),
    ...(label === undefined ? {} : { label }),
  };
  const invited = await answerOf(reachTracker(this, flags).api.swarm.invitations.$post({ json }));
  writeResult(this, flags, invited, invitationText);
}

export async function invites(this: CliContext, flags: InvitesFlags): Promise<void> {
  const { api } = reachTracker(this, flags);
  if (flags.revoke !== undefined) {
    const ended = await answerOf(api.swarm.invitations[":id"].$delete({ param: { id: flags.revoke } }));
    return writeResult(this, flags, ended, ({ id }) => `nobody can join by ${id} any more`);
  }
  const rows = await answerOf(api.swarm.invitations.$get());
  const columns: Column<InvitationInfo>[] = [
    { heading: "ID", cell: ({ id }) => id },
    { heading: "ROLE", cell: ({ role }) => role },
    { heading: "USED", align: "right", cell: ({ used, uses }) => `${used} of ${uses}` },
    { heading: "APPROVAL", cell: ({ approve }) => (approve ? "yes" : "no") },
    { heading: "EXPIRES", cell: ({ expires }) => expires.slice(0, 16).replace("T", " ") },
    { heading: "LABEL", cell: ({ label }) => label },
  ];
  await writeList(this, flags, rows, columns, "there is no invitation");
}

export async function members(this: CliContext, flags: CommonFlags): Promise<void> {
  const { api } = reachTracker(this, flags);
  const rows = await allPagesOf<MemberInfo>((query) => api.swarm.members.$get({ query }));
  const now = Date.now();
  const columns: Column<MemberInfo>[] = [
    { heading: "NAME", cell: ({ name }) => name },
    { heading: "ID", cell: ({ id }) => id },
    { heading: "ROLE", cell: ({ role }) => role },
    { heading: "STATE", cell: ({ state, online }) => (state === "member" ? (online ? "online" : "offline") : state) },
    { heading: "JOINED", cell: ({ joined }) => formatAgo(joined, now) },
    { heading: "EXPIRES", cell: ({ expires }) => expires?.slice(0, 10) ?? "" },
    { heading: "LAST SEEN", cell: ({ last_seen }) => (last_seen === null ? "never" : formatAgo(last_seen, now)) },
  ];
  await writeList(this, flags, rows, columns, "there is no member");
}

export async function approve(this: CliContext, flags: CommonFlags, member: string): Promise<void> {
  const approved = await answerOf(reachTracker(this, flags).api.swarm.approve.$post({ json: { member } }));
  writeResult(this, flags, approved, ({ name, id }) => `${printable(name)} is a member now (${id})`);
}

export async function revoke(this: CliContext, flags: CommonFlags, member: string): Promise<void> {
  const revoked = await answerOf(reachTracker(this, flags).api.swarm.revoke.$post({ json: { member } }));
  writeResult(this, flags, revoked, ({ name, id, invitation }) => {
    const removed = `${printable(name)} is no member any more (${id})`;
    if (invitation === null) return removed;
    return `${removed}\nthe invitation by which it came can still be used; p2pfs swarm invites --revoke ${invitation} ends it`;
  });
}

export async function sign(this: CliContext, flags: SignFlags, file: string): Promise<void> {
  const { role, name } = flags;
  const json = {
    request: await readText(this, file),
    ...(role === undefined ? {} : { role }),
    ...(name === undefined ? {} : { name }),
  };
  const signed = await answerOf(reachTracker(this, flags).api.swarm.sign.$post({ json }));
  writeResult(this, flags, signed, ({ certificate }) => certificate.trimEnd());
}

/** A request or a certificate as text. Throws `not_found` and `disk` if the file cannot be read, `usage` if it is longer than either. */
async function readText(context: CliContext, file: string): Promise<string> {
  const path = resolvePath(context, file);
  let text: string;
  try {
    text = await Bun.file(path)
      .slice(0, SIGNED_TEXT_CHARACTERS_MAX + 1)
      .text();
  } catch (cause) {
    throw sourceError(`cannot read ${file}`, cause);
  }
  if (text.length > SIGNED_TEXT_CHARACTERS_MAX)
    throw new P2pfsError("usage", `${file} is neither a request nor a certificate`, {
      hint: "`p2pfs swarm request` and `p2pfs swarm sign` print them",
    });
  return text;
}
