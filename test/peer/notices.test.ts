/**
 * R5: a command reports its failure within NOTICE_MS_MAX, whatever part is slow or silent. Each case has several waits
 * that would add up to more.
 */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fetchLines, Watchers } from "../../src/admin/peer-streams.ts";
import { formatHostPort } from "../../src/core/address.ts";
import { asP2pfsError } from "../../src/core/errors.ts";
import { NOTICE_MS_MAX } from "../../src/core/limits.ts";
import type { Outgoing } from "../../src/net/handlers.ts";
import type { Peer, PeerOptions } from "../../src/peer/peer.ts";
import { FakeTracker } from "../support/fake-tracker.ts";
import { temporaryFolder } from "../support/folder.ts";
import { ProtocolPeer } from "../support/protocol-peer.ts";
import { listenMute } from "../support/raw-peer.ts";
import { openPeer, openTracker, startTracker } from "../support/roles.ts";
import type { Answers } from "../support/serve-fake.ts";
import { systemWith } from "../support/system.ts";
import { address, fileName, listedFile, ranges } from "../support/values.ts";

const SLOW_MS = 900;

const silent = () => undefined;
const slowly = async <Reply>(reply: Reply): Promise<Reply> => {
  await Bun.sleep(SLOW_MS);
  return reply;
};
const slowNames = systemWith(() => slowly(["127.0.0.1"]));
const noNames = systemWith(() => new Promise(() => undefined));
const unpublished: Outgoing = { type: "REPLY_UNPUBLISH", filename: fileName("f"), result: "ok" };
const oneFile: Outgoing<"REPLY_FILE_LIST"> = { type: "REPLY_FILE_LIST", file_list: [listedFile("f", 1)], next: null };

/** A peer joined to a tracker that gives these answers from then on. */
async function joined(answers: Answers, options: Partial<PeerOptions> = {}): Promise<Peer> {
  const tracker = await FakeTracker.start();
  const peer = await openPeer({ tracker: tracker.at, ...options });
  await peer.connect(tracker.at);
  tracker.answers = answers;
  return peer;
}

/** The path of a file to be published. */
function newFile(): string {
  const path = join(temporaryFolder(), "f");
  writeFileSync(path, "x");
  return path;
}

type Command = () => Promise<unknown>;

/** Each case is prepared first, so that only the command itself is measured. */
const cases: Record<string, () => Promise<Command>> = {
  "fetch from a host whose name takes long, the list too, the location for ever": async () => {
    const peer = await joined(
      { REQUEST_FILE_LIST: () => slowly(oneFile), REQUEST_FILE_LOCATION: silent },
      { system: slowNames },
    );
    return () => peer.fetch({ what: "f", from: { host: "a", port: 1 } });
  },
  "fetch where each page of the list takes long": async () => {
    let pages = 0;
    const page = (): Outgoing => ({ ...oneFile, next: `${pages++}` });
    const peer = await joined({ REQUEST_FILE_LIST: () => slowly(page()) });
    return () => peer.fetch({ what: "f" });
  },
  "fetch where the location takes long and the holders are mute": async () => {
    const chunkinfo = [{ address: address(formatHostPort(listenMute())), chunks: ranges(0, 0) }];
    const peer = await joined({
      REQUEST_FILE_LIST: () => oneFile,
      REQUEST_FILE_LOCATION: async () => {
        await Bun.sleep(SLOW_MS + 200);
        return { type: "REPLY_FILE_LOCATION", fileinfo: null, chunkinfo };
      },
    });
    return () => peer.fetch({ what: "f" });
  },
  "fetch that names a tracker, with a name service that never answers": async () => {
    const peer = await joined({ REQUEST_FILE_LIST: silent }, { system: noNames });
    const tracker = { host: "name.of.tracker", port: peer.tracker.port };
    return () => fetchLines(peer, new Watchers(), { what: "f", tracker }).next();
  },
  "fetch whose own tracker's name takes long, and everything after it for ever": async () => {
    const peer = await joined({ REQUEST_FILE_LIST: silent }, { system: slowNames });
    const tracker = { host: "name.of.tracker", port: peer.tracker.port };
    return () => fetchLines(peer, new Watchers(), { what: "f", tracker, from: { host: "another", port: 1 } }).next();
  },
  "discover a host whose name takes long at a tracker that is silent": async () => {
    const peer = await joined({ REQUEST_DISCOVER: silent }, { system: slowNames });
    return () => peer.discover("a", 1);
  },
  "discover with a name service that never answers": async () => {
    const peer = await joined({}, { system: noNames });
    return () => peer.discover("a", 1);
  },
  "list-files at a tracker that is silent": async () => {
    const peer = await joined({ REQUEST_FILE_LIST: silent });
    return () => peer.listFiles();
  },
  "connect to a tracker whose name is never resolved": async () => {
    const peer = await joined({}, { system: noNames });
    return () => peer.connect({ host: "name.of.tracker", port: 1 });
  },
  "unpublish at a tracker that falls silent between its two requests": async () => {
    const peer = await joined({ REQUEST_CHUNK_REGISTER: silent, REQUEST_UNPUBLISH: () => slowly(unpublished) });
    await peer.publish({ path: newFile(), lname: "f" });
    return () => peer.unpublish("f");
  },
  "publish at a tracker that is silent": async () => {
    const peer = await joined({ REQUEST_PUBLISH: silent });
    const path = newFile();
    return () => peer.publish({ path, lname: "f" });
  },
  "ping of a peer whose name takes long and who is silent": async () => {
    const { tracker, at } = await startTracker({ system: slowNames });
    const peer = await ProtocolPeer.dial(at, 1, { request: silent });
    await peer.register({ address: address("127.0.0.1:7001"), host_name: "other" });
    return () => tracker.ping("a", 7001);
  },
  "ping and discover at the tracker, with a name service that never answers": async () => {
    const tracker = await openTracker({ system: noNames });
    return () => Promise.all([tracker.ping("a", 7001), tracker.discover("a")]);
  },
};
test("R5: no command waits longer than NOTICE_MS_MAX, whatever its waits are", async () => {
  const commands = await Promise.all(Object.entries(cases).map(async ([name, make]) => [name, await make()] as const));
  const late: Record<string, number> = {};
  await Promise.all(
    commands.map(async ([name, run]) => {
      const startedMs = performance.now();
      const failure = await run().catch(asP2pfsError);
      const tookMs = performance.now() - startedMs;
      expect(failure).not.toMatchObject({ code: "internal" });
      if (tookMs >= NOTICE_MS_MAX) late[name] = Math.round(tookMs);
    }),
  );
  expect(late).toEqual({});
}, 40_000);
