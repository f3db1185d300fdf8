/** F15, decision 0: a host without a port names its only peer, whether that peer publishes or not. */
import { beforeEach, expect, test } from "bun:test";
import { P2pfsError } from "../../src/core/errors.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { expectError } from "../support/errors.ts";
import { FakeTracker } from "../support/fake-tracker.ts";
import { openPeer } from "../support/roles.ts";
import { systemWith } from "../support/system.ts";
import { address, listedFile } from "../support/values.ts";

let tracker: FakeTracker;
let peer: Peer;
beforeEach(async () => {
  tracker = await FakeTracker.start();
  peer = await openPeer({ tracker: tracker.at, system: systemWith(async () => ["10.0.0.7"]) });
});

const has = (...addresses: string[]) => ({ type: "REPLY_PEERS", addresses: addresses.map(address) }) as const;

test("the peers of a host are asked for once, by its IP, and no list is read", async () => {
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
  await expectError("not_found", peer.discover("a", undefined));
  const addresses = Array.from({ length: 7 }, (_, i) => `10.0.0.7:${4000 + i}`);
  tracker.answers = { REQUEST_PEERS: () => has(...addresses) };
  const error = await expectError("ambiguous", peer.discover("a", undefined));
  expect(error.message).toBe(`7 peers are on a: ${addresses.slice(0, 5).join(", ")}, …`);
});

test("at a tracker that does not know REQUEST_PEERS the port is needed", async () => {
  tracker.answers = {
    REQUEST_PEERS: () => {
      throw new P2pfsError("unknown_message", "no such message");
    },
  };
  const error = await expectError("usage", peer.discover("a", undefined));
  expect(error.hint).toContain("PORT");
});
