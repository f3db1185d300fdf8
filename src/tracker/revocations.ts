/**
 * Removed members whose certificates have not expired: nobody may connect to them any more. They are those of this
 * tracker's registry, and those that other trackers of the swarm have named.
 */
import type { Clock } from "../core/clock.ts";
import { MEMBERS_MAX } from "../core/limits.ts";
import type { PeerId } from "../core/model.ts";
import { DAY_MS } from "../core/units.ts";
import { founderOf } from "../identity/certificate.ts";
import { CERTIFICATE_MS } from "../identity/issuing.ts";
import type { Membership } from "../identity/membership.ts";
import { idsIn, type Message, revokedNotice } from "../wire/messages.ts";
import type { HeardList, MemberRegistry } from "./members.ts";

/** Trackers whose lists are kept. */
const TRACKERS_HEARD_MAX = 64;
/** No certificate of those whom a tracker names lasts longer after it was last heard. */
const COUNTED_MS = CERTIFICATE_MS;
/** How often that time is written anew while the list stays the same. */
const KEPT_ANEW_MS = DAY_MS;

export interface RevocationsOptions {
  readonly members: MemberRegistry;
  readonly membership: () => Membership;
  readonly clock: Clock;
}

export class Revocations {
  readonly #options: RevocationsOptions;
  /** Those of the own registry. */
  #own: ReadonlySet<PeerId> = new Set();
  #heard = new Map<PeerId, HeardList>();
  #all: ReadonlySet<PeerId> = new Set();
  #notice = revokedNotice([]);

  constructor(options: RevocationsOptions) {
    this.#options = options;
  }

  has(peerId: PeerId): boolean {
    return this.#all.has(peerId);
  }

  /** For the members. */
  get notice(): Message<"REVOKED"> {
    return this.#notice;
  }

  /**
   * For another tracker. The founder passes on what it has heard from the others; these tell only what is their own, so
   * that no two of them go on telling each other what nobody else says any more.
   */
  noticeFor(tracker: PeerId): Message<"REVOKED"> {
    const { peerId } = this.#options.membership();
    return revokedNotice(peerId === this.#founder ? this.#union(tracker) : this.#own);
  }

  /** At the tracker's start: what others said before it counts until they can be heard again. */
  async open(): Promise<void> {
    for (const list of await this.#options.members.heard()) this.#heard.set(list.tracker, list);
    await this.refresh();
  }

  /** Reads the registry anew; resolves to whether somebody was removed, or is listed no more. */
  async refresh(): Promise<boolean> {
    const { members, clock } = this.#options;
    this.#own = new Set(await members.revoked());
    const now = clock.wallTime();
    for (const { tracker, until } of this.#heard.values()) if (until <= now) this.#heard.delete(tracker);
    const all = this.#union();
    if (all.size === this.#all.size && all.isSubsetOf(this.#all)) return false;
    this.#all = all;
    this.#notice = revokedNotice(all);
    return true;
  }

  /** Keeps what another tracker says, in place of what it said before; it counts after the next `refresh`. */
  async hear(tracker: PeerId, { peer_ids: peerIds }: Message<"REVOKED">): Promise<void> {
    const { members, clock } = this.#options;
    const before = this.#heard.get(tracker);
    if (before === undefined && this.#heard.size >= TRACKERS_HEARD_MAX) return;
    const now = clock.wallTime();
    const isSame = before !== undefined && Buffer.compare(before.peerIds, peerIds) === 0;
    if (isSame && before.until >= now + COUNTED_MS) return;
    const list = { tracker, peerIds, until: now + COUNTED_MS + KEPT_ANEW_MS };
    this.#heard.set(tracker, list);
    await members.hear(list);
  }

  get #founder(): PeerId | undefined {
    return founderOf(this.#options.membership().authority);
  }

  /**
   * At most MEMBERS_MAX, the own ones first, then those that the founder names. A tracker that was removed is not heard,
   * and none but the founder removes a tracker: no word of another one counts against this tracker, the founder, or one
   * that is heard itself.
   *
   * @param except what this tracker has said is left out
   */
  #union(except?: PeerId): Set<PeerId> {
    const founder = this.#founder;
    const union = new Set(this.#own);
    const add = ({ tracker, peerIds }: HeardList, spared: ReadonlySet<PeerId | undefined>) => {
      if (tracker === except) return;
      for (const peerId of idsIn(revokedBytes(peerIds)))
        if (union.size < MEMBERS_MAX && !spared.has(peerId)) union.add(peerId);
    };
    const spared = new Set([this.#options.membership().peerId, founder]);
    const ofFounder = founder && this.#heard.get(founder);
    if (ofFounder !== undefined) add(ofFounder, spared);
    const others = [...this.#heard.values()].filter(({ tracker }) => tracker !== founder && !union.has(tracker));
    for (const list of others) add(list, new Set([...spared, ...this.#heard.keys()]));
    return union;
  }
}

function revokedBytes(peerIds: Uint8Array): Message<"REVOKED"> {
  return { type: "REVOKED", peer_ids: peerIds };
}
