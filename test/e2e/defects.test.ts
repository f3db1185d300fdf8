/** A defect of ours at each edge of a role: in its log with the stack, under a reference that the user is shown. */
import { beforeEach, expect, test } from "bun:test";
import { Instruments } from "../../src/admin/instruments.ts";
import { createPeerApp } from "../../src/admin/peer-app.ts";
import { textOf } from "../../src/core/log.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { expectError } from "../support/errors.ts";
import { Cluster } from "../support/roles.ts";

let cluster: Cluster;
let peer: Peer;
beforeEach(async () => {
  cluster = await Cluster.open();
  peer = await cluster.joinPeer("peer");
});

/** The lines of the log that tell of a defect, each with its reference. */
function defects(log: readonly string[]): { reference: string; line: string }[] {
  return log.flatMap((line) => {
    const reference = line.match(/defect ([0-9a-f]{6}) during /)?.[1];
    return reference === undefined ? [] : [{ reference, line }];
  });
}

test("a defect while a tracker answers a peer is in the tracker's log, under the reference that the peer is given", async () => {
  // Reading a database that is closed is something that only a defect of ours can do.
  cluster.tracker.registry.close();
  const { message } = await expectError("internal", peer.listFiles());
  const [defect] = defects(cluster.log);
  expect(message).toContain(`(reference ${defect?.reference})`);
  expect(defect!.line).toMatch(/during REQUEST_FILE_LIST: .* at /);
});

test("a defect while a role answers a command, at once or line by line, is in its log under the reference in the answer", async () => {
  await cluster.stopPeer(peer);
  const log: string[] = [];
  const instruments = new Instruments();
  instruments.logTo((level, ...entry) => void log.push(`${level}: ${textOf(...entry)}`));
  const app = createPeerApp(peer, { token: "token", host: "127.0.0.1", onShutdown: () => undefined, instruments });
  const headers = { Authorization: "Bearer token", Host: "127.0.0.1", "Content-Type": "application/json" };
  const path = cluster.makeFile("file", 1);
  const requests = [
    app.request("/api/shares", { headers }),
    app.request("/api/shares", { headers, method: "POST", body: JSON.stringify({ path, lname: path }) }),
  ];
  for (const response of await Promise.all(requests)) {
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    const shown = error.message.match(/\(reference ([0-9a-f]{6})\)$/)?.[1];
    expect(error.code).toBe("internal");
    expect(defects(log).find(({ reference }) => reference === shown)?.line).toMatch(/during [A-Z]+ .* at /);
  }
  instruments.close();
});
