/** A private swarm of a tracker in this process, and machines that join it over real connections. */
import type { Address } from "../../src/core/address.ts";
import { noticeDeadline } from "../../src/core/deadline.ts";
import { DAY_MS } from "../../src/core/units.ts";
import { foundSwarm } from "../../src/identity/found-swarm.ts";
import { parseInvitation } from "../../src/identity/invitation.ts";
import { createPrivateKeyPem } from "../../src/identity/keys.ts";
import type { Membership } from "../../src/identity/membership.ts";
import { realSystem } from "../../src/net/system.ts";
import { joinSwarm } from "../../src/peer/join-swarm.ts";
import type { Peer } from "../../src/peer/peer.ts";
import type { InviteRequest } from "../../src/tracker/membership-commands.ts";
import type { SwarmOptions } from "../../src/tracker/private-swarm.ts";
import type { Tracker, TrackerOptions } from "../../src/tracker/tracker.ts";
import { hostPortOf, joined, openPeer, startTracker } from "./roles.ts";

const { clock, random } = realSystem;

/** A new swarm, whose tracker keeps nothing. */
export async function newSwarm(name = "lab"): Promise<SwarmOptions> {
  const founded = await foundSwarm(name, clock.wallTime(), random);
  return { ...founded, keep: () => {}, askRenewal: () => Promise.reject(new Error("there is no other tracker")) };
}

export class TestSwarm {
  readonly tracker: Tracker;
  readonly at: Address;
  readonly swarm: SwarmOptions;

  private constructor(tracker: Tracker, at: Address, swarm: SwarmOptions) {
    this.tracker = tracker;
    this.at = at;
    this.swarm = swarm;
  }

  static async start(options: Partial<TrackerOptions> = {}): Promise<TestSwarm> {
    const swarm = options.swarm ?? (await newSwarm());
    const { tracker, at } = await startTracker({ ...options, swarm });
    return new TestSwarm(tracker, at, swarm);
  }

  /** @returns the token */
  async invite(request: Partial<InviteRequest> = {}): Promise<string> {
    const { token } = await this.tracker.membership.invite({
      uses: 1,
      for_ms: DAY_MS,
      role: "peer",
      approve: false,
      label: "",
      ...request,
    });
    return token;
  }

  /** A peer of this swarm that has joined the tracker. */
  async peer(name: string, options: Parameters<typeof openPeer>[0] = {}): Promise<Peer> {
    const peer = await openPeer({ tracker: hostPortOf(this.at), membership: await this.join(name), ...options });
    await joined(peer);
    return peer;
  }

  /** A new member. */
  async join(name: string, request: Partial<InviteRequest> = {}): Promise<Membership> {
    const membership = await joinBy(await this.invite(request), name);
    if (membership === undefined) throw new Error(`${name} has to be approved`);
    return membership;
  }
}

/** Undefined where somebody has to approve. */
export async function joinBy(
  token: string,
  name: string,
  key?: Awaited<ReturnType<typeof createPrivateKeyPem>>,
): Promise<Membership | undefined> {
  return joinSwarm({
    invitation: parseInvitation(token),
    key: key ?? (await createPrivateKeyPem()),
    name,
    system: realSystem,
    deadline: noticeDeadline(clock.now()),
  });
}
