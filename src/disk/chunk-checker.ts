/**
 * Verifies chunks of part files against the manifest, for all fetches of a process together: few chunks are in memory at
 * a time, fetches take turns chunk by chunk, and while a fetch uses the network, hashing takes a small part of the main
 * thread.
 */
import type { Clock } from "../core/clock.ts";
import type { Manifest } from "../core/manifest.ts";
import { isChunk } from "./blake3.ts";
import type { BufferPool } from "./buffer-pool.ts";
import type { ContentLayout } from "./content-layout.ts";
import { readAt } from "./io.ts";

/** Chunks in memory: one is hashed while another is read. */
export const CHUNKS_CHECKED_AT_ONCE = 2;
/** Pause after a chunk, as a multiple of its hashing time: two turns together take at most a quarter of a core. */
const REST_FACTOR = 7;

export class ChunkChecker {
  readonly #buffers: BufferPool;
  readonly #clock: Clock;
  readonly #waiting: (() => void)[] = [];
  #turnsFree = CHUNKS_CHECKED_AT_ONCE;

  constructor(buffers: BufferPool, clock: Clock) {
    this.#buffers = buffers;
    this.#clock = clock;
  }

  /** Runs the check when its turn has come, in order of the calls. `check` resolves to the pause after it. */
  async inTurn(check: () => Promise<number>): Promise<void> {
    if (this.#turnsFree > 0) this.#turnsFree--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      const restMs = await check();
      await this.#rest(restMs);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#turnsFree++;
      else next();
    }
  }

  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => (ms > 0 ? void this.#clock.after(ms, resolve) : this.#clock.nextTurn(resolve)));
  }

  /** Whether the file has the right bytes for the chunk, and the pause after this check. Throws the system's error. */
  async look(
    fd: number,
    manifest: Manifest,
    layout: ContentLayout,
    chunk: number,
  ): Promise<{ isRight: boolean; restMs: number }> {
    const buffer = this.#buffers.acquire(layout.lengthOf(chunk));
    try {
      const filled = await readAt(fd, buffer, layout.startOf(chunk));
      const startedMs = this.#clock.now();
      const isRight = filled === buffer.length && isChunk(buffer, manifest, chunk);
      return { isRight, restMs: (this.#clock.now() - startedMs) * REST_FACTOR };
    } finally {
      this.#buffers.release(buffer);
    }
  }
}
