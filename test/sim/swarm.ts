/**
 * A swarm on virtual time: peers with the real engine, a tracker that names holders at random, lines with limits, and
 * everything that goes wrong. All chance comes from the scenario's seed, so a run can be repeated to the event.
 */
import { SECOND_MS } from "../../src/core/units.ts";
import type { DownloadEffect } from "../../src/swarm/types.ts";
import { seededRandom } from "../swarm/support.ts";
import { VirtualClock } from "./clock.ts";
import { SimPeer } from "./peer.ts";
import { boundMs, type Conduct, leecherUp, SCENARIO, type Scenario } from "./scenario.ts";

/** Of the bound: when the last of the churning peers has left. */
const CHURN_PERIOD = 1;
/** Bytes per second. */
const TRICKLE_UP = 1;
const HASH_PRIME = 0x0100_0193;
const EFFECT_NUMBERS: Record<DownloadEffect["type"], number> = {
  request: 1,
  cancel: 2,
  drop: 3,
  write: 4,
  discard: 5,
  find_holders: 6,
  done: 7,
  failed: 8,
};

export interface SimResult {
  readonly scenario: Scenario;
  readonly boundMs: number;
  readonly peers: readonly SimPeer[];
  /** Of the honest leechers that stayed, ascending, from the start of the run; those that did not complete left out. */
  readonly completionMs: readonly number[];
  readonly incomplete: readonly SimPeer[];
  readonly deliveries: number;
  readonly requests: number;
  readonly duplicates: number;
  readonly rerequests: number;
  readonly rejected: number;
  /** Chunks that the seeders sent, in copies of the content. */
  readonly seederCopies: number;
  readonly steps: number;
  /** Of every effect in order: equal for equal runs. */
  readonly traceHash: number;
  /** At samples of time: chunks held by the leechers, as a share of all. */
  readonly progress: readonly { readonly ms: number; readonly share: number }[];
}

export class Swarm {
  readonly scenario: Scenario;
  readonly clock = new VirtualClock();
  readonly #random: () => number;
  readonly #peers: SimPeer[] = [];
  readonly #online: SimPeer[] = [];
  readonly #progress: { ms: number; share: number }[] = [];
  #deliveries = 0;
  #traceHash = 0x811c9dc5;

  constructor(scenario: Partial<Scenario>) {
    this.scenario = { ...SCENARIO, ...scenario };
    this.#random = seededRandom(this.scenario.seed);
    const { leechers, seeders, seederUp } = this.scenario;
    for (let index = 0; index < seeders; index++) this.#addPeer(index, true, "honest", seederUp);
    for (let index = 0; index < leechers; index++) {
      this.#addPeer(seeders + index, false, this.#conductOf(index), leecherUp(this.scenario, index));
    }
    const { slow, slowUp } = this.scenario;
    for (let index = 0; index < slow; index++) this.#addPeer(this.#peers.length, true, "honest", slowUp);
    for (const conduct of ["trickle", "stall", "mute"] as const) {
      for (let index = 0; index < this.scenario[conduct]; index++)
        this.#addPeer(this.#peers.length, true, conduct, TRICKLE_UP);
    }
  }

  run(): SimResult {
    const { resetsPerSecond, startMsMax, timeMsMax } = this.scenario;
    for (const peer of this.#peers) {
      const startAt = peer.options.isSeeder ? 0 : this.#random() * startMsMax;
      this.clock.at(startAt, () => this.#start(peer));
    }
    this.#planChurn();
    if (resetsPerSecond > 0) this.#planReset();
    this.#sampleProgress();
    while (this.clock.now < timeMsMax && this.#isUnfinished() && this.clock.step());
    return this.#result();
  }

  /** The tracker: names online peers at random; the peer connects to them while it has too few neighbours. */
  introduce(peer: SimPeer): void {
    const { neighboursAim, neighboursMax, sampleMax } = this.scenario;
    for (let named = 0; named < sampleMax && peer.neighbours.size < neighboursAim; named++) {
      const other = this.#online[Math.floor(this.#random() * this.#online.length)];
      if (other === undefined || other === peer || other.neighbours.size >= neighboursMax) continue;
      this.connect(peer, other);
    }
  }

  connect(a: SimPeer, b: SimPeer): void {
    if (a.neighbours.has(b.name) || !a.isOnline || !b.isOnline) return;
    a.neighbours.set(b.name, b);
    b.neighbours.set(a.name, a);
    this.deliver(a, b, () => b.connected(a, a.have.toRanges()));
    this.deliver(b, a, () => a.connected(b, b.have.toRanges()));
  }

  disconnect(a: SimPeer, b: SimPeer): void {
    if (!a.neighbours.delete(b.name)) return;
    b.neighbours.delete(a.name);
    a.disconnected(b);
    b.disconnected(a);
  }

  /** A message on the connection of the two: it is lost when that breaks on the way. */
  deliver(from: SimPeer, to: SimPeer, receive: () => void): void {
    this.clock.after(from.options.latencyMs, () => {
      if (from.neighbours.has(to.name)) receive();
    });
  }

  noteDelivery(): void {
    this.#deliveries++;
  }

  trace(peer: SimPeer, effect: DownloadEffect): void {
    this.#mix(this.clock.now * 1024);
    this.#mix(peer.index);
    this.#mix(EFFECT_NUMBERS[effect.type]);
    if ("request" in effect) this.#mix(effect.request);
  }

  /** FNV-1a over 32-bit words. */
  #mix(value: number): void {
    this.#traceHash = Math.imul(this.#traceHash ^ (value | 0), HASH_PRIME) >>> 0;
  }

  #addPeer(index: number, isSeeder: boolean, conduct: Conduct, up: number): void {
    const random = seededRandom(Math.floor(this.#random() * 2 ** 32));
    const latencyMs = 1 + random() * (this.scenario.latencyMsMax - 1);
    const down = this.scenario.leecherDown;
    this.#peers.push(new SimPeer(this, { index, isSeeder, conduct, up, down, latencyMs, random }));
  }

  #conductOf(index: number): Conduct {
    const { leechers, liars, slowLeechers, stalling } = this.scenario;
    const place = (index + 0.5) / leechers;
    if (place < liars) return "liar";
    if (place < liars + stalling) return "stalling";
    return place < liars + stalling + slowLeechers ? "slow" : "honest";
  }

  #start(peer: SimPeer): void {
    this.#online.push(peer);
    peer.start();
  }

  #stop(peer: SimPeer): void {
    if (!peer.isOnline) return;
    peer.isOnline = false;
    this.#online.splice(this.#online.indexOf(peer), 1);
    for (const other of [...peer.neighbours.values()]) this.disconnect(peer, other);
  }

  /** The last of the leechers are honest: some of them leave. */
  #planChurn(): void {
    const { churn, leechers, seeders } = this.scenario;
    const count = Math.round(churn * leechers);
    for (const peer of this.#peers.slice(seeders + leechers - count, seeders + leechers)) {
      this.clock.at(this.#random() * CHURN_PERIOD * boundMs(this.scenario), () => this.#stop(peer));
    }
  }

  #planReset(): void {
    const meanMs = SECOND_MS / this.scenario.resetsPerSecond;
    this.clock.after(-Math.log(1 - this.#random()) * meanMs, () => {
      const peer = this.#online[Math.floor(this.#random() * this.#online.length)];
      const others = peer === undefined ? [] : [...peer.neighbours.values()];
      const other = others[Math.floor(this.#random() * others.length)];
      if (peer !== undefined && other !== undefined) {
        this.disconnect(peer, other);
        this.clock.after(SECOND_MS * this.#random(), () => this.connect(peer, other));
      }
      this.#planReset();
    });
  }

  #leechersThatCount(): SimPeer[] {
    const { churn, leechers, seeders } = this.scenario;
    const leavers = Math.round(churn * leechers);
    const stayers = this.#peers.slice(seeders, seeders + leechers - leavers);
    return stayers.filter((peer) => peer.options.conduct === "honest");
  }

  #unfinishedFrom = 0;

  #isUnfinished(): boolean {
    const peers = this.#counted;
    while (this.#unfinishedFrom < peers.length && peers[this.#unfinishedFrom]!.outcome !== undefined) {
      this.#unfinishedFrom++;
    }
    return this.#unfinishedFrom < peers.length;
  }

  #countedPeers: SimPeer[] | undefined;

  get #counted(): SimPeer[] {
    this.#countedPeers ??= this.#leechersThatCount();
    return this.#countedPeers;
  }

  #sampleProgress(): void {
    const held = this.#counted.reduce((sum, peer) => sum + peer.have.count, 0);
    this.#progress.push({ ms: this.clock.now, share: held / (this.#counted.length * this.scenario.chunkCount) });
    this.clock.after(boundMs(this.scenario) / 50, () => this.#sampleProgress());
  }

  #result(): SimResult {
    const counted = this.#counted;
    const finished = counted.filter((peer) => peer.outcome?.type === "done");
    const sum = (value: (peer: SimPeer) => number) => this.#peers.reduce((total, peer) => total + value(peer), 0);
    const counters = (name: "requestsSent" | "duplicates" | "rerequests" | "chunksRejected") =>
      sum((peer) => peer.manager?.counters[name] ?? 0);
    return {
      scenario: this.scenario,
      boundMs: boundMs(this.scenario),
      peers: this.#peers,
      completionMs: finished.map((peer) => peer.endedAt!).sort((a, b) => a - b),
      incomplete: counted.filter((peer) => peer.outcome?.type !== "done"),
      deliveries: this.#deliveries,
      requests: counters("requestsSent"),
      duplicates: counters("duplicates"),
      rerequests: counters("rerequests"),
      rejected: counters("chunksRejected"),
      seederCopies:
        sum((peer) => (peer.index < this.scenario.seeders ? peer.chunksSent : 0)) / this.scenario.chunkCount,
      steps: this.clock.steps,
      traceHash: this.#traceHash,
      progress: this.#progress,
    };
  }
}

export function simulate(scenario: Partial<Scenario>): SimResult {
  return new Swarm(scenario).run();
}
