/** What a simulated swarm looks like, and the least time in which it could be served. */
import { WINDOW_SIZE } from "../../src/core/limits.ts";
import { KiB, MiB, SECOND_MS } from "../../src/core/units.ts";
import type { DownloadBounds, GossipBounds, UploadBounds } from "../../src/swarm/bounds.ts";

/** Stalling: silent from the start, but cancels are answered. Mute: nothing is answered. Trickle and stall: after a header. */
export type Conduct = "honest" | "liar" | "stalling" | "slow" | "mute" | "trickle" | "stall";

export interface Scenario {
  readonly seed: number;
  readonly leechers: number;
  readonly seeders: number;
  readonly chunkCount: number;
  readonly chunkBytes: number;
  /** Bytes per second. A leecher's, where a list is given, by its number. */
  readonly seederUp: number;
  readonly leecherUp: number | readonly number[];
  readonly leecherDown: number;
  /** One way, per peer at random from 1 to this. */
  readonly latencyMsMax: number;
  /** Leechers start at random within this. */
  readonly startMsMax: number;
  /** Neighbours that a peer looks for, and has at most. */
  readonly neighboursAim: number;
  readonly neighboursMax: number;
  /** Holders named by the tracker. */
  readonly sampleMax: number;
  /** Shares of the leechers. */
  readonly liars: number;
  readonly stalling: number;
  readonly slowLeechers: number;
  /**
   * Holders of everything beside the seeders: limited to a rate in bytes per second; sending a header and then a byte a
   * second; sending a header and nothing more; answering nothing.
   */
  readonly slow: number;
  readonly slowUp: number;
  readonly trickle: number;
  readonly stall: number;
  readonly mute: number;
  /** Share of the leechers that leaves for good, at a random moment before the bound. */
  readonly churn: number;
  /** Connections that break, in the whole swarm, a second. */
  readonly resetsPerSecond: number;
  readonly bounds: Partial<DownloadBounds>;
  readonly uploads: Partial<UploadBounds>;
  readonly gossip: Partial<GossipBounds>;
  readonly timeMsMax: number;
}

export const SCENARIO: Scenario = {
  seed: 1,
  leechers: 8,
  seeders: 1,
  chunkCount: 1024,
  chunkBytes: 64 * KiB,
  seederUp: 4 * MiB,
  leecherUp: 4 * MiB,
  leecherDown: Number.POSITIVE_INFINITY,
  latencyMsMax: 5,
  startMsMax: 50,
  neighboursAim: WINDOW_SIZE,
  neighboursMax: 50,
  sampleMax: 50,
  liars: 0,
  stalling: 0,
  slowLeechers: 0,
  slow: 0,
  slowUp: 4 * KiB,
  trickle: 0,
  stall: 0,
  mute: 0,
  churn: 0,
  resetsPerSecond: 0,
  bounds: {},
  uploads: {},
  gossip: {},
  timeMsMax: 600 * SECOND_MS,
};

export function leecherUp(scenario: Scenario, index: number): number {
  const { leecherUp } = scenario;
  return typeof leecherUp === "number" ? leecherUp : leecherUp[index % leecherUp.length]!;
}

/** Kumar and Ross: no schedule serves everybody sooner, whether seeders, downloads or all uploads together limit it. */
export function boundMs(scenario: Scenario): number {
  const { chunkCount, chunkBytes, leecherDown, leechers, seederUp, seeders } = scenario;
  const bytes = chunkCount * chunkBytes;
  const leechersUp = Array.from({ length: leechers }, (_, index) => leecherUp(scenario, index));
  const totalUp = leechersUp.reduce((sum, up) => sum + up, seeders * seederUp);
  return SECOND_MS * Math.max(bytes / (seeders * seederUp), bytes / leecherDown, (leechers * bytes) / totalUp);
}
