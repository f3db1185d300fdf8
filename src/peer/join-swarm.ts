/**
 * Joins a swarm by an invitation. The tracker shows the certificate of the swarm's authority, whose hash the invitation
 * has; only a tracker that this authority has certified gets the secret.
 */
import { X509Certificate } from "node:crypto";
import * as v from "valibot";
import { type Address, formatHostPort, type HostPort, parseHostPort } from "../core/address.ts";
import { type Deadline, msLeft, noticeDeadline } from "../core/deadline.ts";
import { asP2pfsError, P2pfsError } from "../core/errors.ts";
import { VERSION } from "../core/version.ts";
import {
  certificateFaults,
  checkCertificate,
  lapseOf,
  MEMBER_DNS_NAME,
  parseCertificate,
  roleOf,
} from "../identity/certificate.ts";
import { securityOf } from "../identity/credentials.ts";
import { type Invitation, sha256 } from "../identity/invitation.ts";
import { makeRequest } from "../identity/issuing.ts";
import { type PrivateKeyPem, peerIdOfKey, publicKeyOf } from "../identity/keys.ts";
import { type Membership, SwarmNameSchema } from "../identity/membership.ts";
import type { Renewed } from "../identity/renewal.ts";
import type { Connection } from "../net/connection.ts";
import { Endpoint } from "../net/endpoint.ts";
import type { Security } from "../net/security.ts";
import { realSystem, type System } from "../net/system.ts";
import type { Message } from "../wire/messages.ts";

const AGENT = `p2pfs/${VERSION}`;

export interface JoinOptions {
  readonly invitation: Invitation;
  /** The new member's, which stays here. */
  readonly key: PrivateKeyPem;
  /** By which the swarm's members are listed. */
  readonly name: string;
  /** S4: for one fetch. */
  readonly once?: boolean;
  /** Default: the real one. */
  readonly system?: System;
  /** Default: that of a command given now (R5). */
  readonly deadline?: Deadline;
}

/**
 * Asks the trackers of the invitation one after the other. Resolves to the membership, or to undefined while somebody has
 * to approve: then it can be called again, with the same key. Throws `tracker_unreachable`, `unauthorised` where others
 * answer than the invitation means, and `refused`.
 */
export async function joinSwarm({
  system = realSystem,
  deadline = noticeDeadline(system.clock.now()),
  once = false,
  ...asked
}: JoinOptions): Promise<Membership | undefined> {
  const options = { ...asked, system, deadline, once };
  let failure: P2pfsError | undefined;
  for (const tracker of options.invitation.trackers) {
    try {
      return await joinAt(tracker, options);
    } catch (thrown) {
      if (!(thrown instanceof P2pfsError) || thrown.code !== "unreachable") throw thrown;
      failure ??= new P2pfsError("tracker_unreachable", `cannot join at ${formatHostPort(tracker)}: ${thrown.message}`);
    }
  }
  throw failure!;
}

async function joinAt(tracker: HostPort, options: Required<JoinOptions>): Promise<Membership | undefined> {
  const { invitation, key, name, once, system, deadline } = options;
  const address = await endpointFor(system, noTrust).resolveHostPort(tracker, deadline);
  const authority = await authorityAt(address, options);
  const request = await makeRequest(key);
  const endpoint = endpointFor(system, trustIn(authority, system));
  const reply = await withConnection(endpoint, address, deadline, (connection) => {
    // Nobody else gets the secret.
    if (connection.member?.role !== "tracker")
      throw new P2pfsError("unauthorised", `${address} does not prove that it is a tracker of the swarm`);
    return connection.request(
      { type: "REQUEST_JOIN", secret: invitation.secret, certificate_request: request, name, once },
      { timeoutMs: msLeft(deadline, system.clock.now()) },
    );
  }).catch((thrown) => {
    // A hint does not travel.
    if (!(thrown instanceof P2pfsError) || thrown.code !== "refused") throw thrown;
    const hint = "ask for a new line at the tracker: `p2pfs swarm invite` prints it";
    throw new P2pfsError(thrown.code, thrown.message, { cause: thrown, hint });
  });
  return membershipOf(reply, authority, options);
}

/** Lets a tracker of the swarm know that this member leaves. Rejects where none can be reached. */
export async function sayGoodbye(membership: Membership, system = realSystem): Promise<void> {
  await asMember(membership, system, (connection, timeoutMs) =>
    connection.request({ type: "REQUEST_LEAVE" }, { timeoutMs }),
  );
}

/** S7, outside of a session. Rejects where no tracker of the swarm renews it. */
export function askRenewal(membership: Membership, system = realSystem): Promise<Renewed> {
  return asMember(membership, system, (connection, timeoutMs) =>
    connection.request({ type: "REQUEST_RENEW" }, { timeoutMs }),
  );
}

/** Asks the trackers of the swarm one after the other, within the time of a command (R5). */
async function asMember<Result>(
  membership: Membership,
  system: System,
  ask: (connection: Connection, timeoutMs: number) => Promise<Result>,
): Promise<Result> {
  const { clock } = system;
  const deadline = noticeDeadline(clock.now());
  const security = securityOf({
    membership: () => membership,
    isRevoked: () => false,
    wallTime: () => clock.wallTime(),
  });
  const role = roleOf(membership.certificate) ?? "peer";
  const endpoint = new Endpoint({
    system,
    local: () => ({ role, agent: AGENT, address: null }),
    security: () => security,
  });
  let failure = new P2pfsError("tracker_unreachable", "no tracker of the swarm is known");
  for (const tracker of membership.trackers) {
    try {
      const address = await endpoint.resolveHostPort(tracker, deadline);
      return await withConnection(endpoint, address, deadline, (connection) =>
        ask(connection, msLeft(deadline, clock.now())),
      );
    } catch (thrown) {
      failure = asP2pfsError(thrown);
    }
  }
  throw failure;
}

/** The certificate of the authority that the invitation means, as the tracker shows it. */
function authorityAt(
  address: Address,
  { invitation, system, deadline }: Required<JoinOptions>,
): Promise<X509Certificate> {
  return withConnection(endpointFor(system, noTrust), address, deadline, async ({ hello }) => {
    const authority = parseCertificate(hello.authority ?? new Uint8Array(0));
    if (authority === undefined) throw new P2pfsError("unauthorised", `${address} is no tracker of a swarm`);
    if (Buffer.compare(sha256(authority.raw), invitation.authorityHash) === 0) return authority;
    throw new P2pfsError("unauthorised", `the tracker at ${address} is of another swarm than the invitation`, {
      hint: "the invitation was not sent; ask for a new one at the tracker that you mean",
    });
  });
}

function membershipOf(
  { certificate: der, swarm, trackers }: Message<"REPLY_JOIN">,
  authority: X509Certificate,
  { key, invitation, system }: Required<JoinOptions>,
): Membership | undefined {
  if (der === null) return undefined;
  const peerId = peerIdOfKey(publicKeyOf(key));
  const verdict = checkCertificate(der, { authority, isRevoked: () => false }, system.clock.wallTime());
  if ("fault" in verdict || verdict.member.peerId !== peerId || verdict.member.role !== invitation.role) {
    const why = "fault" in verdict ? certificateFaults[verdict.fault] : "it is for somebody else";
    throw new P2pfsError("protocol", `the tracker's certificate cannot be used: ${why}`);
  }
  if (!v.is(SwarmNameSchema, swarm))
    throw new P2pfsError("protocol", "the tracker's swarm has a name that no swarm has");
  const named = trackers.map(parseHostPort).filter((tracker) => tracker !== undefined);
  const certificate = new X509Certificate(der);
  return { swarm, authority, key, certificate, peerId, trackers: named.length > 0 ? named : invitation.trackers };
}

/** For whoever is no member yet: it has no certificate, and does not know the authority. */
const noTrust: Security = {
  credentials: () => ({ serverName: MEMBER_DNS_NAME }),
  identify: () => ({ member: undefined }),
  lapse: () => undefined,
};

/** For whoever is no member yet, and knows the authority. */
function trustIn(authority: X509Certificate, { clock }: System): Security {
  const isRevoked = () => false;
  return {
    credentials: () => ({ serverName: MEMBER_DNS_NAME, authority: authority.toString() }),
    identify: ({ der, isTrusted }) => {
      const verdict = checkCertificate(der, { authority, isRevoked }, clock.wallTime());
      if ("fault" in verdict) return { fault: certificateFaults[verdict.fault] };
      return isTrusted && verdict.member.role === "tracker" ? verdict : { fault: certificateFaults.foreign };
    },
    lapse: (member) => {
      const fault = lapseOf(member, isRevoked, clock.wallTime());
      return fault && certificateFaults[fault];
    },
  };
}

function endpointFor(system: System, security: Security): Endpoint {
  return new Endpoint({
    system,
    local: () => ({ role: "peer", agent: AGENT, address: null }),
    security: () => security,
  });
}

async function withConnection<Result>(
  endpoint: Endpoint,
  address: Address,
  deadline: Deadline,
  use: (connection: Connection) => Promise<Result>,
): Promise<Result> {
  const connection = await endpoint.dial(address, { timeoutMs: msLeft(deadline, endpoint.system.clock.now()) });
  try {
    return await use(connection);
  } finally {
    connection.close();
  }
}
