/** A tracker whose lists have no end keeps neither a fetch nor a list busy, and fills no memory. */
import { beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import type { ClientResponse } from "hono/client";
import { allPagesOf, connectInProcess, peerClient } from "../../src/admin/client.ts";
import { createPeerApp } from "../../src/admin/peer-app.ts";
import { WALK_PAGES_MAX } from "../../src/core/page-walk.ts";
import type { Peer } from "../../src/peer/peer.ts";
import type { Page } from "../../src/tracker/types.ts";
import { expectError } from "../support/errors.ts";
import { FakeTracker } from "../support/fake-tracker.ts";
import { temporaryFolder } from "../support/folder.ts";
import { openPeer } from "../support/roles.ts";
import { fileName, listedFile } from "../support/values.ts";

let folder: string;
let tracker: FakeTracker;
let peer: Peer;
beforeEach(async () => {
  folder = temporaryFolder();
  tracker = await FakeTracker.start();
  peer = await openPeer({ tracker: tracker.at, filesFolder: folder });
});

const token = "t";
const clientOf = (app: Parameters<typeof connectInProcess>[0]) => peerClient(connectInProcess(app, token)).api;

/** What each page holds, and where it leads. */
const endless = {
  "empty pages": (page: number) => ({ file_list: [], next: `page ${page}` }),
  "pages that lead back": (page: number) => ({ file_list: [listedFile(`f${page}`, 1)], next: `page ${page % 3}` }),
};

test.each(Object.entries(endless))(
  "%s: list-files, discover and fetch end with a protocol error",
  async (_what, pageAt) => {
    let pages = 0;
    tracker.answers = {
      REQUEST_FILE_LIST: () => ({ type: "REPLY_FILE_LIST", ...pageAt(pages++) }),
      REQUEST_DISCOVER: () => ({ type: "REPLY_DISCOVER", ...pageAt(pages++) }),
    };
    const api = clientOf(createPeerApp(peer, { token, host: "127.0.0.1", onShutdown: () => undefined }));
    const query = { host: "127.0.0.1", port: "1" };
    const asked = [
      () => allPagesOf((page) => api.files.$get({ query: page })),
      () => allPagesOf((page) => api.discover.$get({ query: { ...query, ...page } })),
      () => peer.fetch({ what: fileName("f"), destination: join(folder, "f") }),
    ];
    for (const ask of asked) {
      pages = 0;
      await expectError("protocol", ask());
      expect(pages).toBeLessThan(6);
    }
  },
);

test("a fetch reads a bounded number of candidates", async () => {
  let pages = 0;
  const rows = Array.from({ length: 500 }, () => listedFile("f", 1));
  tracker.answers = {
    REQUEST_FILE_LIST: () => ({ type: "REPLY_FILE_LIST", file_list: rows, next: `page ${pages++}` }),
  };
  await expectError("no_holder", peer.fetch({ what: fileName("f"), destination: join(folder, "f") }));
  expect(pages).toBe(4);
});

test("a list of pages without end is given up", async () => {
  let pages = 0;
  const answer = async () => {
    const page = { rows: [{ key: "k" }], next: `page ${pages++}` };
    return Response.json(page) as unknown as ClientResponse<Page<{ key: string }>>;
  };
  await expectError("protocol", allPagesOf(answer));
  expect(pages).toBe(WALK_PAGES_MAX);
});
