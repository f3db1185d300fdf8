/** F15, decision 0: a host without a port names its only peer, whether that peer publishes or not. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { P2pfsError } from "../../src/core/errors.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { systemWith } from "../support/system.ts";
import { address, errorOf } from "../tracker/fixtures.ts";
import { listedFile, openTestPeer, TestTracker } from "./test-tracker.ts";

let folder: string;
let tracker: TestTracker;
let peer: Peer;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "p2pfs-discover-"));
  tracker = await TestTracker.start();
  peer = await openTestPeer(tracker.at, folder, { system: systemWith(async () => ["10.0.0.7"]) });
});
afterEach(async () => {
  await peer.close();
  tracker.stop();
  rmSync(folder, { recursive: true, force: true });
});

const has = (...addresses: string[]) => ({ type: "REPLY_PEERS", addresses: addresses.map(address) }) as const;

test("a host is asked for once, by its IP, and no list is gone through", async () => {
  const asked: string[] = [];
  tracker.answers = {
    REQUEST_PEERS: ({ host }) => {
      asked.push(host);
      return has("10.0.0.7:4000");
    },
    REQUEST_DISCOVER: ({ address: at }) => ({
      type: "REPLY_DISCOVER",
      file_list: [listedFile("f", 1, at)],
      next: null,
    }),
  };
  expect((await peer.discover("some.host", undefined)).rows.map((row) => row.address)).toEqual([
    address("10.0.0.7:4000"),
  ]);
  expect(asked).toEqual(["10.0.0.7"]);
  expect(tracker.counts.get("REQUEST_FILE_LIST")).toBeUndefined();
});

test("a host without a peer is not found; one with several needs the port", async () => {
  tracker.answers = { REQUEST_PEERS: () => has() };
  expect(await errorOf(peer.discover("a", undefined))).toMatchObject({ code: "not_found" });
  const addresses = Array.from({ length: 7 }, (_, i) => `10.0.0.7:${4000 + i}`);
  tracker.answers = { REQUEST_PEERS: () => has(...addresses) };
  const error = await errorOf(peer.discover("a", undefined));
  expect(error).toMatchObject({ code: "ambiguous" });
  expect(error.message).toBe(`7 peers are on a: ${addresses.slice(0, 5).join(", ")}, …`);
});

test("a tracker that does not know the question makes the port needed", async () => {
  tracker.answers = {
    REQUEST_PEERS: () => {
      throw new P2pfsError("unknown_message", "no such message");
    },
  };
  const error = await errorOf(peer.discover("a", undefined));
  expect(error).toMatchObject({ code: "usage" });
  expect(error.hint).toContain("PORT");
});
