/** Rows S over real connections, in one process: machines join, share and fetch, wait, are renewed and removed. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { MINUTE_MS, SECOND_MS } from "../../src/core/units.ts";
import { createPrivateKeyPem } from "../../src/identity/keys.ts";
import { randomBytes } from "../support/bytes.ts";
import { expectError } from "../support/errors.ts";
import { temporaryFolder } from "../support/folder.ts";
import { joinBy, TestSwarm } from "../support/private-swarm.ts";
import { fetchTo, hostPortOf, openPeer } from "../support/roles.ts";
import { until } from "../support/until.ts";

const bytes = randomBytes(3_000_000, 1);

async function fileToShare(): Promise<string> {
  const path = join(temporaryFolder(), "file");
  await Bun.write(path, bytes);
  return path;
}

test("machines join by an invitation, and one fetches what the other shares (S2, S3, S6)", async () => {
  const swarm = await TestSwarm.start();
  const [anna, ben] = [await swarm.peer("anna"), await swarm.peer("ben")];
  const path = await fileToShare();
  await anna.publish({ path, lname: path, fname: "f" });
  const copy = join(temporaryFolder(), "copy");
  await fetchTo(ben, "f", copy);
  expect(Buffer.compare(readFileSync(copy), bytes)).toBe(0);
  const { rows } = await swarm.tracker.membership.list(null);
  expect(rows.map(({ name, role, online }) => `${role} ${name} ${online}`).sort()).toEqual([
    "peer anna true",
    "peer ben true",
    `tracker ${hostname()} true`,
  ]);
});

test("an invitation lets in as many machines as it says, and no other (S2)", async () => {
  const swarm = await TestSwarm.start();
  const token = await swarm.invite({ uses: 2 });
  const together = await Promise.allSettled(["a", "b", "c", "d"].map((name) => joinBy(token, name)));
  expect(together.filter(({ status }) => status === "fulfilled").length).toBe(2);
  await expectError("refused", joinBy(token, "e"), /used up|not valid|no invitation/);
});

test("a machine that waits for approval is let in by it, and not before (S2, S5)", async () => {
  const swarm = await TestSwarm.start();
  const [token, key] = [await swarm.invite({ approve: true }), await createPrivateKeyPem()];
  expect(await joinBy(token, "carol", key)).toBeUndefined();
  expect(await joinBy(token, "carol", key)).toBeUndefined();
  await swarm.tracker.membership.approve("carol");
  const membership = await joinBy(token, "carol", key);
  const carol = await openPeer({ tracker: hostPortOf(swarm.at), membership });
  await until("carol has joined", () => carol.status().connected);
});

test("a member that was removed is out everywhere, also from a transfer under way (S7)", async () => {
  const swarm = await TestSwarm.start();
  const [anna, ben] = [await swarm.peer("anna", { limits: { up_limit: 100_000 } }), await swarm.peer("ben")];
  const path = await fileToShare();
  await anna.publish({ path, lname: path, fname: "f" });
  const job = await ben.fetch({ what: "f", destination: join(temporaryFolder(), "copy") });
  job.done.catch(() => {});
  await until("ben receives", () => ben.status().bytes_received > 0);
  const removedAt = performance.now();
  await swarm.tracker.membership.revoke("ben");
  await until("ben is out", () => !ben.status().connected, MINUTE_MS);
  await until("anna sends him nothing more", () => anna.backlog.connections === 0, MINUTE_MS);
  const sent = anna.status().bytes_sent;
  await Bun.sleep(SECOND_MS);
  expect(anna.status().bytes_sent).toBe(sent);
  expect(performance.now() - removedAt).toBeLessThan(MINUTE_MS);
  expect((await swarm.tracker.listPeers()).rows.map(({ address }) => address)).toEqual([anna.address!]);
});
