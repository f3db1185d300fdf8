/** What simulated systems have shown, each by itself. */
import { expect, test } from "bun:test";
import type { Address } from "../../../src/core/address.ts";
import { CHUNK_SIZE_MIN, NOTICE_MS_MAX } from "../../../src/core/limits.ts";
import { SECOND_MS } from "../../../src/core/units.ts";
import { randomBytes } from "../../support/bytes.ts";
import { startLiar } from "./liar.ts";
import { FILES_FOLDER, World } from "./world.ts";

const START_MS_MAX = 2 * SECOND_MS;

test("where only false manifests come at first, holders that join within the time of R5 are asked", () => {
  const world = new World(1, { peers: 2, trackers: 1 });
  const [tracker] = world.trackers;
  const [seeder, leecher] = world.hosts;
  world.await("the tracker's start", tracker!.start(), START_MS_MAX);
  for (const host of world.hosts) world.await("a peer's start", host.start(), START_MS_MAX);
  const bytes = randomBytes(300_000, 1);
  seeder!.disk.write("/shared", bytes);
  const publishing = seeder!.peer!.publish({ path: "/shared", lname: "/shared", fname: "file" });
  const { ticket, content_id: contentId } = world.await("the publish", publishing, START_MS_MAX)!;
  seeder!.kill();
  const liar = startLiar({
    process: world.newProcess("10.0.8.1"),
    tracker: `${tracker!.ip}:7700` as Address,
    contentId,
    member: undefined,
    size: bytes.length,
    random: world.random,
  });
  world.await("the liar's start", liar, START_MS_MAX);
  world.clock.after(500, () => void seeder!.start());
  const destination = `${FILES_FOLDER}/file`;
  const job = world.await("the fetch's start", leecher!.peer!.fetch({ what: ticket, destination }), NOTICE_MS_MAX);
  world.await("the fetch", job!.done, 30 * SECOND_MS);
  expect(world.violations).toEqual([]);
  expect(Buffer.compare(leecher!.disk.read(destination)!, bytes)).toBe(0);
  world.close();
});

test("R4, R5: a holder that sends a chunk slowly gives the manifest of another content meanwhile, and chunks of it in turn", () => {
  const world = new World(1, { peers: 2, trackers: 1 });
  const [seeder, leecher] = world.hosts;
  world.await("the tracker's start", world.trackers[0]!.start(), START_MS_MAX);
  for (const host of world.hosts) world.await("a peer's start", host.start(), START_MS_MAX);
  // A chunk takes 4 s.
  seeder!.peer!.setLimits({ up_limit: CHUNK_SIZE_MIN / 4 });
  const begin = (fname: string, seed: number) => {
    seeder!.disk.write(`/${fname}`, randomBytes(10 * CHUNK_SIZE_MIN, seed));
    const publishing = seeder!.peer!.publish({ path: `/${fname}`, lname: fname, fname });
    const { ticket } = world.await("the publish", publishing, START_MS_MAX)!;
    const fetching = leecher!.peer!.fetch({ what: ticket, destination: `${FILES_FOLDER}/${fname}` });
    return world.await(`the start of the fetch of ${fname}`, fetching, NOTICE_MS_MAX)!;
  };
  const first = begin("first", 1);
  world.runUntil(world.clock.now + SECOND_MS);
  const second = begin("second", 2);
  world.runUntil(world.clock.now + 60 * SECOND_MS);
  expect([first.have.count, second.have.count].map((count) => count > 1)).toEqual([true, true]);
  seeder!.peer!.setLimits({ up_limit: null });
  for (const job of [first, second]) world.await("a fetch", job.done, 10 * SECOND_MS);
  expect(world.violations).toEqual([]);
  world.close();
});
