/**
 * A time of chaos and a time of calm: peers publish, fetch, cancel and leave, while connections break, machines are cut
 * off, processes freeze and die, and somebody writes nonsense to everybody. Afterwards everything heals, and what has to
 * hold then is checked; what has to hold always is checked at every step.
 */
import { type Address, formatHostPort } from "../../../src/core/address.ts";
import { CHUNK_SIZE_MIN, NOTICE_MS_MAX } from "../../../src/core/limits.ts";
import type { ContentId } from "../../../src/core/manifest.ts";
import { parseTicket } from "../../../src/core/ticket.ts";
import { KiB, MiB, SECOND_MS } from "../../../src/core/units.ts";
import type { Membership } from "../../../src/identity/membership.ts";
import { randomBytes } from "../../support/bytes.ts";
import { harass } from "./hostile.ts";
import { type Deeds, Invariants, NOTICE_SLACK_MS, type Started } from "./invariants.ts";
import { startLiar } from "./liar.ts";
import { hostileMember } from "./members.ts";
import { FILES_FOLDER, type PeerHost, type TrackerHost, World } from "./world.ts";

const CHUNKS_MAX = 6;
/** Between two things that happen, with up to so many peers; with more, as much more happens. */
const PAUSE_MS_MAX = 1500;
const BUSY_PEERS = 5;
const CALM_MS = 40 * SECOND_MS;
const FETCH_MS_MAX = 150 * SECOND_MS;
const HOSTILE_IPS = "10.0.9.";
const LIAR_IPS = "10.0.8.";
const LIARS_MAX = 2;

export interface ChaosOptions {
  readonly seed: number;
  /** Two at least. */
  readonly peersMax?: number;
  readonly trackersMax?: number;
  readonly chaosMs?: number;
  /** Whether all are members of a private swarm, but for those that lie and harass: half of these are as well. */
  readonly isPrivate?: boolean;
  /** Breaks something when all is calm, to show that this is noticed. */
  readonly sabotage?: ((world: World) => void) | undefined;
}

export interface ChaosResult {
  readonly violations: readonly string[];
  readonly journal: readonly string[];
  readonly events: number;
  readonly published: number;
  readonly fetched: number;
  readonly failed: number;
}

export function chaos(options: ChaosOptions): ChaosResult {
  return new Chaos(options).run();
}

class Chaos {
  readonly #options: ChaosOptions;
  readonly #world: World;
  readonly #deeds: Deeds = { published: [], started: [], bytesOf: [] };
  readonly #invariants: Invariants;
  #files = 0;
  #liars = 0;
  #fetched = 0;
  #failed = 0;

  constructor(options: ChaosOptions) {
    const { seed, peersMax = 5, trackersMax = 3, isPrivate } = options;
    this.#options = options;
    this.#world = new World(seed, {
      peers: 2 + (seed % (peersMax - 1)),
      trackers: 1 + (seed % trackersMax),
      isPrivate,
    });
    this.#invariants = new Invariants(this.#world, this.#deeds);
  }

  run(): ChaosResult {
    const { chaosMs = 20 * SECOND_MS, sabotage } = this.#options;
    const world = this.#world;
    const look = () => this.#invariants.look();
    const pauseMsMax = PAUSE_MS_MAX * Math.min(1, BUSY_PEERS / world.hosts.length);
    for (const host of world.trackers) world.await("a tracker's start", host.start(), SECOND_MS);
    for (const host of world.hosts) world.await("a peer's start", host.start(), SECOND_MS);
    for (let endMs = world.clock.now + chaosMs; world.clock.now < endMs; ) {
      this.#act();
      world.runUntil(world.clock.now + pauseMsMax * world.random() ** 2, look);
    }
    this.#calmDown();
    world.runUntil(world.clock.now + CALM_MS / 2, look);
    sabotage?.(world);
    world.runUntil(world.clock.now + CALM_MS / 2, look);
    this.#invariants.expectListed();
    this.#fetchWhatCanBe();
    this.#invariants.expectWholeFiles();
    for (const host of world.hosts) world.await("a peer's end", host.close(), 5 * SECOND_MS);
    const result = {
      violations: world.violations,
      journal: world.journal,
      events: world.clock.steps,
      published: this.#deeds.published.length,
      fetched: this.#fetched,
      failed: this.#failed,
    };
    world.close();
    return result;
  }

  #act(): void {
    const actions: [number, () => void][] = [
      [4, () => this.#publish()],
      [8, () => this.#fetch()],
      [1, () => this.#endSomeFetch()],
      [1, () => this.#unpublish()],
      [1, () => this.#tamper()],
      [1, () => this.#limit()],
      [2, () => this.#world.network.resetSome()],
      [1, () => this.#partition()],
      [1, () => this.#freeze()],
      [1, () => this.#restartPeer()],
      [1, () => this.#restartTracker()],
      [1, () => this.#moveToTracker()],
      [2, () => this.#harass()],
      [1, () => this.#addLiar()],
      [this.#world.isPrivate ? 0.3 : 0, () => this.#revoke()],
    ];
    let left = this.#world.random() * actions.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, action] of actions) {
      left -= weight;
      if (left < 0) return action();
    }
  }

  #publish(host = this.#someUp()): void {
    const { random } = this.#world;
    const peer = host?.peer;
    if (host === undefined || peer === undefined) return;
    const number = ++this.#files;
    const size = Math.floor(CHUNKS_MAX * CHUNK_SIZE_MIN * random() ** 2);
    const bytes = randomBytes(size, number);
    this.#deeds.bytesOf[number] = bytes;
    const [path, fname] = [`/shared/${number}`, `file-${number}`];
    host.disk.write(path, bytes);
    this.#journal(`${host.ip} publishes ${fname}, ${size} bytes`);
    peer.publish({ path, lname: path, fname }).then(
      ({ ticket }) => void this.#deeds.published.push({ host, path, fname, bytes, ticket }),
      (thrown: unknown) => this.#invariants.expectTyped(`publish of ${fname}`, thrown),
    );
  }

  #fetch(host = this.#someUp(), what = this.#someOf(this.#deeds.published)): Started | undefined {
    const { peer, process } = host ?? {};
    if (host === undefined || peer === undefined || process === undefined || what === undefined) return undefined;
    const destination = `${FILES_FOLDER}/${what.fname}-${this.#world.random() < 0.8 ? "" : this.#files}`;
    const started: Started = {
      host,
      process,
      atMs: this.#world.clock.now,
      what,
      destination,
      isBegun: false,
      job: undefined,
      isOver: false,
    };
    this.#journal(`${host.ip} fetches ${what.fname} to ${destination}`);
    this.#deeds.started.push(started);
    const end = (thrown: unknown) => {
      started.isBegun = true;
      started.isOver = true;
      this.#failed++;
      this.#invariants.expectTyped(`fetch of ${what.fname}`, thrown);
    };
    peer.fetch({ what: what.ticket, destination }).then((job) => {
      started.isBegun = true;
      started.job = job;
      job.done.then(() => {
        started.isOver = true;
        this.#fetched++;
        this.#invariants.expectFile(host, destination, what.bytes);
      }, end);
    }, end);
    return started;
  }

  #endSomeFetch(): void {
    const job = this.#someOf(this.#deeds.started.filter(({ isOver, process }) => !isOver && process.isAlive))?.job;
    if (this.#world.random() < 0.5) job?.cancel();
    else job?.stop();
  }

  #unpublish(): void {
    const what = this.#someOf(this.#deeds.published);
    if (what?.host.peer === undefined) return;
    what.host.peer
      .unpublish(what.fname)
      .catch((thrown: unknown) => this.#invariants.expectTyped(`unpublish of ${what.fname}`, thrown));
  }

  /** A shared file is written over. */
  #tamper(): void {
    const what = this.#someOf(this.#deeds.published);
    if (what === undefined) return;
    this.#journal(`${what.path} of ${what.host.ip} is written over`);
    what.host.disk.write(what.path, randomBytes(what.bytes.length, 9999));
  }

  #limit(): void {
    const { random } = this.#world;
    this.#someUp()?.peer?.setLimits({
      up_limit: random() < 0.5 ? null : Math.floor(16 * KiB + MiB * random()),
      down_limit: random() < 0.5 ? null : Math.floor(16 * KiB + MiB * random()),
    });
  }

  #partition(): void {
    const { random, hosts, trackers, network } = this.#world;
    const ips = [...trackers, ...hosts].map(({ ip }) => ip);
    const one = this.#someOf(ips)!;
    const ms = 20 * SECOND_MS * random() ** 2;
    for (const other of ips) if (other !== one && random() < 0.7) network.partition(one, other, ms);
    this.#journal(`${one} is cut off for ${ms.toFixed(0)} ms`);
    this.#unsettle(hosts, ms);
  }

  #freeze(): void {
    const { random, hosts, trackers } = this.#world;
    const ms = 15 * SECOND_MS * random() ** 2;
    const host = this.#someOf<PeerHost | TrackerHost>(random() < 0.2 ? trackers : hosts)!;
    host.process?.freeze(ms);
    this.#unsettle(
      hosts.filter((peer) => peer === host || peer.home === host),
      ms,
    );
    this.#journal(`${host.ip} is frozen for ${ms.toFixed(0)} ms`);
  }

  #restartPeer(): void {
    const { random, clock } = this.#world;
    const host = this.#someUp();
    if (host === undefined) return;
    this.#journal(`${host.ip} is restarted`);
    if (random() < 0.7) host.kill();
    else void host.close();
    clock.after(1500 + 3 * SECOND_MS * random(), () => void host.start());
  }

  #restartTracker(): void {
    const { random, clock, hosts, trackers } = this.#world;
    const host = this.#someOf(trackers)!;
    const ms = 3 * SECOND_MS * random();
    this.#journal(`the tracker ${host.ip} is restarted`);
    host.kill();
    this.#unsettle(
      hosts.filter(({ home }) => home === host),
      ms,
    );
    clock.after(ms, () => void host.start());
  }

  /** F13: every tracker knows the peer by another id. */
  #moveToTracker(): void {
    const host = this.#someUp();
    const home = this.#someOf(this.#world.trackers)!;
    if (host?.peer === undefined || host.home === home) return;
    this.#journal(`${host.ip} moves to the tracker ${home.ip}`);
    host.home = home;
    host.takeOtherId();
    host.peer
      .connect(home.listen)
      .catch((thrown: unknown) => this.#invariants.expectTyped(`connect of ${host.ip}`, thrown));
  }

  /** Somebody joins who says that it holds a content; it stays. */
  #addLiar(): void {
    const what = this.#someOf(this.#deeds.published);
    if (what === undefined || this.#liars === LIARS_MAX) return;
    const { random, trackers } = this.#world;
    const process = this.#world.newProcess(`${LIAR_IPS}${++this.#liars}`);
    this.#journal(`${process.ip} lies about ${what.fname}`);
    startLiar({
      process,
      tracker: addressOf(this.#someOf(trackers)!),
      contentId: contentOf(what.ticket),
      size: what.bytes.length,
      member: this.#hostileMember(),
      random,
    }).catch(() => {});
  }

  /** S7 */
  #revoke(): void {
    const host = this.#someUp();
    const tracker = this.#someOf(this.#world.trackers.filter(({ isAnswering }) => isAnswering))?.tracker;
    if (host === undefined || tracker === undefined) return;
    this.#journal(`${host.ip} is removed from the swarm`);
    host
      .revokeAt(tracker)
      .catch((thrown: unknown) => this.#invariants.expectTyped(`the removal of ${host.ip}`, thrown));
  }

  #harass(): void {
    const { random, hosts, trackers } = this.#world;
    const isTracker = random() < 0.4;
    harass({
      process: this.#world.newProcess(`${HOSTILE_IPS}${1 + Math.floor(3 * random())}`),
      target: isTracker ? addressOf(this.#someOf(trackers)!) : (this.#someOf(hosts)!.address as Address),
      isTracker,
      member: this.#hostileMember(),
      contents: this.#deeds.published.map(({ ticket }) => contentOf(ticket)),
      random,
    }).catch(() => {});
  }

  /** Somebody who may be a member, and is none of those whose peers run. */
  #hostileMember(): Membership | undefined {
    const { isPrivate, random } = this.#world;
    return isPrivate && random() < 0.5 ? hostileMember() : undefined;
  }

  #calmDown(): void {
    const { hosts, network, trackers } = this.#world;
    this.#journal("calm");
    network.healAll();
    for (const host of hosts) {
      host.peer?.setLimits({ up_limit: null, down_limit: null });
      void host.start();
    }
    for (const host of trackers) void host.start();
  }

  /** In the end whatever somebody shares can be had. */
  #fetchWhatCanBe(): void {
    const world = this.#world;
    for (const what of this.#deeds.published) {
      const isShared = what.host.peer?.shares().some(({ fname, served }) => fname === what.fname && served) ?? false;
      const other = world.hosts.find((host) => host !== what.host && host.peer !== undefined && !host.isRevoked);
      if (!isShared || what.host.isRevoked || other === undefined) continue;
      const destination = `${FILES_FOLDER}/${what.fname}-in-the-end`;
      const job = world.await(
        `the start of the last fetch of ${what.fname}`,
        other.peer!.fetch({ what: what.ticket, destination }),
        NOTICE_MS_MAX + NOTICE_SLACK_MS,
      );
      if (job === undefined) continue;
      world.await(`the last fetch of ${what.fname}`, job.done, FETCH_MS_MAX);
      this.#invariants.expectFile(other, destination, what.bytes);
    }
    const waiting = this.#deeds.started.filter(
      ({ isOver, process, host }) => !isOver && process.isAlive && !host.isRevoked,
    );
    const endMs = world.clock.now + FETCH_MS_MAX;
    while (waiting.some(({ isOver }) => !isOver) && world.clock.now < endMs)
      world.runUntil(world.clock.now + SECOND_MS);
    for (const { isOver, host, what } of waiting)
      if (!isOver) world.violated(`the fetch of ${what.fname} by ${host.ip} does not end`);
  }

  /** Who may be delisted until it has had time to come back. */
  #unsettle(hosts: readonly PeerHost[], ms: number): void {
    const { clock } = this.#world;
    for (const host of hosts)
      if (host.upSinceMs !== undefined) host.upSinceMs = Math.max(host.upSinceMs, clock.now + ms);
  }

  #someUp(): PeerHost | undefined {
    return this.#someOf(
      this.#world.hosts.filter(({ peer, process }) => peer !== undefined && process?.isFrozen === false),
    );
  }

  #someOf<Item>(items: readonly Item[]): Item | undefined {
    return items[Math.floor(this.#world.random() * items.length)];
  }

  #journal(line: string): void {
    this.#world.log(line);
  }
}

function addressOf({ listen }: TrackerHost): Address {
  return formatHostPort(listen) as Address;
}

function contentOf(ticket: string): ContentId {
  return parseTicket(ticket).contentId!;
}
