/** F4: many fetches at the same moment, from one peer that shares all of these files, over one connection. */
import { expect, test } from "bun:test";
import { NOTICE_MS_MAX } from "../../src/core/limits.ts";
import { Room } from "../support/room.ts";
import { fetching, type Listing } from "./fetching.ts";
import { contentOf, Parts } from "./parts.ts";

test("all files of a peer can be fetched at once", () => {
  const room = new Room();
  const holder = new Parts(room, "10.0.2.1");
  holder.listen();
  const listings: Listing[] = Array.from({ length: 50 }, (_, index) => {
    const content = contentOf(1000 + index, index);
    holder.addCopy(content);
    return { name: `f${index}`, content, holders: [holder.address] };
  });
  const { parts, fetches, start, done } = fetching(listings, room);
  const startMs = room.now;
  const jobs = room.wait(Promise.all(listings.map(({ name }) => start(name))));
  for (const job of jobs) done(job);
  expect(room.now - startMs).toBeLessThan(NOTICE_MS_MAX);
  for (const { name, content } of listings) expect(parts.disk.read(`/files/${name}`)).toEqual(content.bytes);
  expect(fetches.bufferBytesTaken).toBe(0);
});
