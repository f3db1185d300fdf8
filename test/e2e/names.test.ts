/** Who a peer is comes from who dialled whom: a stranger that says an honest holder's address takes nothing from it. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { Address } from "../../src/core/address.ts";
import { type ChunkRanges, NO_CHUNKS } from "../../src/core/bitfield.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { MiB } from "../../src/core/units.ts";
import type { Connection } from "../../src/net/connection.ts";
import type { Outgoing } from "../../src/net/handlers.ts";
import { payloadOf } from "../../src/net/send-queue.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { dial } from "../support/endpoint.ts";
import { serveFake } from "../support/serve-fake.ts";
import { Cluster, fetchTo } from "./cluster.ts";

const SIZE = 4 * MiB;
const CHUNKS = 64;
const all = [0, CHUNKS - 1] as unknown as ChunkRanges;

let cluster: Cluster;
let source: string;
const cleanups: (() => unknown)[] = [];
beforeEach(async () => {
  cluster = await Cluster.start();
  source = cluster.makeFile("source.bin", SIZE);
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await cluster.close();
});

const isCopied = () => Buffer.compare(readFileSync(source), readFileSync(cluster.path("copy"))) === 0;

type Behaviour = "garbage" | "silence" | "nothing";

/** Comes in from the honest holder's IP, says its address, joins as soon as it can, and behaves. */
async function impostor(victim: Peer, claim: Address, contentId: ContentId, behaviour: Behaviour): Promise<Connection> {
  const garbage = new Uint8Array(SIZE / CHUNKS);
  const connection = await dial(victim.address!, {
    local: { role: "peer", agent: "impostor", address: claim, nonce: "ab".repeat(16) },
    timeoutMs: 1000,
    onConnection: (ready) =>
      serveFake(ready, {
        request(message) {
          if (message.type !== "PEER_REQUEST_CHUNK" || behaviour !== "garbage") return undefined;
          const { request, filename, content_id, chunknum } = message;
          const reply: Outgoing = {
            type: "PEER_REPLY_CHUNK",
            filename,
            content_id,
            chunknum: chunknum[0]!,
            digest: new Uint8Array(32),
          };
          if (ready.payloadFramesQueued < 2) ready.replyWithPayload(request, reply, payloadOf(garbage));
          return undefined;
        },
      }),
  });
  cleanups.push(() => connection.close());
  const chunks = behaviour === "nothing" ? NO_CHUNKS : all;
  const join = { type: "REQUEST_JOIN_SWARM", content_id: contentId, chunks } as const;
  // The victim takes it as soon as its fetch has begun.
  void (async () => {
    while (connection.isOpen && (await connection.request(join).catch(() => undefined)) === undefined)
      await Bun.sleep(1);
  })();
  return connection;
}

test.each<[Behaviour]>([["garbage"], ["silence"], ["nothing"]])(
  "a stranger that came in first under an honest holder's address, with %s: the holder is used, and shown as itself",
  async (behaviour) => {
    const [seeder, leecher] = await cluster.startPeers(["seeder", "leecher"]);
    const { content_id } = await cluster.publish(seeder!, source);
    await impostor(leecher!, seeder!.address!, content_id, behaviour);
    const { sources } = await fetchTo(leecher!, "source.bin", cluster.path("copy"));
    expect(isCopied()).toBe(true);
    const ofSeeder = sources.filter(({ address }) => address === seeder!.address);
    expect(ofSeeder).toMatchObject([{ inbound: false, bytes: SIZE, chunks: CHUNKS, rejected: 0 }]);
    for (const { inbound, address, bytes } of sources.filter((each) => each !== ofSeeder[0])) {
      expect({ inbound, bytes }).toEqual({ inbound: true, bytes: 0 });
      expect(address).toStartWith("127.0.0.1:");
    }
  },
  15_000,
);

test("two peers that fetch from one another have one connection, known by address on both sides", async () => {
  const other = cluster.makeFile("other.bin", SIZE, 2);
  const [one, two] = await cluster.startPeers(["one", "two"]);
  await cluster.publish(one!, source);
  await cluster.publish(two!, other);
  const joined: string[] = [];
  for (const peer of [one!, two!])
    peer.events.subscribe((event) => {
      if (event.type === "peer_joined" || event.type === "peer_left") joined.push(event.type);
    });
  const first = await fetchTo(two!, "source.bin", cluster.path("copy"));
  expect(first.sources).toMatchObject([{ address: one!.address, inbound: false }]);
  const second = await fetchTo(one!, "other.bin", cluster.path("copy-of-other"));
  expect(second.sources).toMatchObject([{ address: two!.address, inbound: false, bytes: SIZE }]);
  expect(joined).toEqual(["peer_joined", "peer_joined"]);
});
