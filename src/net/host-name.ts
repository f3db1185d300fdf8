/** From host names to IPs. A name service may be slow or never answer, so whoever asks says until when. */
import { lookup } from "node:dns/promises";
import { type Address, canonicalIp, type HostPort, isIp, makeAddress } from "../core/address.ts";
import type { Clock } from "../core/clock.ts";
import { type Deadline, msLeft, stepOf } from "../core/deadline.ts";
import { P2pfsError } from "../core/errors.ts";
import { SECOND_MS } from "../core/units.ts";

/** Of the time that a command has, what a name may take; the rest is for what the name is needed for. */
export const LOOKUP_MS_MAX = SECOND_MS;

/** Every IP of a host name, IPv4 first; rejects where there is none. */
export type LookUp = (host: string) => Promise<readonly string[]>;

export const lookUpBySystem: LookUp = async (host) =>
  (await lookup(host, { all: true, order: "ipv4first" })).map(({ address }) => address);

/** The part of a system that names are looked up with. */
export interface Names {
  readonly clock: Clock;
  readonly lookUp: LookUp;
}

/**
 * Every IP of a host: an IP literal stands for itself. Throws `not_found` where the name has none, `unreachable` where
 * nobody says so before the deadline or within LOOKUP_MS_MAX.
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

/** Whether two spellings lead to one place; false where that cannot be said in time. */
export async function isSamePlace(one: HostPort, other: HostPort, deadline: Deadline, names: Names): Promise<boolean> {
  if (one.port !== other.port) return false;
  if (one.host === other.host) return true;
  const ipsOrNone = ({ host }: HostPort) => ipsOf(host, deadline, names).catch((): string[] => []);
  const [ipsOfOne, ipsOfOther] = await Promise.all([ipsOrNone(one), ipsOrNone(other)]);
  return ipsOfOne.some((ip) => ipsOfOther.includes(ip));
}
