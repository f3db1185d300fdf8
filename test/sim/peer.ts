/** One simulated peer: the real engine and the real upload queue, with a line of limited speed instead of sockets. */
import { Bitfield, type ChunkRanges } from "../../src/core/bitfield.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { SECOND_MS } from "../../src/core/units.ts";
import { DownloadManager } from "../../src/swarm/download-manager.ts";
import { Gossip } from "../../src/swarm/gossip.ts";
import type { DownloadEffect, DownloadEvent, RequestId } from "../../src/swarm/types.ts";
import { type UploadGrant, UploadQueue } from "../../src/swarm/upload-queue.ts";
import type { Conduct } from "./scenario.ts";
import type { Swarm } from "./swarm.ts";

const CONTENT = "0".repeat(64) as ContentId;
/** What a peer called slow has of its line. */
const SLOW_SHARE = 0.02;
/** How often a receiver looks at how much of a chunk is here. */
const PROGRESS_MS = 100;

export interface PeerOptions {
  readonly index: number;
  readonly isSeeder: boolean;
  readonly conduct: Conduct;
  /** Bytes per second. */
  readonly up: number;
  readonly down: number;
  readonly latencyMs: number;
  readonly random: () => number;
}

export class SimPeer {
  readonly index: number;
  readonly name: string;
  readonly options: PeerOptions;
  readonly have: Bitfield;
  readonly manager: DownloadManager | undefined;
  readonly uploads: UploadQueue;
  readonly neighbours = new Map<string, SimPeer>();
  readonly #gossip: Gossip<SimPeer>;
  #isTurnPlanned = false;
  #isSending = false;
  #downFreeAt = 0;
  #timerAt = Number.POSITIVE_INFINITY;
  readonly #swarm: Swarm;
  isOnline = false;
  chunksSent = 0;
  outcome: Extract<DownloadEffect, { type: "done" | "failed" }> | undefined;
  endedAt: number | undefined;
  startedAt = 0;

  constructor(swarm: Swarm, options: PeerOptions) {
    const { chunkCount, chunkBytes, bounds, uploads } = swarm.scenario;
    this.#swarm = swarm;
    this.index = options.index;
    this.name = `p${options.index}`;
    this.options = options;
    this.have = options.isSeeder ? Bitfield.full(chunkCount) : new Bitfield(chunkCount);
    this.uploads = new UploadQueue({ random: options.random, ...uploads });
    this.uploads.setHoldings(CONTENT, this.have);
    this.#gossip = new Gossip(swarm.scenario.gossip);
    if (options.isSeeder) return;
    const chunkLength = () => chunkBytes;
    this.manager = new DownloadManager({ chunkCount, chunkLength, have: this.have, random: options.random, ...bounds });
  }

  start(): void {
    this.isOnline = true;
    this.startedAt = this.#swarm.clock.now;
    this.#swarm.introduce(this);
    this.handle({ type: "tick" });
  }

  handle(event: DownloadEvent): void {
    if (this.manager === undefined || this.outcome !== undefined) return;
    this.manager.handle(event, this.#swarm.clock.now);
    this.#carryOut();
  }

  connected(other: SimPeer, chunks: ChunkRanges): void {
    this.#gossip.join(other);
    this.handle({ type: "source_joined", source: other.name, chunks });
  }

  disconnected(other: SimPeer): void {
    this.#gossip.leave(other);
    this.uploads.dropRequester(other.name);
    this.handle({ type: "source_gone", source: other.name });
  }

  receiveRequest(from: SimPeer, request: RequestId, chunks: ChunkRanges): void {
    if (this.options.conduct === "mute") return;
    const result = this.uploads.enqueue({ requester: from.name, request, contentId: CONTENT, chunks });
    if (result === "queued") return this.#send();
    const refused = { type: "request_refused", source: this.name, request, retryable: result === "busy" } as const;
    this.#swarm.deliver(this, from, () => from.handle(refused));
  }

  receiveCancel(from: SimPeer, request: RequestId): void {
    if (!this.uploads.cancel(from.name, request)) return;
    const refused = { type: "request_refused", source: this.name, request, retryable: false } as const;
    this.#swarm.deliver(this, from, () => from.handle(refused));
  }

  /** Puts the next chunk on the line, which carries one at a time. */
  #send(): void {
    if (this.#isSending || this.options.conduct === "stalling" || !this.isOnline) return;
    const grant = this.uploads.next(() => true);
    if (grant?.chunk === undefined) return;
    const { clock, scenario } = this.#swarm;
    const receiver = this.neighbours.get(grant.requester)!;
    const up = this.options.conduct === "slow" ? this.options.up * SLOW_SHARE : this.options.up;
    const sendMs = (scenario.chunkBytes / up) * SECOND_MS;
    this.#isSending = true;
    this.chunksSent++;
    const reply = { source: this.name, request: grant.request, chunk: grant.chunk };
    this.#swarm.deliver(this, receiver, () => receiver.handle({ type: "chunk_opened", ...reply }));
    if (sendMs > PROGRESS_MS) this.#tellProgress(receiver, grant, clock.now, up);
    if (this.options.conduct === "stall" || this.options.conduct === "trickle") return;
    clock.after(sendMs, () => {
      this.#isSending = false;
      this.#swarm.deliver(this, receiver, () => receiver.#receiveChunk(this, grant));
      this.#send();
    });
  }

  /** What the receiver sees of a chunk on its way, for as long as both are there. */
  #tellProgress(receiver: SimPeer, grant: UploadGrant, sinceMs: number, up: number): void {
    const { clock, scenario } = this.#swarm;
    clock.after(PROGRESS_MS, () => {
      const sent = this.options.conduct === "stall" ? 0 : Math.floor(((clock.now - sinceMs) * up) / SECOND_MS);
      if (sent >= scenario.chunkBytes || receiver.outcome !== undefined || !this.neighbours.has(receiver.name)) return;
      const progress = { source: this.name, request: grant.request, bytes: sent };
      this.#swarm.deliver(this, receiver, () => receiver.handle({ type: "chunk_progress", ...progress }));
      this.#tellProgress(receiver, grant, sinceMs, up);
    });
  }

  #receiveChunk(from: SimPeer, { request, chunk }: UploadGrant): void {
    const { clock, scenario } = this.#swarm;
    const valid = from.options.conduct !== "liar";
    const bytes = scenario.chunkBytes;
    const arrived = { type: "chunk_arrived", source: from.name, request, chunk: chunk!, bytes, valid } as const;
    this.#swarm.noteDelivery();
    if (this.options.down === Number.POSITIVE_INFINITY) return this.handle(arrived);
    this.#downFreeAt = Math.max(this.#downFreeAt, clock.now) + (bytes / this.options.down) * SECOND_MS;
    clock.at(this.#downFreeAt, () => {
      if (this.neighbours.has(from.name)) this.handle(arrived);
    });
  }

  #carryOut(): void {
    const manager = this.manager!;
    for (let effect = manager.poll(); effect !== undefined; effect = manager.poll()) {
      this.#swarm.trace(this, effect);
      this.#apply(effect);
    }
    this.#plan();
  }

  #apply(effect: DownloadEffect): void {
    switch (effect.type) {
      case "request":
      case "cancel": {
        const source = this.neighbours.get(effect.source);
        if (source === undefined) return;
        if (effect.type === "cancel")
          return this.#swarm.deliver(this, source, () => source.receiveCancel(this, effect.request));
        return this.#swarm.deliver(this, source, () => source.receiveRequest(this, effect.request, effect.chunks));
      }
      case "drop": {
        const source = this.neighbours.get(effect.source);
        if (source !== undefined) this.#swarm.disconnect(this, source);
        return;
      }
      case "write":
        this.manager!.handle({ type: "chunk_written", chunk: effect.chunk }, this.#swarm.clock.now);
        return this.#tell(effect.chunk);
      case "find_holders":
        return this.#swarm.introduce(this);
      case "done":
      case "failed":
        this.outcome = effect;
        this.endedAt = this.#swarm.clock.now;
        return;
    }
  }

  #tell(chunk: number): void {
    this.#gossip.gain(chunk);
    this.#planTurn();
  }

  #planTurn(): void {
    const { clock } = this.#swarm;
    const due = this.#isTurnPlanned ? undefined : this.#gossip.deadline();
    if (due === undefined) return;
    this.#isTurnPlanned = true;
    clock.at(due, () => {
      this.#isTurnPlanned = false;
      for (const { members, pages } of this.#gossip.next(clock.now)) {
        clock.after(this.options.latencyMs, () => {
          for (const member of members) {
            if (this.neighbours.has(member.name)) for (const chunks of pages) member.#hear(this, chunks);
          }
        });
      }
      this.#planTurn();
    });
  }

  #hear(from: SimPeer, chunks: ChunkRanges): void {
    this.uploads.noteHeld(from.name, CONTENT, chunks);
    if (this.outcome === undefined) this.handle({ type: "source_has", source: from.name, chunks });
  }

  #plan(): void {
    const due = this.outcome === undefined ? this.manager!.deadline() : undefined;
    if (due === undefined || due >= this.#timerAt) return;
    this.#timerAt = due;
    this.#swarm.clock.at(due, () => {
      if (this.#timerAt !== due || !this.isOnline) return;
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.handle({ type: "tick" });
    });
  }
}
