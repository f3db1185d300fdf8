/**
 * Hostile members, over TLS: a machine with a certificate as good as any speaks for itself alone, takes no more than its
 * share, and is out when it was removed, whatever it does.
 *
 * Elsewhere: another peer id, the role of a tracker, a certificate made by a peer, one of a removed member, at every port
 * (test/e2e/turned-away.test.ts, test/identity/certificate.test.ts); false chunks and manifests
 * (test/e2e/bad-holders.test.ts), claims of chunks that never come (test/e2e/unproven.test.ts); quotas of rows
 * (test/tracker/registry-conformance.ts); a removed member that receives (test/e2e/swarm.test.ts); whole systems with
 * hostile members and liars (test/sim/system).
 */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Address } from "../../src/core/address.ts";
import { Bitfield } from "../../src/core/bitfield.ts";
import type { P2pfsError } from "../../src/core/errors.ts";
import { HEARTBEAT_MS, LEASE_MS } from "../../src/core/limits.ts";
import { chunkCountFor } from "../../src/core/manifest.ts";
import { type FileInfo, publicationKey } from "../../src/core/model.ts";
import { formatTicket } from "../../src/core/ticket.ts";
import { MINUTE_MS, MiB } from "../../src/core/units.ts";
import { parseCertificate, peerIdIn } from "../../src/identity/certificate.ts";
import type { Membership } from "../../src/identity/membership.ts";
import type { Outgoing } from "../../src/net/handlers.ts";
import type { Peer } from "../../src/peer/peer.ts";
import type { Published } from "../../src/peer/types.ts";
import type { RequestName } from "../../src/wire/messages.ts";
import { randomBytes } from "../support/bytes.ts";
import { openForAll } from "../support/closing.ts";
import { expectError } from "../support/errors.ts";
import { expectSameFile, temporaryFolder } from "../support/folder.ts";
import { joinBy } from "../support/private-swarm.ts";
import { helloOf, listenAs, type ProtocolPeer } from "../support/protocol-peer.ts";
import { fetchTo } from "../support/roles.ts";
import { until } from "../support/until.ts";
import { contentId, fileName } from "../support/values.ts";
import { Lab } from "./lab.ts";

const SIZE = 2 * MiB;
const CHUNKS = chunkCountFor(SIZE);
/** Its sessions at a tracker. */
const INSTANCES_MAX = 64;

async function share(peer: Peer, fname = "shared"): Promise<Published> {
  const path = join(temporaryFolder(), fname);
  await Bun.write(path, randomBytes(SIZE, 1));
  return peer.publish({ path, lname: path, fname });
}

describe("a member that is registered", () => {
  let lab: Lab;
  let anna: Peer;
  let shared: Published;
  let mallory: ProtocolPeer;
  let membership: Membership;
  openForAll(async () => {
    lab = await Lab.open();
    anna = await lab.swarm.peer("anna");
    shared = await share(anna);
    ({ member: mallory, membership } = await lab.hostileMember());
    await mallory.register({ address: "127.0.0.1:4000" as Address });
    mallory.keepAlive(HEARTBEAT_MS);
  });

  const fname = () => shared.fname as FileInfo["fname"];
  const publication = (fields: Partial<Outgoing<"REQUEST_PUBLISH">>): Outgoing<"REQUEST_PUBLISH"> => ({
    type: "REQUEST_PUBLISH",
    primary_key: publicationKey(fname(), anna.address!),
    fname: fname(),
    size: SIZE,
    total_chunknum: CHUNKS,
    author_address: anna.address!,
    local_file: "/",
    content_id: shared.content_id,
    ...fields,
  });
  const holding = (fields: Partial<Outgoing<"REQUEST_CHUNK_REGISTER">>): Outgoing<"REQUEST_CHUNK_REGISTER"> => ({
    type: "REQUEST_CHUNK_REGISTER",
    primary_key: shared.key,
    content_id: shared.content_id,
    size: SIZE,
    chunknum: Bitfield.full(1).toRanges(),
    replace: true,
    ...fields,
  });
  const none = new Bitfield(CHUNKS).toRanges();

  /** What it tries, and how it is refused; undefined where it is granted, for the member itself. */
  const tries: Readonly<Record<string, readonly [() => Outgoing<RequestName>, code: string | undefined]>> = {
    "unpublishes what another one has published": [() => ({ type: "REQUEST_UNPUBLISH", fname: fname() }), "not_found"],
    "publishes under another one's address": [() => publication({}), "refused"],
    "publishes under another one's address, with its own key": [
      () => publication({ primary_key: publicationKey(fname(), mallory.address) }),
      "refused",
    ],
    "publishes as itself under another one's key": [() => publication({ author_address: mallory.address }), "refused"],
    "says that a content which another one holds has another size": [
      () => holding({ size: 5, chunknum: none }),
      undefined,
    ],
    "takes its own chunks back, under another one's key": [() => holding({ chunknum: none }), undefined],
    "has announced everything, and so nothing of another one's": [() => ({ type: "REQUEST_ANNOUNCED" }), undefined],
    "registers at another one's address": [
      () => registration({ address: anna.address!, advertised: false }),
      "refused",
    ],
    "advertises another one's address": [
      () => registration({ address: `127.0.0.2:${anna.address!.split(":")[1]}` as Address, advertised: true }),
      "refused",
    ],
  };
  const registration = (fields: Partial<Outgoing<"REQUEST_REGISTER">>): Outgoing<"REQUEST_REGISTER"> => ({
    type: "REQUEST_REGISTER",
    peer_id: mallory.id,
    address: mallory.address,
    advertised: false,
    host_name: "mallory",
    ...fields,
  });

  test.each(Object.entries(tries))("and %s changes nothing of the other's", async (_what, [message, code]) => {
    const answer = await mallory.request(message()).then(
      () => undefined,
      (thrown: P2pfsError) => thrown.code,
    );
    expect(answer).toBe(code as never);
    const { rows } = await lab.swarm.tracker.listFiles();
    expect(rows.filter(({ address }) => address === anna.address).map(({ key }) => key)).toEqual([shared.key]);
    const { holders } = await lab.swarm.tracker.holdersOf(shared.content_id);
    expect(holders).toContainEqual({ address: anna.address!, chunks: `0-${CHUNKS - 1}` });
    expect((await lab.swarm.tracker.listPeers()).rows.map(({ address }) => address).toSorted()).toEqual(
      [anna.address!, mallory.address].toSorted(),
    );
  });

  test("renews its own certificate, for its own key, and not again and again", async () => {
    const renewed = await mallory.request({ type: "REQUEST_RENEW" });
    expect(peerIdIn(parseCertificate(renewed.certificate)!)).toBe(mallory.id);
    let refused: P2pfsError | undefined;
    let granted = 1;
    while (refused === undefined)
      await mallory.request({ type: "REQUEST_RENEW" }).then(
        () => granted++,
        (thrown: P2pfsError) => {
          refused = thrown;
        },
      );
    expect([refused.code, granted]).toEqual(["busy", 5]);
    // Another connection is the same member.
    const again = await lab.dialAs(membership);
    await expectError("busy", again.request({ type: "REQUEST_RENEW" }));
  });

  test("has so many processes and no more, and others join all the same", async () => {
    const instances = await Promise.all(Array.from({ length: INSTANCES_MAX - 1 }, () => lab.dialAs(membership)));
    const register = (member: ProtocolPeer, index: number) =>
      member.register({ address: `127.0.0.1:${5000 + index}` as Address, instance: `${index}`.padStart(32, "0") });
    await Promise.all(instances.map(register));
    await expectError("busy", register(await lab.dialAs(membership), INSTANCES_MAX), /64 peers of this member/);
    await lab.swarm.peer("ben");
    await Promise.all(instances.map((instance) => instance.leave()));
    await register(await lab.dialAs(membership), INSTANCES_MAX);
  });

  test("cannot use the id of another process of another member, whatever it calls its own", async () => {
    const impostor = await lab.dialAs(membership);
    const registering = impostor.register({ address: "127.0.0.1:4001" as Address, peer_id: "ab".repeat(16) as never });
    await expectError("refused", registering, "another peer id");
  });
});

describe("a member that was removed", () => {
  test("and stays is out of every session and transfer within a minute, also while others receive from it", async () => {
    const lab = await Lab.open();
    const [mallory, ben] = [
      await lab.swarm.peer("mallory", { limits: { up_limit: 200_000 } }),
      await lab.swarm.peer("ben"),
    ];
    const { ticket } = await share(mallory);
    const job = await ben.fetch({ what: ticket, destination: join(temporaryFolder(), "copy") });
    const ended = job.done.catch((thrown: P2pfsError) => thrown);
    await until("ben has some of it", () => job.progress().chunks > 0);
    const removedMs = performance.now();
    await lab.swarm.tracker.membership.revoke("mallory");
    await until("he hears nothing of her any more", () => ben.backlog.connections === 0, MINUTE_MS);
    await until("she has no session", () => !mallory.status().connected, MINUTE_MS);
    expect(performance.now() - removedMs).toBeLessThan(MINUTE_MS);
    const { chunks } = job.progress();
    const kept = ben.status().bytes_received;
    await until("her file is listed no more", async () => (await lab.swarm.tracker.listFiles()).rows.length === 0);
    // She is told why, by the tracker at her next try.
    await until("she knows", async () => {
      const error = await mallory.listFiles().catch((thrown: P2pfsError) => thrown);
      return "hint" in error && /removed from the swarm/.test(error.message) && /swarm join/.test(error.hint);
    });
    expect([job.progress().chunks, ben.status().bytes_received]).toEqual([chunks, kept]);
    // Somebody else has the file: what has come is kept.
    const carol = await lab.swarm.peer("carol");
    const again = await share(carol);
    const outcome = await ended;
    const receipt = "code" in outcome ? await fetchTo(ben, again.ticket, job.progress().destination) : outcome;
    expectSameFile(job.progress().destination, again.path);
    expect(receipt).toMatchObject({ content_id: again.content_id });
  });

  test("at another tracker renews nothing here, over a session that is still open", async () => {
    const lab = await Lab.open({ leaseMs: 10 * LEASE_MS });
    const { member, membership } = await lab.hostileMember();
    await member.register({ address: "127.0.0.1:4000" as Address });
    // As another tracker on the same registry does it, of which this one hears within a third of a lease.
    await lab.swarm.tracker.registry.members.revoke(membership.peerId);
    await expectError("unauthorised", member.request({ type: "REQUEST_RENEW" }), "no member");
    await lab.swarm.tracker.refreshMembers();
    await member.gone;
    await expectError(
      "unauthorised",
      lab.dialAs(membership).then(({ gone }) => gone.then(() => Promise.reject())),
    );
  });

  test("does not come back by another invitation with the same key, and by none that was for others", async () => {
    const lab = await Lab.open();
    const token = await lab.swarm.invite({ uses: 3 });
    const mallory = (await joinBy(token, "mallory"))!;
    await lab.swarm.tracker.membership.revoke("mallory");
    for (const each of [token, await lab.swarm.invite()])
      await expectError("refused", joinBy(each, "mallory", mallory.key), "removed from the swarm");
    // An invitation for several is ended by whoever removes somebody who has it.
    const [invitation] = await lab.swarm.tracker.membership.invitations();
    await lab.swarm.tracker.membership.endInvitation(invitation!.id);
    await expectError("refused", joinBy(token, "not mallory"), "has ended");
  });

  test("is nobody to whom a peer that has heard of it speaks, whoever names it as a holder", async () => {
    const lab = await Lab.open();
    const tracker = await lab.hostileTracker();
    const anna = await lab.peerAt(tracker, "anna");
    const { key: privateKey, certificate, peerId } = await lab.swarm.join("mallory");
    const heard: string[] = [];
    const { address } = await listenAs(
      helloOf("peer"),
      {},
      {
        security: lab.security({ privateKey, certificate, der: certificate.raw, peerId }),
        onConnection: ({ member }) => void heard.push(member!.peerId),
      },
    );
    const chunkinfo = [{ address, peer_id: peerId, chunks: Bitfield.full(1).toRanges() }];
    tracker.answers = {
      REQUEST_FILE_LOCATION: () => ({ type: "REPLY_FILE_LOCATION", fileinfo: null, chunkinfo }),
    };
    tracker.connections[0]!.send({ type: "REVOKED", peer_ids: Uint8Array.fromHex(peerId) });
    const ticket = formatTicket({ tracker: tracker.at, fname: fileName("f"), contentId: contentId(1) });
    await expectError("no_holder", fetchTo(anna, ticket, join(temporaryFolder(), "copy")), "removed from the swarm");
    expect(heard).toEqual([]);
  });
});
