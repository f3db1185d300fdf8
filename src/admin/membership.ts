/**
 * The commands on this machine's own membership (S1, S3, S5): they work on a data folder whose role does not run. Each
 * throws `already_running` while it does.
 */
import { hostname } from "node:os";
import * as v from "valibot";
import { formatHostPort } from "../core/address.ts";
import { P2pfsError } from "../core/errors.ts";
import { HOST_NAME_BYTES_MAX } from "../core/limits.ts";
import { clipToBytes } from "../core/text.ts";
import { roleOf } from "../identity/certificate.ts";
import { type Invitation, parseInvitation, sha256 } from "../identity/invitation.ts";
import { makeRequest } from "../identity/issuing.ts";
import { createPrivateKeyPem, type PrivateKeyPem } from "../identity/keys.ts";
import { type Membership, SwarmNameSchema } from "../identity/membership.ts";
import { membershipFromSigned, pemOf, roleInSigned } from "../identity/signed.ts";
import { joinSwarm, sayGoodbye } from "../peer/join-swarm.ts";
import { type DataFolder, openDataFolder, type Role, resolveDataFolder } from "../store/data-folder.ts";
import { MembershipFiles } from "../store/membership-files.ts";
import { newSwarm } from "../tracker/private-swarm.ts";

/** Between two tries while somebody has to approve. */
const APPROVAL_POLL_MS = 2000;

/** What one data folder belongs to. */
export interface MembershipInfo {
  readonly swarm: string;
  readonly role: Role;
  /** The peer id. */
  readonly id: string;
  /** When the certificate ends; it is renewed before. */
  readonly expires: string;
  /** SHA-256 of the certificate of the authority. */
  readonly authority: string;
  /** `HOST:PORT` */
  readonly trackers: readonly string[];
  readonly data_folder: string;
}

interface OfFolder {
  /** As the user named it. Default: the role's. */
  readonly dataFolder?: string | undefined;
}

/** S1: in the data folder of a tracker. */
export function createSwarm({ dataFolder, name }: OfFolder & { name?: string | undefined }): Promise<MembershipInfo> {
  return withFolder("tracker", dataFolder, async (folder) => {
    assertInNoSwarm(folder);
    await foundSwarmIn(folder, name);
    return infoOf(folder);
  });
}

/** Makes a swarm in a folder that is open. The authority's key is there before anything needs it. */
export async function foundSwarmIn(folder: DataFolder, name = defaultName()): Promise<void> {
  const parsed = v.safeParse(SwarmNameSchema, name);
  if (!parsed.success) throw new P2pfsError("usage", `a swarm cannot be called ${name}: ${parsed.issues[0].message}`);
  const { membership, authorityKey } = await newSwarm(parsed.output);
  folder.membership.writeAuthorityKey(authorityKey);
  folder.membership.write(membership);
}

export interface JoinRequest {
  readonly token: string;
  /** By which others list this machine. Default: its host name. */
  readonly name?: string | undefined;
  /** Called once, where somebody has to approve. */
  readonly waiting: (name: string) => void;
  /** Ends the wait for an approval. */
  readonly interrupted: Promise<unknown>;
}

/** S3: the role is that of the invitation. Throws `cancelled` where the wait for an approval was interrupted. */
export function joinBy(request: JoinRequest & OfFolder): Promise<MembershipInfo & { readonly name: string }> {
  const invitation = parseInvitation(request.token);
  return withFolder(invitation.role, request.dataFolder, async (folder) => {
    assertInNoSwarm(folder);
    const { name = ownName() } = request;
    folder.membership.write(await joinWhenApproved(invitation, await pendingKeyOf(folder), { ...request, name }));
    folder.membership.removePendingKey();
    return { ...infoOf(folder), name };
  });
}

/** S4: a membership of this process, of which nothing is kept. Throws as `joinBy`. */
export async function joinForOnce(request: JoinRequest): Promise<Membership> {
  const invitation = parseInvitation(request.token);
  if (invitation.role !== "peer")
    throw new P2pfsError("refused", "this invitation is for a tracker, which fetches nothing", {
      hint: "`p2pfs swarm invite` makes one for a peer",
    });
  const asked = { ...request, name: request.name ?? ownName(), once: true };
  return joinWhenApproved(invitation, await createPrivateKeyPem(), asked);
}

/** Lets the tracker know if it can be reached. What the role shares and has fetched stays. */
export async function leaveSwarm({
  dataFolder,
}: OfFolder): Promise<{ readonly swarm: string; readonly told: boolean }> {
  const role = roleOfMember(dataFolder);
  return withFolder(role, dataFolder, async (folder) => {
    const membership = folder.membership.read();
    if (membership === undefined) throw inNoSwarm();
    if (folder.membership.readAuthorityKey(membership) !== undefined)
      throw new P2pfsError("refused", `this tracker made the swarm ${membership.swarm}, which ends without it`, {
        hint: `to end it for good, remove the files swarm* from ${folder.path}`,
      });
    const told = await leaveForGood(membership);
    folder.membership.remove();
    return { swarm: membership.swarm, told };
  });
}

/** Whether a tracker of the swarm was reached, which then lets this member in no more, or has done so before. */
export function leaveForGood(membership: Membership): Promise<boolean> {
  return sayGoodbye(membership).then(
    () => true,
    (thrown) => thrown instanceof P2pfsError && thrown.code === "unauthorised",
  );
}

/** Of the data folder; where none is named, of both roles' folders. */
export function ownMemberships({ dataFolder }: OfFolder): MembershipInfo[] {
  const found = (["tracker", "peer"] as const).flatMap((role) => {
    const path = resolveDataFolder({ role, flag: dataFolder });
    const membership = new MembershipFiles(path).read();
    return membership === undefined ? [] : [infoFor(membership, path)];
  });
  return dataFolder === undefined ? found : found.slice(0, 1);
}

/** S5, without a network path: the request for a certificate, as PEM. */
export function requestCertificate({
  dataFolder,
  role,
}: OfFolder & { role: Role }): Promise<{ readonly request: string }> {
  return withFolder(role, dataFolder, async (folder) => {
    assertInNoSwarm(folder);
    return { request: pemOf(await makeRequest(await pendingKeyOf(folder)), "CERTIFICATE REQUEST") };
  });
}

/** @param text what `swarm sign` has printed */
export function acceptCertificate({ dataFolder, text }: OfFolder & { text: string }): Promise<MembershipInfo> {
  return withFolder(roleInSigned(text) ?? "peer", dataFolder, async (folder) => {
    assertInNoSwarm(folder);
    const key = folder.membership.readPendingKey();
    if (key === undefined)
      throw new P2pfsError("refused", "this machine has not asked for a certificate", {
        hint: "`p2pfs swarm request` prints the request (--role tracker for a tracker); the key stays in the data folder",
      });
    const membership = membershipFromSigned(text, key, Date.now());
    assertOfRole(membership, folder.role);
    folder.membership.write(membership);
    folder.membership.removePendingKey();
    return infoOf(folder);
  });
}

async function joinWhenApproved(
  invitation: Invitation,
  key: PrivateKeyPem,
  { name, once = false, waiting, interrupted }: JoinRequest & { readonly name: string; readonly once?: boolean },
): Promise<Membership> {
  let isInterrupted = false;
  interrupted.then(() => {
    isInterrupted = true;
  });
  for (let tries = 0; ; tries++) {
    const membership = await joinSwarm({ invitation, key, name, once });
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
  const folder = openIdle(role, dataFolder);
  try {
    return await use(folder);
  } finally {
    folder.close();
  }
}

/** A membership changes while its role does not run. */
function openIdle(role: Role, dataFolder: string | undefined): DataFolder {
  try {
    return openDataFolder({ role, flag: dataFolder });
  } catch (thrown) {
    if (!(thrown instanceof P2pfsError) || thrown.code !== "already_running") throw thrown;
    throw new P2pfsError(thrown.code, thrown.message, {
      cause: thrown,
      hint: `end the ${role} that runs there, by \`p2pfs ${role} exit\`, and try again`,
    });
  }
}

/** S6: of a role that is to run. Throws `refused` for a member of the other role, and for one that is not to encrypt. */
export function membershipFor(files: MembershipFiles, role: Role, insecure: boolean): Membership | undefined {
  const membership = files.read();
  if (membership === undefined) return undefined;
  assertOfRole(membership, role);
  if (!insecure) return membership;
  throw new P2pfsError("refused", `this role is of the swarm ${membership.swarm}, which encrypts everything`, {
    hint: "start it without --insecure; `p2pfs swarm leave` leaves the swarm",
  });
}

function assertOfRole({ swarm, certificate }: Membership, role: Role): void {
  const certified = roleOf(certificate);
  if (certified === role) return;
  throw new P2pfsError("refused", `the certificate is for a ${certified} of the swarm ${swarm}, not for a ${role}`, {
    hint: `a ${role} needs a data folder of its own (--data) and a certificate of its role`,
  });
}

function assertInNoSwarm(folder: DataFolder): void {
  const membership = folder.membership.read();
  if (membership === undefined) return;
  const isFounder = folder.membership.readAuthorityKey(membership) !== undefined;
  throw new P2pfsError("refused", `this ${folder.role} is of the swarm ${membership.swarm} already`, {
    hint: `${isFounder ? "it made that swarm" : "`p2pfs swarm leave` leaves it"}; another data folder (--data) can be of another one`,
  });
}

/** Kept until the machine is a member: whoever asks again with the same key is the same machine. */
async function pendingKeyOf({ membership }: DataFolder): Promise<PrivateKeyPem> {
  const key = membership.readPendingKey() ?? (await createPrivateKeyPem());
  membership.writePendingKey(key);
  return key;
}

function infoOf(folder: DataFolder): MembershipInfo {
  return infoFor(folder.membership.read()!, folder.path);
}

function infoFor({ swarm, peerId, certificate, authority, trackers }: Membership, path: string): MembershipInfo {
  return {
    swarm,
    role: roleOf(certificate) ?? "peer",
    id: peerId,
    expires: new Date(certificate.validTo).toISOString(),
    authority: sha256(authority.raw).toHex(),
    trackers: trackers.map(formatHostPort),
    data_folder: path,
  };
}

/** Of the folder that the user named, or of the one that is a member. */
function roleOfMember(dataFolder: string | undefined): Role {
  const [member, ...others] = ownMemberships({ dataFolder });
  if (member === undefined) throw inNoSwarm();
  if (others.length === 0) return member.role;
  throw new P2pfsError("ambiguous", "both the tracker and the peer of this machine are of a swarm", {
    hint: "name the one that is to leave by its data folder: --data DIR; `p2pfs swarm show` lists them",
  });
}

function inNoSwarm(): P2pfsError {
  return new P2pfsError("refused", "this machine is of no swarm", { hint: "`p2pfs swarm join` joins one" });
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
