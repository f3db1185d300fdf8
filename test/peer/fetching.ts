/** A peer whose fetches the tests command, a tracker that knows what the test says, and holders of a film. */
import type { Address } from "../../src/core/address.ts";
import { sleep } from "../../src/net/system.ts";
import type { FetchJob } from "../../src/peer/fetch-job.ts";
import { Fetches } from "../../src/peer/fetches.ts";
import { RateLimiter } from "../../src/peer/rate-limiter.ts";
import type { RateLimitsChange } from "../../src/peer/types.ts";
import { Room } from "../support/room.ts";
import {
  type Actor,
  type Answers,
  address,
  CHUNK,
  type Content,
  chooseChunk,
  contentOf,
  fileName,
  holderIn,
  Parts,
  ranges,
  sendChunk,
  trackerAnswers,
  trackerIn,
} from "./parts.ts";

export const film = contentOf(3 * CHUNK, 1);
export const other = contentOf(2 * CHUNK, 2);
const publisher = address("10.0.2.1:7000");

/** What the tracker knows: contents by name, with their holders. */
export interface Listing {
  readonly name: string;
  readonly content: Content;
  readonly holders: readonly Address[];
}

export function answersFor(listings: readonly Listing[]): Answers {
  return {
    ...trackerAnswers,
    REQUEST_FILE_LIST: ({ fname }) => ({
      type: "REPLY_FILE_LIST",
      file_list: listings
        .filter(({ name }) => name === fname)
        .map(({ name, content }) => ({
          key: `${name}_10.0.2.1_7000`,
          fname: fileName(name),
          size: content.size,
          total_chunknum: content.chunkCount,
          path: name,
          address: publisher,
          content_id: content.contentId,
          holders: 1,
        })),
      next: null,
    }),
    REQUEST_FILE_LOCATION: ({ content_id }) => ({
      type: "REPLY_FILE_LOCATION",
      fileinfo: null,
      chunkinfo: listings
        .filter(({ content }) => content.contentId === content_id)
        .flatMap(({ holders, content }) =>
          holders.map((at) => ({ address: at, chunks: ranges(0, content.chunkCount - 1) })),
        ),
    }),
  };
}

export const filmListed: Listing = { name: "film", content: film, holders: [publisher] };
export const otherListed: Listing = { name: "other", content: other, holders: [publisher] };

/** A peer that has joined a tracker with these files. */
export function fetching(
  listings: readonly Listing[] = [filmListed, otherListed],
  room = new Room(),
  parts = new Parts(room),
) {
  const tracker = trackerIn(room, answersFor(listings));
  const directory = parts.directoryAt(tracker.at);
  directory.open();
  const { clock } = parts.process.system;
  const fetches = new Fetches({
    ...parts.shared,
    directory,
    neighbours: parts.neighbours,
    swarms: parts.swarms,
    sharing: parts.sharing,
    downLimiter: new RateLimiter(clock),
    filesFolder: "/files",
    system: parts.process.system,
    events: parts.events,
  });
  room.until(() => directory.isUp);
  const events: string[] = [];
  parts.events.subscribe((event) => {
    if ("fetch" in event) events.push(`${event.type} ${event.fetch.fname}: ${event.fetch.state}`);
  });
  const start = (what = "film", destination?: string, limits: RateLimitsChange = {}) =>
    fetches.start({ what, destination, limits }, room.now);
  const done = (job: FetchJob) => room.wait(job.done);
  return { room, parts, tracker, directory, fetches, events, start, done };
}

export type Side = ReturnType<typeof fetching>;
/** The holder that the tracker names for the film. */
export function honest(room: Room, answers: Answers = {}): Actor {
  return holderIn(room, "10.0.2.1", film, answers);
}

/** The same, which takes so long for each chunk. */
export function slowHolder(room: Room, chunkMs: number): Actor {
  const holder: Actor = honest(room, {
    PEER_REQUEST_CHUNK: async (message, connection) => {
      await sleep(holder.process.system.clock, chunkMs);
      return sendChunk(film, message, connection, chooseChunk(message, connection));
    },
  });
  return holder;
}
