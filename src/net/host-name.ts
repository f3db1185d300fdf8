/** Resolves host names. A name service may be slow or silent, so every caller passes a deadline. */
import { lookup } from "node:dns/promises";
import { type Address, canonicalIp, type HostPort, isIp, makeAddress } from "../core/address.ts";
import type { Clock } from "../core/clock.ts";
import { type Deadline, msLeft, stepOf } from "../core/deadline.ts";
import { P2pfsError } from "../core/errors.ts";
import { SECOND_MS } from "../core/units.ts";

/** The part of a command's time that a name lookup may take; the rest is for the command itself. */
export const LOOKUP_MS_MAX = SECOND_MS;

/** All IPs of a host name, IPv4 first; rejects where there is none. */
export type LookUp = (host: string) => Promise<readonly string[]>;

export const lookUpBySystem: LookUp = async (host) =>
  (await lookup(host, { all: true, order: "ipv4first" })).map(({ address }) => address);

/** The part of a `System` that name lookups need. */
export interface Names {
  readonly clock: Clock;
  readonly lookUp: LookUp;
}

/**
 * All IPs of a host; an IP literal is its own only IP. Throws `not_found` where the name has none, and `unreachable`
 * where the name service does not answer before the deadline or within LOOKUP_MS_MAX.
 */
export async function ipsOf(host: string, deadline: Deadline, { clock, lookUp }: Names): Promise<string[]> {
  if (isIp(host)) return [canonicalIp(host)];
  const now = clock.now();
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = clock.after(msLeft(stepOf(deadline, LOOKUP_MS_MAX, now), now), () =>
    reject(new P2pfsError("unreachable", `the name service does not answer for ${host}`)),
  );
  try {
    const found = await Promise.race([lookUp(host), late]);
    return [...new Set(found.map(canonicalIp))];
  } catch (cause) {
    if (cause instanceof P2pfsError) throw cause;
    const hint = "check the spelling of the host";
    throw new P2pfsError("not_found", `there is no host named ${host}`, { cause, hint });
  } finally {
    timer.cancel();
  }
}

/** One IP of a host, IPv4 where it has one. Throws as `ipsOf`. */
export async function resolveHost(host: string, deadline: Deadline, names: Names): Promise<string> {
  const [ip] = await ipsOf(host, deadline, names);
  if (ip === undefined) throw new P2pfsError("not_found", `the host ${host} has no address`);
  return ip;
}

export async function resolveHostPort({ host, port }: HostPort, deadline: Deadline, names: Names): Promise<Address> {
  return makeAddress(await resolveHost(host, deadline, names), port);
}

/** Whether two host names with ports share an IP and port; false where the lookup fails or is late. */
export async function isSamePlace(one: HostPort, other: HostPort, deadline: Deadline, names: Names): Promise<boolean> {
  if (one.port !== other.port) return false;
  if (one.host === other.host) return true;
  const ipsOrNone = ({ host }: HostPort) => ipsOf(host, deadline, names).catch((): string[] => []);
  const [ipsOfOne, ipsOfOther] = await Promise.all([ipsOrNone(one), ipsOrNone(other)]);
  return ipsOfOne.some((ip) => ipsOfOther.includes(ip));
}
