/** What the swarm's tests share: a seeded source of randomness and a host for one DownloadManager. */
import { Bitfield, type ChunkRanges, onlyChunk, rangeOfOne } from "../../src/core/bitfield.ts";
import { DownloadManager, type DownloadManagerOptions } from "../../src/swarm/download-manager.ts";
import type { DownloadEffect, DownloadEvent, RequestId, SourceId } from "../../src/swarm/types.ts";

/** mulberry32: small, fast, the same everywhere. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

export const CHUNK_BYTES = 65536;

export function rangesOf(chunks: Iterable<number>): ChunkRanges {
  const sorted = [...chunks];
  const field = new Bitfield(Math.max(0, ...sorted) + 1);
  for (const chunk of sorted) field.add(chunk);
  return field.toRanges();
}

export function allOf(chunkCount: number): ChunkRanges {
  return chunkCount === 0 ? rangesOf([]) : Bitfield.full(chunkCount).toRanges();
}

export function chunksIn(ranges: ChunkRanges): number[] {
  const chunks: number[] = [];
  for (let i = 0; i < ranges.length; i += 2) for (let c = ranges[i]!; c <= ranges[i + 1]!; c++) chunks.push(c);
  return chunks;
}

export type RequestEffect = Extract<DownloadEffect, { type: "request" }>;

/** Drives a manager by hand: keeps the effects, the requests that wait, and the virtual time. */
export class Driver {
  readonly manager: DownloadManager;
  readonly effects: DownloadEffect[] = [];
  /** Requests neither answered nor cancelled, in order. */
  readonly waiting = new Map<RequestId, RequestEffect>();
  now = 0;

  constructor(chunkCount: number, options: Partial<DownloadManagerOptions> = {}) {
    this.manager = new DownloadManager({
      chunkCount,
      chunkLength: () => CHUNK_BYTES,
      have: new Bitfield(chunkCount),
      random: seededRandom(1),
      ...options,
    });
  }

  /** Hands in the event and returns the effects that it had. */
  send(event: DownloadEvent): DownloadEffect[] {
    this.manager.handle(event, this.now);
    return this.drain();
  }

  drain(): DownloadEffect[] {
    const effects: DownloadEffect[] = [];
    for (let effect = this.manager.poll(); effect !== undefined; effect = this.manager.poll()) {
      effects.push(effect);
      if (effect.type === "request") this.waiting.set(effect.request, effect);
      else if (effect.type === "cancel") this.waiting.delete(effect.request);
      else if (effect.type === "drop") this.#forget(effect.source);
    }
    this.effects.push(...effects);
    return effects;
  }

  join(source: SourceId, chunks: ChunkRanges): DownloadEffect[] {
    return this.send({ type: "source_joined", source, chunks });
  }

  gone(source: SourceId): DownloadEffect[] {
    this.#forget(source);
    return this.send({ type: "source_gone", source });
  }

  /** Answers a request, with the first chunk that it names unless another is given; writes what is to be written. */
  answer(request: RequestEffect, answer: { chunk?: number; valid?: boolean; bytes?: number } = {}): DownloadEffect[] {
    const { chunk = request.chunks[0]!, valid = true, bytes = CHUNK_BYTES } = answer;
    this.waiting.delete(request.request);
    const { source } = request;
    const effects = this.send({ type: "chunk_arrived", source, request: request.request, chunk, bytes, valid });
    for (const effect of [...effects]) {
      if (effect.type === "write") effects.push(...this.send({ type: "chunk_written", chunk: effect.chunk }));
    }
    return effects;
  }

  refuse(request: RequestEffect, retryable: boolean): DownloadEffect[] {
    this.waiting.delete(request.request);
    const { source } = request;
    return this.send({ type: "request_refused", source, request: request.request, retryable });
  }

  /** Lets time pass, ticking whenever the manager asks for it. */
  advance(ms: number): DownloadEffect[] {
    const end = this.now + ms;
    const effects: DownloadEffect[] = [];
    for (let steps = 0; steps < 10_000; steps++) {
      const due = this.manager.deadline();
      if (due === undefined || due > end) break;
      this.now = Math.max(this.now, due);
      effects.push(...this.send({ type: "tick" }));
    }
    this.now = end;
    effects.push(...this.send({ type: "tick" }));
    return effects;
  }

  waitingAt(source: SourceId): RequestEffect[] {
    return [...this.waiting.values()].filter((request) => request.source === source);
  }

  types(): string[] {
    return this.effects.map((effect) => effect.type);
  }

  #forget(source: SourceId): void {
    for (const request of this.waitingAt(source)) this.waiting.delete(request.request);
  }
}

export { onlyChunk, rangeOfOne };
