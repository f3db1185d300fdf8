/**
 * S6 under floods: strangers and hostile members of a private swarm flood the tracker, and a peer, from another address
 * and from the members' own. Members are served nearly as without it, those that are connected and those that arrive.
 */
import { describe, expect, test } from "bun:test";
import { type Flood, FloodTest, floods, type Served, type Target } from "../../scripts/lib/floods.ts";
import { SECOND_MS } from "../../src/core/units.ts";
import { closeLater, openForAll } from "../support/closing.ts";
import { temporaryFolder } from "../support/folder.ts";

const IS_LONG = process.env.P2PFS_TEST_LONG === "1";
const NAMES = IS_LONG ? 1_000_000 : 20_000;
const MEASURED_MS = IS_LONG ? 5 * SECOND_MS : 0.7 * SECOND_MS;
const SERVED_PART_MIN = 0.8;
/** The members are at 127.0.0.1. */
const sources = { "another address": "127.0.0.2", "the members' address": "127.0.0.1" };

let service: FloodTest;
const usual = new Map<Target, Served>();
openForAll(async () => {
  service = closeLater(await FloodTest.open(temporaryFolder(), NAMES), (opened) => opened.close());
  for (const target of ["tracker", "peer"] as const) usual.set(target, await service.usual(target, MEASURED_MS));
});

const cases = floods.flatMap((flood) =>
  flood.targets.flatMap((target) =>
    Object.entries(sources)
      // What members and joiners send on their connections is bounded by member, or by the few joins of a source.
      .filter(([, from]) => IS_LONG || flood.isBySource === (from === "127.0.0.1"))
      .map(([where, from]) => [nameOf(flood), target, where, { flood, from }] as const),
  ),
);

function nameOf({ connections, kind }: Flood): string {
  return `${connections} × ${kind}`;
}

describe("served under a flood", () => {
  test.each(cases)(
    "%s on the port of a %s, from %s",
    async (_, target, _where, { flood, from }) => {
      const served = await service.under(target, flood, from, MEASURED_MS);
      if (process.env.P2PFS_FLOOD_FIGURES) console.log(JSON.stringify(served));
      const before = usual.get(target)!;
      expect(served.requests).toBeGreaterThanOrEqual(SERVED_PART_MIN * before.requests);
      expect(served.arrivals).toBeGreaterThanOrEqual(SERVED_PART_MIN * before.arrivals);
      expect(served.processor - before.processor).toBeLessThan(flood.processorMax ?? Number.POSITIVE_INFINITY);
    },
    60 * SECOND_MS,
  );
});
