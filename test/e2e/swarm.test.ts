/** S3, S6: machines join a swarm by an invitation, and share a file over encrypted connections. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { deadlineIn } from "../../src/core/deadline.ts";
import { DAY_MS } from "../../src/core/units.ts";
import { foundSwarm } from "../../src/identity/found-swarm.ts";
import { randomSecret, sha256 } from "../../src/identity/invitation.ts";
import { createPrivateKeyPem } from "../../src/identity/keys.ts";
import { realSystem } from "../../src/net/system.ts";
import { joinSwarm } from "../../src/peer/join-swarm.ts";
import { randomBytes } from "../support/bytes.ts";
import { temporaryFolder } from "../support/folder.ts";
import { fetchTo, hostPortOf, joined, openPeer, startTracker } from "../support/roles.ts";
import { until } from "../support/until.ts";

const { random, clock } = realSystem;

test("join, publish, fetch, revoke", async () => {
  const swarm = await foundSwarm("lab", Date.now(), random);
  const { tracker, at } = await startTracker({ swarm });
  const secret = randomSecret(random);
  await tracker.registry.members.invite({
    secretHash: sha256(secret),
    role: "peer",
    label: "",
    needsApproval: false,
    uses: 2,
    expires: Date.now() + DAY_MS,
  });
  const invitation = {
    authorityHash: sha256(swarm.membership.authority.raw),
    secret,
    role: "peer" as const,
    trackers: [hostPortOf(at)],
  };
  const join1 = async (name: string) => {
    const key = await createPrivateKeyPem();
    const t0 = performance.now();
    const m = await joinSwarm({ invitation, key, name, system: realSystem, deadline: deadlineIn(2000, clock.now()) });
    console.log("join ms", performance.now() - t0);
    return m!;
  };
  const [a, b] = [await join1("a"), await join1("b")];
  await expect(join1("c")).rejects.toMatchObject({ code: "refused" });
  const [anna, ben] = [
    await openPeer({ tracker: hostPortOf(at), membership: a }),
    await openPeer({ tracker: hostPortOf(at), membership: b }),
  ];
  await joined(anna, ben);
  const folder = temporaryFolder();
  const path = join(folder, "file");
  const bytes = randomBytes(20_000_000, 1);
  await Bun.write(path, bytes);
  await anna.publish({ path, lname: path, fname: "f" });
  const t0 = performance.now();
  await fetchTo(ben, "f", join(folder, "copy"));
  console.log("fetch ms", performance.now() - t0);
  expect(Buffer.compare(readFileSync(join(folder, "copy")), bytes)).toBe(0);
  console.log(await tracker.registry.members.members(null));
  await tracker.registry.members.revoke("b");
  await tracker.refreshMembers();
  await until("ben is out", () => !ben.status().connected);
  await Bun.sleep(500);
  console.log(ben.status().connected, (await tracker.listPeers()).rows);
}, 20000);
