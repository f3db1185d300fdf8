/**
 * What one decision of the engine costs in real time, by chunks and sources: a chunk arrives and is written, and another
 * one is asked for. Half of the sources have everything, the others a random half, so every path of the picker is used.
 */
import { Bitfield } from "../../src/core/bitfield.ts";
import { KiB } from "../../src/core/units.ts";
import { DownloadManager } from "../../src/swarm/download-manager.ts";
import type { DownloadEffect } from "../../src/swarm/types.ts";
import { seededRandom } from "../swarm/support.ts";

const CHUNK_BYTES = 64 * KiB;
const ANSWERS_WARM = 200;
const ANSWERS_MEASURED = 700;
const ANSWER_MS = 1;
const MICROSECONDS_PER_MS = 1000;

type Request = Extract<DownloadEffect, { type: "request" }>;

class Fetch {
  readonly manager: DownloadManager;
  readonly #random = seededRandom(1);
  readonly #waiting: Request[] = [];
  #now = 0;

  constructor(chunkCount: number, sourceCount: number) {
    const chunkLength = () => CHUNK_BYTES;
    const have = new Bitfield(chunkCount);
    this.manager = new DownloadManager({ chunkCount, chunkLength, have, random: this.#random });
    for (let index = 0; index < sourceCount; index++) {
      const chunks = (index % 2 === 0 ? Bitfield.full(chunkCount) : this.#randomHalf(chunkCount)).toRanges();
      this.manager.handle({ type: "source_joined", source: `${index}`, chunks }, 0);
    }
    this.#drain();
  }

  #randomHalf(chunkCount: number): Bitfield {
    const half = new Bitfield(chunkCount);
    for (let chunk = 0; chunk < chunkCount; chunk++) if (this.#random() < 0.5) half.add(chunk);
    return half;
  }

  #drain(): void {
    for (let effect = this.manager.poll(); effect !== undefined; effect = this.manager.poll()) {
      if (effect.type === "request") this.#waiting.push(effect);
      else if (effect.type === "write") {
        this.manager.handle({ type: "chunk_written", chunk: effect.chunk }, this.#now);
      }
    }
  }

  /** Answers the oldest requests, one each millisecond. */
  answer(count: number): void {
    for (let answered = 0; answered < count; answered++) {
      const { chunks, request, source } = this.#waiting.shift()!;
      const chunk = chunks[0]!;
      this.#now += ANSWER_MS;
      const event = { type: "chunk_arrived", source, request, chunk, bytes: CHUNK_BYTES, valid: true } as const;
      this.manager.handle(event, this.#now);
      this.#drain();
    }
  }
}

/** Microseconds of real time. */
export function decisionCost(chunkCount: number, sourceCount: number, clock: () => number): number {
  const fetch = new Fetch(chunkCount, sourceCount);
  fetch.answer(ANSWERS_WARM);
  const startedAt = clock();
  fetch.answer(ANSWERS_MEASURED);
  return ((clock() - startedAt) / ANSWERS_MEASURED) * MICROSECONDS_PER_MS;
}

export function costReport(clock: () => number): string {
  const sourceCounts = [10, 50, 200];
  decisionCost(1000, 50, clock);
  const rows = [1_000, 10_000, 100_000].map((chunkCount) => {
    const costs = sourceCounts.map((sourceCount) =>
      decisionCost(chunkCount, sourceCount, clock).toFixed(1).padStart(12),
    );
    return `${`${chunkCount}`.padStart(8)}${costs.join("")}`;
  });
  const heads = sourceCounts.map((count) => `${count} sources`.padStart(12)).join("");
  return ["microseconds a decision", `${"chunks".padStart(8)}${heads}`, ...rows].join("\n");
}
