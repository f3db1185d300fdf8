/** Conformance tests of Registry. The test file of an implementation calls `testRegistry`. */
import { beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { hostOf } from "../../src/core/address.ts";
import {
  CHUNK_RANGES_MAX,
  CONTENT_SIZE_MAX,
  HOLDER_SAMPLE_MAX,
  HOLDERS_COUNTED_MAX,
  LIST_PAGE_MAX,
  PEERS_NAMED_MAX,
} from "../../src/core/limits.ts";
import { chunkCountFor } from "../../src/core/manifest.ts";
import type { PeerId } from "../../src/core/model.ts";
import { KiB, MiB } from "../../src/core/units.ts";
import {
  COMPLETE_NAMED_MIN,
  PAGE_BYTES_MAX,
  type PeerRecord,
  type Registry,
  SAMPLE_REUSE_MS,
} from "../../src/tracker/registry.ts";
import { FURTHER_PROCESS_QUOTAS } from "../../src/tracker/row-quotas.ts";
import type { Page } from "../../src/tracker/types.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { expectError } from "../support/errors.ts";
import { address, contentId, fileName, peerId, ranges } from "../support/values.ts";

export interface RegistryUnderTest {
  readonly registry: Registry;
  /** Closes the registry and opens it again on the same storage. */
  reopen(): Promise<Registry>;
}

/** Ten chunks of 64 KiB. */
const size = 640 * KiB;
const elsewhere = { sameHost: false };
const TRACKER = "one";
const GONE_AFTER_MS = 8000;

/** All rows of a list, and the number of rows of each page. */
async function allPages<Row>(list: (cursor: string | null) => Promise<Page<Row>>) {
  const rows: Row[] = [];
  const pages: number[] = [];
  let cursor: string | null = null;
  do {
    const page: Page<Row> = await list(cursor);
    rows.push(...page.rows);
    pages.push(page.rows.length);
    cursor = page.next;
  } while (cursor !== null);
  return { rows, pages };
}

/** `open` registers what it opens to be closed after the test. */
export function testRegistry(name: string, open: (now: () => number) => Promise<RegistryUnderTest>): void {
  describe(name, () => {
    let now: number;
    let subject: RegistryUnderTest;
    let registry: Registry;
    beforeEach(async () => {
      now = 1_700_000_000_000;
      subject = await open(() => now);
      registry = subject.registry;
    });

    const join = (number: number, at = `10.0.0.${number}:7000`, tracker = TRACKER) =>
      registry.register({ peerId: peerId(number), address: address(at), hostName: `host-${number}` }, tracker);
    const publication = (fname: string, content: number, path = `typed/${fname}`) => ({
      fname: fileName(fname),
      contentId: contentId(content),
      size,
      path,
    });
    const leave = (record: { peerId: PeerId; session: number }, tracker = TRACKER) =>
      registry.leave(record, tracker, now);

    test("a further process of a member has fewer rows, and leaves none behind", async () => {
      const member = peerId(1);
      await registry.register({ peerId: member, member, address: address("10.0.0.1:7000"), hostName: "a" }, TRACKER);
      const record = { peerId: peerId(2), member, address: address("10.0.0.1:7001"), hostName: "a" };
      const further = await registry.register(record, TRACKER);
      for (let number = 0; number < FURTHER_PROCESS_QUOTAS.publications; number++)
        await registry.publish(further, publication(`f${number}`, 1));
      await expectError("refused", registry.publish(further, publication("one more", 1)), "at most 100 publications");
      expect(await leave(further)).toBe(true);
      expect((await registry.listPeers(null)).rows.map(({ peerId }) => peerId)).toEqual([member]);
      expect(await registry.forget(now + 1)).toBe(0);
    });
    const listed = async () => (await registry.listFiles({}, null)).rows.map((row) => `${row.key} ${row.holders}`);
    const located = async (query: Parameters<Registry["locate"]>[0], requester: { peerId?: PeerId } = {}) => {
      now += SAMPLE_REUSE_MS;
      return registry.locate(query, { ...elsewhere, ...requester });
    };
    const holdersOf = async (content: number, requester: { peerId?: PeerId } = {}) =>
      (await located({ contentId: contentId(content) }, requester))?.holders.map((row) => hostOf(row.address)).sort();

    describe("trackers that use the same registry", () => {
      const renew = async (tracker: string) => {
        const { isNew, takenOver } = await registry.renew(tracker, GONE_AFTER_MS);
        return { isNew, takenOver: takenOver.map((peer) => peer.peerId) };
      };

      test("a tracker takes over nothing from one that renews, however long the sessions last", async () => {
        await renew("one");
        await join(1, "10.0.0.1:7000", "one");
        expect(await renew("two")).toEqual({ isNew: true, takenOver: [] });
        for (let third = 0; third < 30; third++) {
          now += GONE_AFTER_MS / 3;
          expect(await renew("one")).toEqual({ isNew: false, takenOver: [] });
          expect(await renew("two")).toEqual({ isNew: false, takenOver: [] });
        }
      });

      test("sessions of a tracker that is gone are taken over once, and stay online", async () => {
        await renew("one");
        await renew("two");
        await join(1, "10.0.0.1:7000", "one");
        await join(2, "10.0.0.2:7000", "two");
        const gone = await join(3, "10.0.0.3:7000", "one");
        await leave(gone, "one");
        now += GONE_AFTER_MS - 1;
        expect(await renew("two")).toEqual({ isNew: false, takenOver: [] });
        now += 1;
        expect(await renew("two")).toEqual({ isNew: false, takenOver: [peerId(1)] });
        expect(await renew("three")).toEqual({ isNew: true, takenOver: [] });
        expect((await registry.listPeers(null)).rows.map((peer) => peer.peerId)).toEqual([peerId(1), peerId(2)]);
      });

      test("a tracker whose sessions were taken over learns it once, and ends none of them", async () => {
        await renew("one");
        await renew("two");
        const taken = await join(1, "10.0.0.1:7000", "one");
        now += GONE_AFTER_MS;
        expect(await renew("two")).toEqual({ isNew: false, takenOver: [peerId(1)] });
        expect(await leave(taken, "one")).toBe(false);
        expect(await renew("one")).toEqual({ isNew: true, takenOver: [] });
        expect(await renew("one")).toEqual({ isNew: false, takenOver: [] });
        expect(await leave(taken, "two")).toBe(true);
      });

      test("a peer that registers elsewhere is held there, whatever its first tracker does afterwards", async () => {
        await renew("one");
        await renew("two");
        const first = await join(1, "10.0.0.1:7000", "one");
        const second = await join(1, "10.0.0.1:7000", "two");
        expect(await leave(first, "one")).toBe(false);
        expect(await leave(second, "one")).toBe(false);
        now += GONE_AFTER_MS;
        expect(await renew("two")).toEqual({ isNew: false, takenOver: [] });
        expect(await leave(second, "two")).toBe(true);
      });

      test("a session that a tracker takes after it counted as gone is taken over as well", async () => {
        await renew("one");
        await renew("two");
        now += GONE_AFTER_MS;
        await renew("two");
        await join(1, "10.0.0.1:7000", "one");
        expect(await renew("two")).toEqual({ isNew: false, takenOver: [peerId(1)] });
      });
    });

    describe("peers", () => {
      test("F7: a peer that registers is online and listed, a peer that left is not", async () => {
        const one = await join(1);
        await join(2);
        expect(one).toMatchObject({ address: "10.0.0.1:7000", hostName: "host-1", online: true, since: now });
        expect((await registry.listPeers(null)).rows.map((row) => row.address)).toEqual([
          address("10.0.0.1:7000"),
          address("10.0.0.2:7000"),
        ]);
        now += 5000;
        expect(await leave(one)).toBe(true);
        expect((await registry.listPeers(null)).rows.map((row) => row.peerId)).toEqual([peerId(2)]);
        expect(await registry.peerAt(address("10.0.0.1:7000"))).toMatchObject({ online: false, lastSeen: now });
      });

      test("a second session replaces the first, whose late close touches nothing", async () => {
        const first = await join(1);
        const second = await join(1);
        expect(second.session).toBeGreaterThan(first.session);
        expect(await leave(first)).toBe(false);
        expect((await registry.listPeers(null)).rows).toHaveLength(1);
        await expectError("refused", registry.publish(first, publication("a", 1)));
        expect(await leave(second)).toBe(true);
        expect(await leave(second)).toBe(false);
      });

      test("another id that claims an online address is refused; once that peer has left it is free", async () => {
        const one = await join(1);
        await expectError("refused", join(2, "10.0.0.1:7000"), "10.0.0.1:7000");
        await leave(one);
        await join(2, "10.0.0.1:7000");
        expect((await registry.peerAt(address("10.0.0.1:7000")))?.peerId).toBe(peerId(2));
      });

      test("a new address keeps the shares", async () => {
        const one = await join(1);
        await registry.publish(one, publication("a", 1));
        await leave(one);
        await join(1, "10.0.0.99:7001");
        expect(await listed()).toEqual(["a_10.0.0.99_7001 1"]);
        expect(await located({ key: "a_10.0.0.99_7001" })).toBeDefined();
        expect(await located({ key: "a_10.0.0.1_7000" })).toBeUndefined();
      });

      test("`since` stays the same when a session is replaced, and begins anew after an absence", async () => {
        const begun = now;
        await join(1);
        now += 1000;
        const second = await join(1);
        expect(second.since).toBe(begun);
        await leave(second);
        now += 1000;
        expect((await join(1)).since).toBe(now);
      });

      test("peers are found by IP, host name in any case, and port", async () => {
        await join(1, "10.0.0.1:7000");
        await join(2, "10.0.0.1:7001");
        await leave(await join(3, "10.0.0.3:7000"));
        const found = async (where: Parameters<Registry["findPeers"]>[0]) =>
          (await registry.findPeers(where)).map((row) => row.peerId);
        expect(await found({ ips: ["10.0.0.1"] })).toEqual([peerId(1), peerId(2)]);
        expect(await found({ ips: ["10.0.0.1"], port: 7001 })).toEqual([peerId(2)]);
        expect(await found({ hostName: "HOST-2" })).toEqual([peerId(2)]);
        expect(await found({ ips: ["10.0.0.3"] })).toEqual([]);
        expect(await found({ ips: [], port: 7000 })).toEqual([]);
      });

      test("of very many peers at one IP a bounded number is found", async () => {
        await Promise.all(Array.from({ length: PEERS_NAMED_MAX + 1 }, (_, i) => join(i, `10.0.0.1:${7000 + i}`)));
        const found = await registry.findPeers({ ips: ["10.0.0.1"] });
        expect(found.map((row) => row.address)).toEqual(
          Array.from({ length: PEERS_NAMED_MAX }, (_, i) => address(`10.0.0.1:${7000 + i}`)),
        );
      });

      test("listed peers have their number of files", async () => {
        const one = await join(1);
        await registry.publish(one, publication("a", 1));
        await registry.publish(one, publication("b", 1));
        expect((await registry.listPeers(null)).rows[0]?.files).toBe(2);
      });
    });

    describe("publications", () => {
      test("R11: a row has key, name, size, chunks, path, address, content id and holders", async () => {
        await registry.publish(await join(1), publication("a file", 7, "../typed by me"));
        expect((await registry.listFiles({}, null)).rows).toEqual([
          {
            key: "a file_10.0.0.1_7000",
            fname: fileName("a file"),
            size,
            total_chunknum: 10,
            path: "../typed by me",
            address: address("10.0.0.1:7000"),
            content_id: contentId(7),
            holders: 1,
          },
        ]);
      });

      test("R2: two peers may use one name, one peer may not; the same again is no change", async () => {
        const one = await join(1);
        await registry.publish(one, publication("a", 1));
        await registry.publish(await join(2), publication("a", 2));
        await registry.publish(one, publication("a", 1));
        await expectError("refused", registry.publish(one, publication("a", 3)));
        expect(await listed()).toEqual(["a_10.0.0.1_7000 1", "a_10.0.0.2_7000 1"]);
      });

      test("R2: names that differ in case or normalisation only clash within one peer", async () => {
        const one = await join(1);
        await registry.publish(one, publication("Größe", 1));
        for (const name of ["grösse", "GRÖSSE"]) {
          await expectError("refused", registry.publish(one, publication(name, 1)), "Größe");
        }
        await registry.publish(await join(2), publication("GRÖSSE", 1));
      });

      test("a publication of an earlier session is replaced by one of the same name", async () => {
        await registry.publish(await join(1), publication("a", 1));
        const again = await join(1);
        await registry.publish(again, publication("A", 2));
        expect((await registry.listFiles({}, null)).rows.map((row) => [row.fname, row.content_id])).toEqual([
          [fileName("A"), contentId(2)],
        ]);
      });

      test("a refused change does not affect those of the same transaction", async () => {
        const one = await join(1);
        const results = await Promise.allSettled([
          registry.publish(one, publication("a", 1)),
          registry.publish(one, publication("A", 2)),
          registry.publish(one, publication("b", 3)),
        ]);
        expect(results.map((result) => result.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
        expect(await listed()).toEqual(["a_10.0.0.1_7000 1", "b_10.0.0.1_7000 1"]);
      });

      test("unpublish removes the publication, and the peer stays a holder", async () => {
        const one = await join(1);
        await registry.publish(one, publication("a", 1));
        await registry.publish(one, publication("b", 1));
        await registry.unpublish(one, fileName("a"));
        expect(await listed()).toEqual(["b_10.0.0.1_7000 1"]);
        await registry.unpublish(one, fileName("b"));
        expect(await listed()).toEqual([]);
        expect(await holdersOf(1)).toEqual(["10.0.0.1"]);
        for (const name of ["b", "B"]) await expectError("not_found", registry.unpublish(one, fileName(name)));
      });

      test("a publication is listed while any holder is online, publisher or not, and kept otherwise", async () => {
        const [publisher, holder] = [await join(1), await join(2)];
        await registry.publish(publisher, publication("a", 1));
        const part = { contentId: contentId(1), size, chunks: ranges(0, 3), replace: false };
        await registry.registerChunks(holder, part);
        expect(await listed()).toEqual(["a_10.0.0.1_7000 2"]);
        await leave(publisher);
        expect(await listed()).toEqual(["a_10.0.0.1_7000 1"]);
        expect((await located({ key: "a_10.0.0.1_7000" }))?.holders).toEqual([
          { address: address("10.0.0.2:7000"), chunks: ranges(0, 3) },
        ]);
        await leave(holder);
        expect(await listed()).toEqual([]);
        expect(await located({ key: "a_10.0.0.1_7000" })).toMatchObject({ fileInfo: { holders: 0 }, holders: [] });
        await join(1);
        expect(await listed()).toEqual(["a_10.0.0.1_7000 1"]);
      });

      test("an empty file has no chunks and is held all the same", async () => {
        const one = await join(1);
        await registry.publish(one, { ...publication("empty", 1), size: 0 });
        expect((await registry.listFiles({}, null)).rows[0]).toMatchObject({ total_chunknum: 0, holders: 1 });
        expect(await holdersOf(1)).toEqual(["10.0.0.1"]);
        expect((await registry.listChunkInfo(null)).rows[0]).toMatchObject({ chunks: "", percent: 100 });
      });

      test("publications of a peer that has left are not listed under its address once another peer has that", async () => {
        const [former, holder] = [await join(1), await join(2)];
        await registry.publish(former, publication("a", 1));
        await registry.publish(former, publication("b", 1));
        const part = { contentId: contentId(1), size, chunks: ranges(0, 3), replace: false };
        await registry.registerChunks(holder, part);
        await leave(former);
        expect(await listed()).toEqual(["a_10.0.0.1_7000 1", "b_10.0.0.1_7000 1"]);
        // Another peer id, which may be the same peer's.
        const heir = await join(3, "10.0.0.1:7000");
        expect(await listed()).toEqual([]);
        await registry.publish(heir, publication("a", 3));
        expect(await listed()).toEqual(["a_10.0.0.1_7000 1"]);
        expect((await registry.listFiles({ fname: fileName("a") }, null)).rows[0]?.content_id).toBe(contentId(3));
        expect((await registry.listChunkInfo(null)).rows.map((row) => row.content_id)).toEqual([contentId(3)]);
        expect((await registry.counts()).files).toBe(1);
        expect((await located({ key: "a_10.0.0.1_7000" }))?.fileInfo?.content_id).toBe(contentId(3));
        expect(await located({ key: "b_10.0.0.1_7000" })).toBeUndefined();
        // Another peer holds the content but does not publish it.
        expect(await located({ contentId: contentId(1) })).toMatchObject({ fileInfo: null });
        expect(await holdersOf(1)).toEqual(["10.0.0.2"]);
        await leave(heir);
        expect(await listed()).toEqual(["a_10.0.0.1_7000 1", "b_10.0.0.1_7000 1"]);
      });

      test("a second size for one content in one session of a peer is refused", async () => {
        const one = await join(1);
        const registered = { contentId: contentId(1), chunks: ranges(0, 0), replace: false };
        await registry.publish(one, publication("a", 1));
        await registry.publish(one, publication("b", 1));
        for (const contradiction of [
          () => registry.publish(one, { ...publication("c", 1), size: 5 }),
          () => registry.registerChunks(one, { ...registered, size: 5 }),
        ])
          await expectError("refused", contradiction());
        expect(await listed()).toEqual(["a_10.0.0.1_7000 1", "b_10.0.0.1_7000 1"]);
      });

      test("a size from an earlier session of a peer is replaced by the size that it sends now", async () => {
        await registry.publish(await join(1), { ...publication("a", 1), size: 5 });
        const again = await join(1);
        await registry.publish(again, publication("a", 1));
        expect((await registry.listFiles({}, null)).rows.map((row) => [row.size, row.holders])).toEqual([[size, 1]]);
        expect((await registry.listChunkInfo(null)).rows.map((row) => row.chunks)).toEqual(["0-9"]);
        expect((await located({ contentId: contentId(1) }))?.holders).toEqual([
          { address: address("10.0.0.1:7000"), chunks: ranges(0, 9) },
        ]);
      });

      test("two sizes of one content by two peers are kept apart, each with its own holders", async () => {
        await registry.publish(await join(1), { ...publication("a", 1), size: 5 });
        await registry.publish(await join(2), publication("a", 1));
        await registry.publish(await join(3), publication("a", 1));
        const rows = (await registry.listFiles({}, null)).rows.map((row) => [row.address, row.size, row.holders]);
        expect(rows).toEqual([
          [address("10.0.0.1:7000"), 5, 1],
          [address("10.0.0.2:7000"), size, 2],
          [address("10.0.0.3:7000"), size, 2],
        ]);
        expect(await located({ key: "a_10.0.0.2_7000" })).toMatchObject({ fileInfo: { size, holders: 2 } });
        expect(await holdersOf(1)).toEqual(["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
      });

      test("a wrong size of a content by one peer does not hinder another", async () => {
        await registry.publish(await join(1), { ...publication("lie", 1), size: 5 });
        await registry.publish(await join(2), publication("truth", 1));
        expect(await holdersOf(1)).toEqual(["10.0.0.1", "10.0.0.2"]);
      });

      test("R10: discover lists one peer's files; nobody there is not found", async () => {
        await registry.publish(await join(1), publication("a", 1));
        const two = await join(2);
        await registry.publish(two, publication("b", 2));
        const rows = (await registry.discover(address("10.0.0.2:7000"), null)).rows;
        expect(rows.map((row) => row.fname)).toEqual([fileName("b")]);
        await leave(two);
        await expectError("not_found", registry.discover(address("10.0.0.2:7000"), null));
      });

      test("the list can be narrowed to a name, and to what one peer publishes or holds", async () => {
        const [one, two] = [await join(1), await join(2)];
        await registry.publish(one, publication("a", 1));
        await registry.publish(one, publication("A b", 2));
        await registry.publish(two, publication("a", 3));
        const chunks = { contentId: contentId(2), size, chunks: ranges(1, 1), replace: false };
        await registry.registerChunks(two, chunks);
        const keys = async (filter: Parameters<Registry["listFiles"]>[0]) =>
          (await registry.listFiles(filter, null)).rows.map((row) => row.key);
        expect(await keys({ fname: fileName("a") })).toEqual(["a_10.0.0.1_7000", "a_10.0.0.2_7000"]);
        expect(await keys({ fname: fileName("A") })).toEqual([]);
        expect(await keys({ holder: address("10.0.0.2:7000") })).toEqual(["a_10.0.0.2_7000", "A b_10.0.0.1_7000"]);
        expect(await keys({ fname: fileName("a"), holder: address("10.0.0.2:7000") })).toEqual(["a_10.0.0.2_7000"]);
        expect(await keys({ holder: address("10.0.0.3:7000") })).toEqual([]);
        // An offline publisher still selects the file.
        await leave(one);
        expect(await keys({ holder: address("10.0.0.1:7000") })).toEqual(["A b_10.0.0.1_7000"]);
      });
    });

    describe("holdings", () => {
      const chunkinfo = async () => (await registry.listChunkInfo(null)).rows;

      test("F11: which peer holds which chunks, under each name", async () => {
        const [one, two] = [await join(1), await join(2)];
        await registry.publish(one, publication("a", 1));
        const report = { contentId: contentId(1), size, replace: false };
        await registry.registerChunks(two, { ...report, chunks: ranges(0, 1, 9, 9) });
        await registry.registerChunks(two, { ...report, chunks: ranges(2, 2) });
        const common = { key: "a_10.0.0.1_7000", content_id: contentId(1), total_chunknum: 10 };
        expect(await chunkinfo()).toEqual([
          { ...common, holder: address("10.0.0.1:7000"), chunks: "0-9", percent: 100 },
          { ...common, holder: address("10.0.0.2:7000"), chunks: "0-2,9", percent: 40 },
        ]);
      });

      test("F19: a report adds or replaces; none left means no holder; beyond the size is refused", async () => {
        const one = await join(1);
        await registry.publish(await join(2), publication("a", 1));
        const report = { contentId: contentId(1), size };
        await registry.registerChunks(one, { ...report, chunks: ranges(0, 8), replace: false });
        await registry.registerChunks(one, { ...report, chunks: ranges(9, 9), replace: true });
        expect((await chunkinfo()).map((row) => row.chunks)).toEqual(["9", "0-9"]);
        const beyond = registry.registerChunks(one, { ...report, chunks: ranges(10, 10), replace: false });
        await expectError("refused", beyond);
        await registry.registerChunks(one, { ...report, chunks: ranges(), replace: true });
        expect(await holdersOf(1)).toEqual(["10.0.0.2"]);
      });

      test("a content without a publication is located by its id, and has no file info", async () => {
        const one = await join(1);
        const report = { contentId: contentId(1), size, chunks: ranges(3, 4), replace: false };
        await registry.registerChunks(one, report);
        expect(await located({ contentId: contentId(1) })).toEqual({
          fileInfo: null,
          holders: [{ address: address("10.0.0.1:7000"), chunks: ranges(3, 4) }],
        });
        expect(await located({ contentId: contentId(2) })).toBeUndefined();
        expect(await located({ key: "no key" })).toBeUndefined();
      });

      test("holdings that were not announced in this session are dropped, of this peer only", async () => {
        const [one, two] = [await join(1), await join(2)];
        await registry.publish(one, publication("a", 1));
        await registry.publish(one, publication("b", 2));
        await registry.publish(two, publication("c", 2));
        const part = { contentId: contentId(3), size, chunks: ranges(0, 0), replace: false };
        await registry.registerChunks(one, part);
        const again = await join(1);
        await registry.publish(again, publication("b", 2));
        expect(await registry.dropUnannounced(again)).toEqual({ publications: 1, holdings: 2 });
        expect(await listed()).toEqual(["b_10.0.0.1_7000 2", "c_10.0.0.2_7000 2"]);
        expect(await holdersOf(3)).toEqual([]);
      });

      test("the requester is left out, and loopback addresses stay on their host", async () => {
        await registry.publish(await join(1, "127.0.0.1:7000"), publication("a", 1));
        await registry.publish(await join(2, "[::1]:7000"), publication("a", 1));
        await registry.publish(await join(3), publication("a", 1));
        expect(await holdersOf(1, { peerId: peerId(3) })).toEqual([]);
        expect(await holdersOf(1, { peerId: peerId(2) })).toEqual(["10.0.0.3"]);
        const here = await registry.locate({ contentId: contentId(1) }, { sameHost: true, peerId: peerId(2) });
        expect(here?.holders.map((row) => hostOf(row.address)).sort()).toEqual(["10.0.0.3", "127.0.0.1"]);
      });

      test("a sample is bounded, random, and may be reused for a moment", async () => {
        const swarm = HOLDER_SAMPLE_MAX * 2;
        const report = { contentId: contentId(1), size, chunks: ranges(0, 0), replace: false };
        for (let number = 1; number <= swarm; number++) await registry.registerChunks(await join(number), report);
        const seen = new Set<string>();
        for (let round = 0; round < 20; round++) {
          const holders = await holdersOf(1, { peerId: peerId(1) });
          expect(holders).toHaveLength(HOLDER_SAMPLE_MAX);
          expect(holders).not.toContain("10.0.0.1");
          for (const holder of holders!) seen.add(holder);
        }
        // Each of 99 is missing from 20 samples of 50 with probability 2^-20.
        expect(seen.size).toBe(swarm - 1);
      });

      test.each([
        ["complete", ranges(0, 9)],
        ["incomplete", ranges(0, 3)],
      ])("of %s holders each is as likely to be in a sample as any other, and in it once", async (_what, chunks) => {
        const swarm = 500;
        const rounds = 400;
        const joinAndHold = async (i: number) =>
          registry.registerChunks(await join(i, `10.1.${i >> 8}.${i & 255}:7000`), {
            contentId: contentId(1),
            size,
            chunks,
            replace: false,
          });
        await Promise.all(Array.from({ length: swarm }, (_, i) => joinAndHold(i)));
        const named = new Map<string, number>();
        for (let round = 0; round < rounds; round++) {
          const holders = (await holdersOf(1))!;
          expect(new Set(holders).size).toBe(HOLDER_SAMPLE_MAX);
          for (const holder of holders) named.set(holder, (named.get(holder) ?? 0) + 1);
        }
        expect(named.size).toBe(swarm);
        // Chi-square of 499 degrees of freedom, deviation about 32: one holder that is never named adds 40, a biased
        // choice thousands.
        const expected = (rounds * HOLDER_SAMPLE_MAX) / swarm;
        const chiSquare = [...named.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
        expect(chiSquare).toBeLessThan(700);
      });

      test("seeders are in every sample, COMPLETE_NAMED_MIN of them where there are so many", async () => {
        const report = { contentId: contentId(1), size, replace: true };
        const swarm = await Promise.all(Array.from({ length: 200 }, (_, i) => join(i, `10.1.0.${i + 1}:7000`)));
        for (const holder of swarm) await registry.registerChunks(holder, { ...report, chunks: ranges(0, 8) });
        const completeOnes = async () =>
          (await located({ contentId: contentId(1) }))!.holders.filter(({ chunks }) => chunks[1] === 9).length;
        expect(await completeOnes()).toBe(0);
        const [first, ...others] = swarm.slice(0, COMPLETE_NAMED_MIN + 3);
        await registry.registerChunks(first!, { ...report, chunks: ranges(0, 9) });
        for (let round = 0; round < 20; round++) expect(await completeOnes()).toBe(1);
        for (const holder of others) await registry.registerChunks(holder, { ...report, chunks: ranges(0, 9) });
        for (let round = 0; round < 20; round++)
          expect(await completeOnes()).toBeGreaterThanOrEqual(COMPLETE_NAMED_MIN);
        for (const holder of [first!, ...others]) await leave(holder);
        expect(await completeOnes()).toBe(0);
      });

      test("after any changes a location names exactly the online holders", async () => {
        const peersCount = 6;
        const model = new Map<number, { record: PeerRecord; online: boolean; held: Set<number> }>();
        for (let number = 1; number <= peersCount; number++)
          model.set(number, { record: await join(number), online: true, held: new Set() });
        const changes: ((number: number, content: number) => Promise<void>)[] = [
          async (number, content) => {
            const peer = model.get(number)!;
            if (!peer.online) return;
            const chunks = content % 2 === 0 ? ranges(0, 9) : ranges(2, 5);
            await registry.registerChunks(peer.record, { contentId: contentId(content), size, chunks, replace: true });
            peer.held.add(content);
          },
          async (number, content) => {
            const peer = model.get(number)!;
            if (!peer.online) return;
            const nothing = { contentId: contentId(content), size, chunks: ranges(), replace: true };
            await registry.registerChunks(peer.record, nothing);
            peer.held.delete(content);
          },
          async (number) => {
            const peer = model.get(number)!;
            if (peer.online) await leave(peer.record);
            peer.online = false;
          },
          async (number) => {
            const peer = model.get(number)!;
            peer.record = await join(number);
            peer.online = true;
          },
          async (number, content) => {
            const peer = model.get(number)!;
            peer.record = await join(number);
            peer.online = true;
            await registry.publish(peer.record, publication(`f${content}`, content));
            await registry.dropUnannounced(peer.record);
            peer.held = new Set([content]);
          },
        ];
        const seed = Math.floor(Math.random() * 2 ** 31);
        const step = fc.tuple(fc.nat(changes.length - 1), fc.nat(peersCount - 1), fc.nat(2));
        const random = fc.sample(step, { numRuns: 300, seed });
        for (const [change, peer, content] of random) {
          await changes[change]!(peer + 1, content);
          for (const asked of [0, 1, 2]) {
            const expected = [...model].filter(([, { online, held }]) => online && held.has(asked));
            const named = expected.map(([number]) => `10.0.0.${number}`);
            expect({ seed, asked, holders: (await holdersOf(asked)) ?? [] }).toEqual({ seed, asked, holders: named });
          }
        }
      });

      test("holders are counted up to HOLDERS_COUNTED_MAX, the same in lists and locations", async () => {
        await registry.publish(await join(0, "10.2.0.1:7000"), publication("a", 1));
        const report = { contentId: contentId(1), size, chunks: ranges(0, 0), replace: false };
        const joinAndHold = async (i: number) =>
          registry.registerChunks(await join(i, `10.1.${i >> 8}.${i & 255}:7000`), report);
        const counts = async () => [
          (await registry.listFiles({}, null)).rows[0]!.holders,
          (await located({ contentId: contentId(1) }))!.fileInfo!.holders,
        ];
        await Promise.all(Array.from({ length: HOLDERS_COUNTED_MAX - 2 }, (_, i) => joinAndHold(i + 1)));
        expect(await counts()).toEqual([HOLDERS_COUNTED_MAX - 1, HOLDERS_COUNTED_MAX - 1]);
        await Promise.all([0, 1].map((i) => joinAndHold(HOLDERS_COUNTED_MAX + i)));
        expect(await counts()).toEqual([HOLDERS_COUNTED_MAX, HOLDERS_COUNTED_MAX]);
      });

      test("a location with many ranges fits its frame", async () => {
        const large = { contentId: contentId(1), size: CONTENT_SIZE_MAX, replace: false };
        // Single chunks with gaps between them, as many as one message holds.
        const scattered = ranges(...Array.from({ length: 2 * CHUNK_RANGES_MAX }, (_, i) => 60 * (i >> 1)));
        for (let number = 1; number <= HOLDER_SAMPLE_MAX + 1; number++)
          await registry.registerChunks(await join(number), { ...large, chunks: scattered });
        const found = await located({ contentId: contentId(1) });
        expect(found?.holders).toHaveLength(HOLDER_SAMPLE_MAX);
        const frame = { request: 1, fileinfo: found!.fileInfo, chunkinfo: [...found!.holders] };
        expect(encodeFrame({ type: "REPLY_FILE_LOCATION", ...frame }).length).toBeLessThan(MiB);
      });
    });

    describe("pages", () => {
      test("lists of any length have every row on one page, also when peers leave meanwhile", async () => {
        const one = await join(1);
        const count = LIST_PAGE_MAX * 2 + 3;
        await Promise.all(Array.from({ length: count }, (_, i) => registry.publish(one, publication(`f${i}`, i))));
        const files = await allPages((cursor) => registry.listFiles({}, cursor));
        expect(new Set(files.rows.map((row) => row.key)).size).toBe(count);
        expect(files.rows).toHaveLength(count);
        expect(files.pages).toEqual([LIST_PAGE_MAX, LIST_PAGE_MAX, 3]);
        expect((await allPages((cursor) => registry.discover(one.address, cursor))).rows).toEqual(files.rows);
        const chunks = await allPages((cursor) => registry.listChunkInfo(cursor));
        expect(chunks.rows.map((row) => row.key)).toEqual(files.rows.map((row) => row.key));
        const first = await registry.listFiles({}, null);
        await registry.unpublish(one, first.rows.at(-1)!.fname);
        expect((await registry.listFiles({}, first.next)).rows[0]).toEqual(files.rows[LIST_PAGE_MAX]!);
      });

      test("a list that fills its pages ends with a page without cursor, and none with a cursor is empty", async () => {
        const one = await join(1);
        await Promise.all(
          Array.from({ length: LIST_PAGE_MAX }, (_, i) => registry.publish(one, publication(`f${i}`, i))),
        );
        const lists: ((cursor: string | null) => Promise<Page<unknown>>)[] = [
          (cursor) => registry.listFiles({}, cursor),
          (cursor) => registry.discover(one.address, cursor),
          (cursor) => registry.listChunkInfo(cursor),
          (cursor) => registry.listPeers(cursor),
        ];
        for (const list of lists) expect((await allPages(list)).pages.slice(0, -1)).not.toContain(0);
      });

      test("a page stays within its bytes, with the longest paths and names", async () => {
        const one = await join(1);
        const long = (i: number) => `${i}`.padStart(4, "0") + "ü".repeat(125);
        const path = "ü".repeat(4096);
        await Promise.all(Array.from({ length: 100 }, (_, i) => registry.publish(one, publication(long(i), i, path))));
        const { rows, pages } = await allPages((cursor) => registry.listFiles({}, cursor));
        expect(rows).toHaveLength(100);
        expect(pages.length).toBeGreaterThan(2);
        const page = await registry.listFiles({}, null);
        const frame = { request: 1, file_list: [...page.rows], next: page.next };
        expect(encodeFrame({ type: "REPLY_FILE_LIST", ...frame }).length).toBeLessThan(PAGE_BYTES_MAX + KiB);
      });

      test("the holders of one content continue over pages of chunk info", async () => {
        const path = "p";
        await registry.publish(await join(1), publication("a", 1, path));
        const count = 130;
        const report = { contentId: contentId(1), size, chunks: ranges(0, 0), replace: false };
        for (let number = 2; number <= count; number++) await registry.registerChunks(await join(number), report);
        const { rows } = await allPages((cursor) => registry.listChunkInfo(cursor));
        expect(new Set(rows.map((row) => row.holder)).size).toBe(count);
        expect(rows).toHaveLength(count);
      });

      test("peers come in pages", async () => {
        const count = LIST_PAGE_MAX + 1;
        await Promise.all(Array.from({ length: count }, (_, i) => join(i, `10.0.1.1:${7000 + i}`)));
        const { rows, pages } = await allPages((cursor) => registry.listPeers(cursor));
        expect(new Set(rows.map((row) => row.address)).size).toBe(count);
        expect(pages).toEqual([LIST_PAGE_MAX, 1]);
      });

      test("an invalid cursor is a usage error", async () => {
        for (const cursor of ["", "x", "{}", '["a"]', "[1,2]"])
          await expectError("usage", registry.listFiles({}, cursor));
      });
    });

    test("counts are of what is online and listed", async () => {
      const [one, two] = [await join(1), await join(2)];
      expect(await registry.counts()).toEqual({ peers: 2, files: 0, contents: 0 });
      await registry.publish(one, publication("a", 1));
      await registry.publish(two, publication("a", 1));
      await registry.publish(two, publication("b", 2));
      expect(await registry.counts()).toEqual({ peers: 2, files: 3, contents: 2 });
      await leave(two);
      expect(await registry.counts()).toEqual({ peers: 1, files: 2, contents: 1 });
    });

    test("only peers that left long ago and published nothing are forgotten", async () => {
      const [publisher, fetcher, online] = [await join(1), await join(2), await join(3)];
      await registry.publish(publisher, publication("a", 1));
      for (const peer of [fetcher, online])
        await registry.registerChunks(peer, {
          contentId: contentId(2),
          size,
          chunks: ranges(0, chunkCountFor(size) - 1),
          replace: false,
        });
      await leave(publisher);
      await leave(fetcher);
      expect(await registry.forget(now)).toBe(0);
      expect(await registry.forget(now + 1)).toBe(1);
      expect(await registry.peerAt(address("10.0.0.2:7000"))).toBeUndefined();
      expect(await registry.peerAt(address("10.0.0.1:7000"))).toBeDefined();
      expect(await holdersOf(2)).toEqual(["10.0.0.3"]);
    });

    test("everything is kept over closing and opening again", async () => {
      const one = await join(1);
      await registry.publish(one, publication("a", 1));
      const chunks = { contentId: contentId(2), size, chunks: ranges(2, 3), replace: false };
      await registry.registerChunks(one, chunks);
      await leave(await join(2));
      const before = await listed();
      registry = await subject.reopen();
      expect(await listed()).toEqual(before);
      expect(await holdersOf(2)).toEqual(["10.0.0.1"]);
      expect(await registry.renew(TRACKER, GONE_AFTER_MS)).toMatchObject({
        isNew: true,
        takenOver: [{ peerId: peerId(1), session: one.session }],
      });
    });
  });
}
