/** A private swarm of two trackers, each with a registry of its own, over real connections (S5, S7). */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { MINUTE_MS } from "../../src/core/units.ts";
import type { Membership } from "../../src/identity/membership.ts";
import { askRenewal, sayGoodbye } from "../../src/peer/join-swarm.ts";
import type { Tracker } from "../../src/tracker/tracker.ts";
import { randomBytes } from "../support/bytes.ts";
import { closeNow } from "../support/closing.ts";
import { expectError } from "../support/errors.ts";
import { temporaryFolder } from "../support/folder.ts";
import { joinBy, TestSwarm } from "../support/private-swarm.ts";
import { hostPortOf, joined, openPeer, startTracker } from "../support/roles.ts";
import { until } from "../support/until.ts";

const ROUND_EVERY_MS = 200;
const invitation = { uses: 1, for_ms: MINUTE_MS, role: "peer", approve: false, label: "" } as const;

function startJoined(membership: Membership, folder = temporaryFolder()) {
  const swarm = { membership, authorityKey: undefined, keep: () => {}, askRenewal, roundEveryMs: ROUND_EVERY_MS };
  return startTracker({ swarm, folder });
}

const isOutAt = (tracker: Tracker, { peerId }: Membership) => tracker.swarm!.revocations.has(peerId);

test("whom the founder removes is out of a transfer with a peer that hears only another tracker (S7)", async () => {
  const founder = await TestSwarm.start();
  const { tracker: other, at } = await startJoined(await founder.join("other", { role: "tracker" }));
  const seat = { tracker: hostPortOf(at) };
  const anna = await openPeer({ ...seat, membership: await founder.join("anna"), limits: { up_limit: 100_000 } });
  const ben = await openPeer({ ...seat, membership: await founder.join("ben") });
  await joined(anna, ben);
  const path = join(temporaryFolder(), "file");
  await Bun.write(path, randomBytes(3_000_000, 1));
  await anna.publish({ path, lname: path, fname: "f" });
  const job = await ben.fetch({ what: "f", destination: join(temporaryFolder(), "copy") });
  job.done.catch(() => {});
  await until("ben receives", () => ben.status().bytes_received > 0);
  await founder.tracker.membership.revoke("ben");
  await until("ben is out at the other tracker", () => !ben.status().connected, MINUTE_MS);
  await until("anna sends him nothing more", () => anna.backlog.connections === 0, MINUTE_MS);
  expect((await other.listPeers()).rows.map(({ address }) => address)).toEqual([anna.address!]);
});

test("the founder hears whom another tracker removes; a restart without the founder forgets nobody (S7)", async () => {
  const founder = await TestSwarm.start();
  const membership = await founder.join("other", { role: "tracker" });
  const folder = temporaryFolder();
  const { tracker: first } = await startJoined(membership, folder);
  const dora = (await joinBy((await first.membership.invite(invitation)).token, "dora"))!;
  await first.membership.revoke("dora");
  await until("the founder has heard it", () => isOutAt(founder.tracker, dora));
  const anna = await founder.join("anna");
  await founder.tracker.membership.revoke("anna");
  await until("the other has heard it", () => isOutAt(first, anna));
  await closeNow(first);
  await closeNow(founder.tracker);
  const { tracker: second } = await startJoined(membership, folder);
  expect([anna, dora].map((member) => isOutAt(second, member))).toEqual([true, true]);
});

test("a member that leaves is out at once, and has its answer (S5)", async () => {
  const swarm = await TestSwarm.start();
  const membership = { ...(await swarm.join("anna")), trackers: [hostPortOf(swarm.at)] };
  await sayGoodbye(membership);
  expect(isOutAt(swarm.tracker, membership)).toBe(true);
});

test("a member is renewed by the tracker that has let it in, and told so by another one (S7)", async () => {
  const founder = await TestSwarm.start();
  const { at } = await startJoined(await founder.join("other", { role: "tracker" }));
  const anna = await founder.join("anna");
  const elsewhere = { ...anna, trackers: [hostPortOf(at)] };
  await expectError("unauthorised", askRenewal(elsewhere), /did not let this machine in.*the tracker that did can/);
  const known = { ...anna, trackers: [hostPortOf(at), hostPortOf(founder.at)] };
  expect((await askRenewal(known)).certificate.length).toBeGreaterThan(0);
});
