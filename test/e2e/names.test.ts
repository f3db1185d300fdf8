/** Identity comes from who dialled whom: a stranger that claims an honest holder's address takes nothing from it. */
import { beforeEach, expect, test } from "bun:test";
import type { Address } from "../../src/core/address.ts";
import { type ChunkRanges, NO_CHUNKS } from "../../src/core/bitfield.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { MiB } from "../../src/core/units.ts";
import type { Outgoing } from "../../src/net/handlers.ts";
import { payloadOf } from "../../src/net/send-queue.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { expectSameFile } from "../support/folder.ts";
import { dialAs, helloOf } from "../support/protocol-peer.ts";
import { Cluster, fetchTo } from "../support/roles.ts";

const SIZE = 4 * MiB;
const CHUNKS = 64;
const all = [0, CHUNKS - 1] as unknown as ChunkRanges;

let cluster: Cluster;
let source: string;
beforeEach(async () => {
  cluster = await Cluster.open();
  source = cluster.makeFile("source.bin", SIZE);
});

type Behaviour = "garbage" | "silence" | "nothing";

/** Dials from the honest holder's IP, claims its address, joins the swarm as soon as it can, and behaves. */
async function startImpostor(
  victim: Peer,
  claimed: Address,
  contentId: ContentId,
  behaviour: Behaviour,
): Promise<void> {
  const garbage = new Uint8Array(SIZE / CHUNKS);
  const hello = helloOf("peer", { address: claimed, nonce: "ab".repeat(16) });
  const connection = await dialAs(hello, victim.address!, (ready) => ({
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
  }));
  const chunks = behaviour === "nothing" ? NO_CHUNKS : all;
  const join = { type: "REQUEST_JOIN_SWARM", content_id: contentId, chunks } as const;
  // The victim takes it as soon as its fetch has begun.
  void (async () => {
    while (connection.isOpen && (await connection.request(join).catch(() => undefined)) === undefined)
      await Bun.sleep(1);
  })();
}

test.each<[Behaviour]>([["garbage"], ["silence"], ["nothing"]])(
  "an inbound stranger that claims an honest holder's address and sends %s: the holder is used, and has its own row",
  async (behaviour) => {
    const [seeder, leecher] = await cluster.joinPeers(["seeder", "leecher"]);
    const { content_id } = await cluster.publish(seeder, source);
    await startImpostor(leecher, seeder.address!, content_id, behaviour);
    const { sources } = await fetchTo(leecher, "source.bin", cluster.path("copy"));
    expectSameFile(cluster.path("copy"), source);
    const ofSeeder = sources.filter(({ address }) => address === seeder.address);
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
  const [one, two] = await cluster.joinPeers(["one", "two"]);
  await cluster.publish(one, source);
  await cluster.publish(two, other);
  const joined: string[] = [];
  for (const peer of [one, two])
    peer.events.subscribe((event) => {
      if (event.type === "peer_joined" || event.type === "peer_left") joined.push(event.type);
    });
  const first = await fetchTo(two, "source.bin", cluster.path("copy"));
  expect(first.sources).toMatchObject([{ address: one.address, inbound: false }]);
  const second = await fetchTo(one, "other.bin", cluster.path("copy-of-other"));
  expect(second.sources).toMatchObject([{ address: two.address, inbound: false, bytes: SIZE }]);
  expect(joined).toEqual(["peer_joined", "peer_joined"]);
});
