/** A tracker whose lists have no end keeps neither a fetch nor a list busy, and fills no memory. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ClientResponse } from "hono/client";
import { allPagesOf, connectInProcess, peerClient } from "../../src/admin/client.ts";
import { createPeerApp } from "../../src/admin/peer-app.ts";
import { WALK_PAGES_MAX } from "../../src/core/page-walk.ts";
import type { Peer } from "../../src/peer/peer.ts";
import type { Page } from "../../src/tracker/types.ts";
import { listedFile, openTestPeer, TestTracker } from "../peer/test-tracker.ts";
import { errorOf, fileName } from "../tracker/fixtures.ts";

let folder: string;
let tracker: TestTracker;
let peer: Peer;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "p2pfs-endless-"));
  tracker = await TestTracker.start();
  peer = await openTestPeer(tracker.at, folder);
});
afterEach(async () => {
  await peer.close();
  tracker.stop();
  rmSync(folder, { recursive: true, force: true });
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
      expect(await errorOf(ask())).toMatchObject({ code: "protocol" });
      expect(pages).toBeLessThan(6);
    }
  },
);

test("a fetch looks at so many candidates and no more, and waits no longer for all pages than for one", async () => {
  let pages = 0;
  const rows = Array.from({ length: 500 }, () => listedFile("f", 1));
  tracker.answers = {
    REQUEST_FILE_LIST: () => ({ type: "REPLY_FILE_LIST", file_list: rows, next: `page ${pages++}` }),
  };
  expect(await errorOf(peer.fetch({ what: fileName("f"), destination: join(folder, "f") }))).toMatchObject({
    code: "no_holder",
  });
  expect(pages).toBe(4);
});

test("a list of pages without end is given up", async () => {
  let pages = 0;
  const answer = async () => {
    const page = { rows: [{ key: "k" }], next: `page ${pages++}` };
    return Response.json(page) as unknown as ClientResponse<Page<{ key: string }>>;
  };
  expect(await errorOf(allPagesOf(answer))).toMatchObject({ code: "protocol" });
  expect(pages).toBe(WALK_PAGES_MAX);
});
