/** What the log of a role says from the level debug on, for whoever looks for the reason why something does not work. */
import { beforeEach, expect, test } from "bun:test";
import type { Address } from "../../src/core/address.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { expectError } from "../support/errors.ts";
import { ProtocolPeer } from "../support/protocol-peer.ts";
import { Cluster, fetchTo } from "../support/roles.ts";
import { until } from "../support/until.ts";
import { ranges } from "../support/values.ts";

const SIZE = 100;

let cluster: Cluster;
let seeder: Peer;
let leecher: Peer;
beforeEach(async () => {
  cluster = await Cluster.open();
  [seeder, leecher] = await cluster.joinPeers(["seeder", "leecher"]);
});

const logged = (beginning: string) =>
  until(`the entry ${beginning}`, () => cluster.log.some((line) => line.startsWith(beginning)));

test("a tracker: who has registered, whose connection is closed and why, who is refused what", async () => {
  const address = leecher.address!;
  expect(cluster.log).toContainEqual(
    expect.stringMatching(new RegExp(`^tracker debug: ${address} has registered, on the host .`)),
  );
  const peer = await ProtocolPeer.dial(cluster.trackerAddress, 1);
  await expectError("refused", peer.register({ address: "127.0.0.1:7001" as Address, host_name: "a\u001bb" }));
  expect(cluster.log).toContainEqual(
    expect.stringMatching(
      /^tracker debug: 127\.0\.0\.1:\d+ is refused REQUEST_REGISTER: a host name cannot contain control characters$/,
    ),
  );
  await cluster.stopPeer(leecher);
  await logged(`tracker debug: the connection of ${address} is closed: no reason is known`);
});

test("a peer: what is fetched, from whom, and which holder cannot be reached", async () => {
  const path = cluster.makeFile("source", SIZE);
  const { content_id } = await cluster.publish(seeder, path, "film");
  // The port 9 takes no connections.
  const gone = await ProtocolPeer.join(cluster.trackerAddress, 1, 9);
  await gone.request<"REQUEST_CHUNK_REGISTER">({
    type: "REQUEST_CHUNK_REGISTER",
    primary_key: null,
    content_id: content_id as ContentId,
    size: SIZE,
    chunknum: ranges(0, 0),
    replace: false,
  });
  const destination = cluster.path("copy");
  await fetchTo(leecher, "film", destination);
  await logged(`leecher debug: fetching film to ${destination}`);
  await logged(`leecher debug: the connection with ${seeder.address} is open`);
  await logged(`leecher debug: the fetch of film to ${destination} is done`);
  await logged(`leecher debug: cannot reach the holder 127.0.0.1:9 of ${content_id}: `);
  await cluster.stopPeer(seeder);
  await logged(`leecher debug: the connection with ${seeder.address} is closed: `);
});
