/** Whoever is no member of a private swarm, or not the one that it says: each has a name, for tables of tests. */
import { DAY_MS } from "../../src/core/units.ts";
import { securityOf } from "../../src/identity/credentials.ts";
import type { Security } from "../../src/net/security.ts";
import { realSystem } from "../../src/net/system.ts";
import type { Role } from "../../src/wire/messages.ts";
import { authorityOf, certified, type Owner } from "../identity/support.ts";

/** How somebody connects: the role in its HELLO, and its certificate, if it has one. */
export interface Caller {
  readonly role: Role;
  /** Undefined for a plain connection. */
  readonly security: Security | undefined;
}

export interface SwarmUnderTest {
  readonly authority: Owner;
  /** Removes this member; everybody has heard of it when that resolves. */
  remove(member: Owner): Promise<void> | void;
}

/** Connections as this member of a swarm, which believes whatever the other side shows. */
export function securityAs({ privateKey: key, certificate, peerId }: Owner, authority: Owner): Security {
  const membership = {
    swarm: "lab",
    authority: authority.certificate,
    key,
    certificate,
    peerId: peerId!,
    trackers: [],
  };
  return securityOf({
    membership: () => membership,
    isRevoked: () => false,
    wallTime: realSystem.clock.wallTime,
  });
}

const now = () => realSystem.clock.wallTime();

/** By name; each is turned away with a reason that fits the pattern. */
export const outsiders: Readonly<
  Record<string, { readonly reason: RegExp; call(swarm: SwarmUnderTest): Promise<Caller> }>
> = {
  "a plain client": {
    reason: /closed the connection/,
    call: async () => ({ role: "peer", security: undefined }),
  },
  "a member of another swarm": {
    reason: /another swarm/,
    call: async () => {
      const other = await authorityOf("lab", now());
      return { role: "peer", security: securityAs(await certified(other, "peer", now()), other) };
    },
  },
  "one whose certificate has expired": {
    reason: /expired/,
    call: async ({ authority }) => ({
      role: "peer",
      security: securityAs(await certified(authority, "peer", now() - 100 * DAY_MS), authority),
    }),
  },
  "one whose certificate is not valid yet": {
    reason: /not valid yet/,
    call: async ({ authority }) => ({
      role: "peer",
      security: securityAs(await certified(authority, "peer", now() + DAY_MS), authority),
    }),
  },
  "one that was removed": {
    reason: /removed from the swarm/,
    call: async ({ authority, remove }) => {
      const removed = await certified(authority, "peer", now());
      await remove(removed);
      return { role: "peer", security: securityAs(removed, authority) };
    },
  },
  "a peer that says it is a tracker": {
    reason: /for a peer, not for a tracker/,
    call: async ({ authority }) => ({
      role: "tracker",
      security: securityAs(await certified(authority, "peer", now()), authority),
    }),
  },
  "one that a peer has certified": {
    reason: /another swarm/,
    call: async ({ authority }) => {
      const peer = await certified(authority, "peer", now());
      return { role: "peer", security: securityAs(await certified(peer, "peer", now()), authority) };
    },
  },
};
