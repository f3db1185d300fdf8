/**
 * Finds the peer that a user names by a host and an optional port. The host is an IP, the host name that a peer
 * registered, or any name that resolves. The port may be left out where only one peer is on the host.
 */
import { type Address, hostOf, isIp, makeAddress, portOf } from "../core/address.ts";
import type { Deadline } from "../core/deadline.ts";
import { P2pfsError } from "../core/errors.ts";
import { ipsOf } from "../net/host-name.ts";
import type { System } from "../net/system.ts";
import type { PeerRecord, Registry } from "./registry.ts";

type PeerFinderSystem = Pick<System, "clock" | "lookUp" | "isOwnIp">;

export class PeerFinder {
  readonly #registry: Registry;
  readonly #system: PeerFinderSystem;

  constructor(registry: Registry, system: PeerFinderSystem) {
    this.#registry = registry;
    this.#system = system;
  }

  /**
   * The online peer or, where host and port give exactly one address, the peer that was online there last. Throws
   * `not_found`, `ambiguous`, and `refused` for `ownAddress`, the tracker's own (R12). A name that does not resolve in
   * time has no IP.
   */
  async find(host: string, port: number | undefined, deadline: Deadline, ownAddress?: Address): Promise<PeerRecord> {
    const byPort = port === undefined ? {} : { port };
    let found: readonly PeerRecord[] = [];
    if (!isIp(host)) found = await this.#registry.findPeers({ hostName: host, ...byPort });
    const ips = found.length > 0 ? [] : await ipsOf(host, deadline, this.#system).catch((): string[] => []);
    if (ips.length > 0) found = await this.#registry.findPeers({ ips, ...byPort });
    if (ownAddress !== undefined && port === portOf(ownAddress)) this.#refuseOwn(ips, found, ownAddress);
    if (found.length === 1) return found[0]!;
    if (found.length > 1) throw ambiguous(host, found);
    const gone = port === undefined || ips.length !== 1 ? undefined : await this.#goneFrom(ips[0]!, port);
    if (gone !== undefined) return gone;
    const what = port === undefined ? `on ${host}` : `at ${host} port ${port}`;
    throw new P2pfsError("not_found", `no peer is online ${what}`, { hint: "list-peers shows who is online" });
  }

  /** R12: any name of this machine with the tracker's port, unless a peer is online there. */
  #refuseOwn(ips: readonly string[], found: readonly PeerRecord[], ownAddress: Address): void {
    if (ips.includes(hostOf(ownAddress)) || (found.length === 0 && ips.some(this.#system.isOwnIp)))
      throw new P2pfsError("refused", `${ownAddress} is the tracker's own address`, { hint: "name a peer's address" });
  }

  #goneFrom(ip: string, port: number): Promise<PeerRecord | undefined> {
    return port === 0 ? Promise.resolve(undefined) : this.#registry.peerAt(makeAddress(ip, port));
  }
}

function ambiguous(host: string, found: readonly PeerRecord[]): P2pfsError {
  const addresses = found.slice(0, 5).map((peer) => peer.address);
  const text = `${addresses.join(", ")}${found.length > addresses.length ? ", …" : ""}`;
  return new P2pfsError("ambiguous", `${found.length} peers are on ${host}: ${text}`, {
    hint: "add the PORT of the peer that you mean",
  });
}
