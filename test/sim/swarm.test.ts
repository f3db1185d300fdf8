/** The real engine in simulated swarms: how near to the bound it comes, and that faults cost time but no fetch. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { KiB, MiB, SECOND_MS } from "../../src/core/units.ts";
import { ratioOf, svgReport, textReport } from "./report.ts";
import { boundMs, SCENARIO, type Scenario } from "./scenario.ts";
import { type SimResult, simulate } from "./swarm.ts";

/** All time is virtual here: how busy the machine is must not decide. */
setDefaultTimeout(120 * SECOND_MS);

/** Runs a scenario; a failing expectation is thrown with all that is needed to run it again. */
function check(scenario: Partial<Scenario>, expectations: (result: SimResult) => void): void {
  const result = simulate(scenario);
  try {
    expectations(result);
  } catch (cause) {
    throw new Error(`run again: simulate(${JSON.stringify(scenario)})\n${textReport(result, 1)}`, { cause });
  }
}

describe("near the bound of Kumar and Ross", () => {
  test("the bound itself: seeder, downloads, or all uploads together", () => {
    expect(boundMs({ ...SCENARIO, leechers: 8 })).toBe(16_000);
    expect(boundMs({ ...SCENARIO, leechers: 8, leecherDown: 2 * MiB })).toBe(32_000);
    const unequal = { leechers: 4, seederUp: 8 * MiB, leecherUp: [MiB, 2 * MiB, 4 * MiB, 8 * MiB] };
    expect(boundMs({ ...SCENARIO, ...unequal })).toBeCloseTo((1000 * 256) / 23);
  });

  test.each([4, 8, 16])("64 MiB from one seeder to %d leechers, all uploads alike", (leechers) => {
    check({ leechers }, (result) => {
      expect(result.incomplete).toEqual([]);
      expect(ratioOf(result)).toBeLessThanOrEqual(1.05);
      expect(result.seederCopies).toBeLessThanOrEqual(1.03);
      expect(result.rerequests / result.requests).toBeLessThanOrEqual(0.01);
      expect(result.duplicates / result.deliveries).toBeLessThanOrEqual(0.01);
    });
  });

  test("50 leechers draw hardly more than one copy from the seeder", () => {
    check({ leechers: 50, chunkCount: 640 }, (result) => {
      expect(result.incomplete).toEqual([]);
      expect(result.seederCopies).toBeLessThanOrEqual(1.08);
    });
  });

  test("unequal uploads", () => {
    const unequal = { leechers: 4, seederUp: 8 * MiB, leecherUp: [MiB, 2 * MiB, 4 * MiB, 8 * MiB] };
    check(unequal, (result) => expect(ratioOf(result)).toBeLessThanOrEqual(1.2));
  });

  test("40 leechers with 256 chunks", () => {
    check({ leechers: 40, chunkCount: 256, chunkBytes: 256 * KiB }, (result) => {
      expect(result.incomplete).toEqual([]);
      expect(ratioOf(result)).toBeLessThanOrEqual(1.2);
      expect(result.rerequests / result.requests).toBeLessThanOrEqual(0.03);
    });
  });

  test("100 leechers: sources are crowded, so windows are short and rare chunks go first", () => {
    check({ leechers: 100, chunkCount: 512 }, (result) => {
      expect(result.incomplete).toEqual([]);
      expect(ratioOf(result)).toBeLessThanOrEqual(1.2);
      expect(result.rerequests / result.requests).toBeLessThanOrEqual(0.01);
    });
  });
});

describe("faults", () => {
  const small = { leechers: 20, chunkCount: 200, seed: 11 };

  test.each<[string, Partial<Scenario>]>([
    ["liars", { liars: 0.2 }],
    ["stalling peers", { stalling: 0.2 }],
    ["slow peers", { slowLeechers: 0.2 }],
    ["peers that leave", { churn: 0.3 }],
    ["connections that break", { resetsPerSecond: 20 }],
    ["all of it", { liars: 0.1, stalling: 0.1, slowLeechers: 0.1, churn: 0.2, resetsPerSecond: 5 }],
  ])("with %s every honest peer that stays completes", (_, faults) => {
    for (const seed of [1, 2, 3]) {
      check({ ...small, ...faults, seed }, (result) => {
        expect(result.incomplete).toEqual([]);
        expect(result.completionMs.length).toBeGreaterThan(0);
        if ((faults.liars ?? 0) > 0) expect(result.rejected).toBeGreaterThan(0);
      });
    }
  });

  test("peers that answer nothing but cancels do not get the last chunks to and fro between them", () => {
    for (const seed of [1, 2, 3]) {
      check({ leechers: 8, chunkCount: 64, seederUp: 32 * KiB, leecherUp: 32 * KiB, stalling: 0.2, seed }, (result) => {
        expect(result.incomplete).toEqual([]);
        expect(ratioOf(result)).toBeLessThanOrEqual(1.6);
      });
    }
  });

  test("liars cost the seeder little, although the other peers soon stop serving them", () => {
    check({ leechers: 100, chunkCount: 256, liars: 0.05, churn: 0.2 }, (result) => {
      expect(result.incomplete).toEqual([]);
      expect(ratioOf(result)).toBeLessThanOrEqual(1.5);
    });
  });

  test("D7: without a seeder every fetch ends with the error that names a chunk", () => {
    check({ ...small, seeders: 0 }, (result) => {
      expect(result.completionMs).toEqual([]);
      for (const peer of result.incomplete) {
        expect(peer.outcome).toEqual({ type: "failed", code: "no_holder", chunk: 0 });
        expect(peer.endedAt! - peer.startedAt).toBeLessThanOrEqual(2000);
      }
    });
  });

  test("the harness notices what must fail, and says how to run it again", () => {
    const hopeless = { leechers: 3, chunkCount: 100, timeMsMax: 500 };
    expect(() => check(hopeless, (result) => expect(result.incomplete).toEqual([]))).toThrow("run again: simulate(");
  });
});

/** As `scripts/simulate leechers=1 seederUp=6291456 chunkCount=48 slow=10 slowUp=4096`. */
describe("slow holders beside one fast seeder cost little", () => {
  const fast = { leechers: 1, seederUp: 6 * MiB, neighboursAim: 50, timeMsMax: 120 * SECOND_MS };
  const contents = [
    { chunkCount: 48, chunkBytes: 64 * KiB },
    { chunkCount: 512, chunkBytes: 128 * KiB },
  ];
  const kinds: [string, (count: number) => Partial<Scenario>][] = [
    ...[1, 4, 16, 64].map((kibibytes): [string, (count: number) => Partial<Scenario>] => [
      `${kibibytes} KiB/s`,
      (slow) => ({ slow, slowUp: kibibytes * KiB }),
    ]),
    ["a byte a second", (trickle) => ({ trickle })],
    ["a header and silence", (stall) => ({ stall })],
    ["no answer at all", (mute) => ({ mute })],
  ];

  test.each(kinds)("of %s: 1, 2, 3 and 10 of them", (_kind, holders) => {
    for (const content of contents) {
      const alone = simulate({ ...fast, ...content }).completionMs[0]!;
      for (const count of [1, 2, 3, 10]) {
        for (const seed of [1, 2, 3]) {
          check({ ...fast, ...content, ...holders(count), seed }, (result) => {
            expect(result.completionMs[0]).toBeLessThanOrEqual(1.3 * alone + SECOND_MS);
            expect(result.duplicates / result.deliveries).toBeLessThanOrEqual(0.02);
          });
        }
      }
    }
  });

  test("the window is not filled by 35 of them", () => {
    for (const kind of [{ slow: 35 }, { trickle: 35 }, { stall: 35 }]) {
      check({ ...fast, ...contents[0], ...kind }, (result) => {
        expect(result.completionMs[0]).toBeLessThanOrEqual(2 * SECOND_MS);
      });
    }
  });

  test("alone, one of 1 KiB/s serves the whole file", () => {
    check({ leechers: 1, seeders: 0, slow: 1, slowUp: KiB, chunkCount: 8, sampleMax: 8 }, (result) => {
      expect(result.incomplete).toEqual([]);
      expect(result.duplicates).toBe(0);
    });
  });
});

describe("the simulator", () => {
  const faulty = { leechers: 12, chunkCount: 100, liars: 0.1, churn: 0.2, resetsPerSecond: 5, seed: 5 };

  test("the same seed gives the same run, to the event; another seed another", () => {
    const [first, again, other] = [faulty, faulty, { ...faulty, seed: 6 }].map((scenario) => simulate(scenario));
    expect(again!.traceHash).toBe(first!.traceHash);
    expect(again!.steps).toBe(first!.steps);
    expect(other!.traceHash).not.toBe(first!.traceHash);
  });

  test("reports as text and as a drawing", () => {
    const result = simulate({ leechers: 2, chunkCount: 20 });
    expect(textReport(result, 1000)).toContain("leechers done / not done");
    const svg = svgReport(result);
    expect(svg).toStartWith("<svg");
    expect(svg).not.toContain("NaN");
  });
});
