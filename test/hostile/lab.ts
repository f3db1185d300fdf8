/**
 * A private swarm over real TLS connections, whose authority's key is at hand: whoever a test plays has a certificate as
 * good as any, and then does what no program of ours does.
 */
import type { Membership } from "../../src/identity/membership.ts";
import type { Security } from "../../src/net/security.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { certified, type Owner } from "../identity/support.ts";
import { FakeTracker } from "../support/fake-tracker.ts";
import { securityAs } from "../support/outsiders.ts";
import { TestSwarm } from "../support/private-swarm.ts";
import { ProtocolPeer } from "../support/protocol-peer.ts";
import { hostPortOf, joined, openPeer } from "../support/roles.ts";

export class Lab {
  readonly swarm: TestSwarm;
  readonly authority: Owner;

  private constructor(swarm: TestSwarm, authority: Owner) {
    this.swarm = swarm;
    this.authority = authority;
  }

  static async open(options: Parameters<typeof TestSwarm.start>[0] = {}): Promise<Lab> {
    const swarm = await TestSwarm.start(options);
    const { membership, authorityKey } = swarm.swarm;
    const { authority: certificate } = membership;
    return new Lab(swarm, { privateKey: authorityKey!, certificate, der: certificate.raw, peerId: null });
  }

  security(owner: Owner): Security {
    return securityAs(owner, this.authority);
  }

  /** A tracker that the authority has certified, and that answers as the test says. */
  async hostileTracker(): Promise<FakeTracker> {
    return FakeTracker.start({ security: this.security(await certified(this.authority, "tracker", Date.now())) });
  }

  /** A member that is made of messages alone, not registered yet. */
  async hostileMember(name = "mallory"): Promise<{ readonly member: ProtocolPeer; readonly membership: Membership }> {
    const membership = await this.swarm.join(name);
    return { membership, member: await this.dialAs(membership) };
  }

  /** One more connection of this member to the tracker. */
  dialAs({ key: privateKey, certificate, peerId }: Membership): Promise<ProtocolPeer> {
    const owner = { privateKey, certificate, der: certificate.raw, peerId };
    return ProtocolPeer.dialAsMember(this.swarm.at, { peerId, security: this.security(owner) });
  }

  /** A true peer that has joined this tracker. */
  async peerAt(tracker: FakeTracker, name: string): Promise<Peer & { readonly id: Membership["peerId"] }> {
    const membership = await this.swarm.join(name);
    const peer = await openPeer({ tracker: tracker.at, membership });
    await joined(peer);
    return Object.assign(peer, { id: membership.peerId });
  }

  get trackerId() {
    return this.swarm.swarm.membership.peerId;
  }

  get trackerAt() {
    return hostPortOf(this.swarm.at);
  }
}
