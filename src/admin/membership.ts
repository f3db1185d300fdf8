/**
 * The commands on this machine's own membership (S1, S3, S5): they work on a data folder whose role does not run. Each
 * throws `already_running` while it does.
 */
import { hostname } from "node:os";
import * as v from "valibot";
import { noticeDeadline } from "../core/deadline.ts";
import { P2pfsError } from "../core/errors.ts";
import { HOST_NAME_BYTES_MAX } from "../core/limits.ts";
import { clipToBytes } from "../core/text.ts";
import { foundSwarm } from "../identity/found-swarm.ts";
import { parseInvitation } from "../identity/invitation.ts";
import { createPrivateKeyPem } from "../identity/keys.ts";
import { type Membership, SwarmNameSchema } from "../identity/membership.ts";
import { realSystem } from "../net/system.ts";
import { joinSwarm } from "../peer/join-swarm.ts";
import { type DataFolder, openDataFolder, type Role } from "../store/data-folder.ts";
import type { MembershipFiles } from "../store/membership-files.ts";

const { clock, random } = realSystem;
/** Between two tries while somebody has to approve. */
const APPROVAL_POLL_MS = 2000;

/** Where a machine belongs to. */
export interface MembershipInfo {
  readonly swarm: string;
  readonly role: Role;
  /** The peer id. */
  readonly id: string;
  readonly expires: string;
  readonly data_folder: string;
}

/** S1: in the data folder of a tracker. */
export async function createSwarm({ dataFolder, name = defaultName() }: { dataFolder?: string; name?: string }) {
  return withFolder("tracker", dataFolder, async (folder) => {
    assertInNoSwarm(folder);
    await foundSwarmIn(folder, name);
    return infoOf(folder);
  });
}

/** Makes a swarm in a folder that is open. The authority's key is there before anything needs it. */
export async function foundSwarmIn(folder: DataFolder, name = defaultName()): Promise<void> {
  const { membership, authorityKey } = await foundSwarm(v.parse(SwarmNameSchema, name), clock.wallTime(), random);
  folder.membership.writeAuthorityKey(authorityKey);
  folder.membership.write(membership);
}

export interface JoinRequest {
  readonly token: string;
  readonly dataFolder?: string | undefined;
  /** By which others list this machine. Default: its host name. */
  readonly name?: string | undefined;
  /** Called once, where somebody has to approve. */
  readonly waiting: (name: string) => void;
  /** Ends the wait for an approval. */
  readonly interrupted: Promise<unknown>;
}

/** S3: the role is that of the invitation. Throws `cancelled` where the wait for an approval was interrupted. */
export async function joinBy(request: JoinRequest): Promise<MembershipInfo> {
  const invitation = parseInvitation(request.token.trim());
  return withFolder(invitation.role, request.dataFolder, async (folder) => {
    assertInNoSwarm(folder);
    // Kept until the machine is a member: whoever asks again with the same key is the same machine.
    const key = folder.membership.readPendingKey() ?? (await createPrivateKeyPem());
    folder.membership.writePendingKey(key);
    const name = request.name ?? ownName();
    const membership = await joinWhenApproved(request, () =>
      joinSwarm({ invitation, key, name, system: realSystem, deadline: noticeDeadline(clock.now()) }),
    );
    folder.membership.write(membership);
    folder.membership.removePendingKey();
    return infoOf(folder);
  });
}

async function joinWhenApproved(
  { waiting, interrupted, name = ownName() }: JoinRequest,
  join: () => Promise<Membership | undefined>,
): Promise<Membership> {
  let isInterrupted = false;
  interrupted.then(() => {
    isInterrupted = true;
  });
  for (let tries = 0; ; tries++) {
    const membership = await join();
    if (membership !== undefined) return membership;
    if (tries === 0) waiting(name);
    await Promise.race([interrupted, Bun.sleep(APPROVAL_POLL_MS)]);
    if (isInterrupted)
      throw new P2pfsError("cancelled", "nobody has approved this machine yet", {
        hint: "run the same command again to go on waiting",
      });
  }
}

async function withFolder<Result>(
  role: Role,
  dataFolder: string | undefined,
  use: (folder: DataFolder) => Promise<Result>,
): Promise<Result> {
  const folder = openDataFolder({ role, flag: dataFolder });
  try {
    return await use(folder);
  } finally {
    folder.close();
  }
}

/** S6: of a role that is to run. Throws `refused` for a member that is not to encrypt. */
export function membershipFor(files: MembershipFiles, insecure: boolean): Membership | undefined {
  const membership = files.read();
  if (membership === undefined || !insecure) return membership;
  throw new P2pfsError("refused", `this role is of the swarm ${membership.swarm}, which encrypts everything`, {
    hint: "start it without --insecure; `p2pfs swarm leave` leaves the swarm",
  });
}

function assertInNoSwarm(folder: DataFolder): void {
  const membership = folder.membership.read();
  if (membership === undefined) return;
  throw new P2pfsError("refused", `this ${folder.role} is of the swarm ${membership.swarm} already`, {
    hint: "`p2pfs swarm leave` leaves it; another data folder (--data) can be of another swarm",
  });
}

function infoOf(folder: DataFolder): MembershipInfo {
  const { swarm, peerId, certificate } = folder.membership.read()!;
  const expires = new Date(certificate.validTo).toISOString();
  return { swarm, role: folder.role, id: peerId, expires, data_folder: folder.path };
}

function ownName(): string {
  return clipToBytes(hostname(), HOST_NAME_BYTES_MAX);
}

/** Of a new swarm: the host name, as far as a swarm can be called so. */
function defaultName(): string {
  const name = hostname()
    .replace(/[^A-Za-z0-9._-]+/g, "-")
    .slice(0, 63)
    .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, "");
  return v.is(SwarmNameSchema, name) ? name : "swarm";
}
