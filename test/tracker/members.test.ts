/** Invitations and members as a tracker keeps them (S2, S5, S7): what comes twice, late, or under another's name. */
import { expect, test } from "bun:test";
import { hostname } from "node:os";
import { SECOND_MS } from "../../src/core/units.ts";
import { parseInvitation } from "../../src/identity/invitation.ts";
import { GUEST_CERTIFICATE_MS } from "../../src/identity/issuing.ts";
import { createPrivateKeyPem } from "../../src/identity/keys.ts";
import { joinSwarm } from "../../src/peer/join-swarm.ts";
import { expectError } from "../support/errors.ts";
import { joinBy, TestSwarm } from "../support/private-swarm.ts";
import { until } from "../support/until.ts";

test("a member that has asked to join once more can be removed: its certificate still counts (S7)", async () => {
  const swarm = await TestSwarm.start();
  const key = await createPrivateKeyPem();
  const { peerId } = (await joinBy(await swarm.invite(), "anna", key))!;
  expect(await joinBy(await swarm.invite({ approve: true }), "anna", key)).toBeUndefined();
  await swarm.tracker.membership.revoke(peerId);
  expect(swarm.tracker.swarm!.revocations.has(peerId)).toBe(true);
});

test("an id means the member that has it, never one that is called so (S5)", async () => {
  const swarm = await TestSwarm.start();
  const { peerId } = await swarm.join("anna");
  await joinBy(await swarm.invite({ approve: true }), peerId);
  await expectError("not_found", swarm.tracker.membership.approve(peerId), /waits/);
  expect((await swarm.tracker.membership.revoke(peerId)).name).toBe("anna");
  await expectError("not_found", swarm.tracker.membership.revoke(peerId), /no member/);
});

test("a tracker does not remove itself, by its id or by its name (S5)", async () => {
  const swarm = await TestSwarm.start();
  const { id } = swarm.tracker.membership.show();
  for (const who of [id, hostname()])
    await expectError("refused", swarm.tracker.membership.revoke(who), /cannot remove itself/);
});

test("a machine that is approved after its invitation has expired is let in, and no other (S2, S5)", async () => {
  const swarm = await TestSwarm.start();
  const [token, key] = [await swarm.invite({ approve: true, uses: 2, for_ms: SECOND_MS }), await createPrivateKeyPem()];
  expect(await joinBy(token, "carol", key)).toBeUndefined();
  const isExpired = async () => (await swarm.tracker.membership.invitations()).length === 0;
  await until("the invitation has expired", isExpired);
  await swarm.invite();
  expect(await joinBy(token, "carol", key)).toBeUndefined();
  await swarm.tracker.membership.approve("carol");
  expect((await swarm.tracker.membership.list(null)).rows.map(({ name }) => name)).toContain("carol");
  expect(await joinBy(token, "carol", key)).toBeDefined();
  await expectError("refused", joinBy(token, "dora"), /expired/);
});

test("who waits by an invitation that is ended is let in no more (S2)", async () => {
  const swarm = await TestSwarm.start();
  const token = await swarm.invite({ approve: true, uses: 2 });
  expect(await joinBy(token, "carol")).toBeUndefined();
  const [open] = await swarm.tracker.membership.invitations();
  await swarm.tracker.membership.endInvitation(open!.id);
  await expectError("not_found", swarm.tracker.membership.approve("carol"), /waits/);
});

test("removing a member names the invitation by which it could come again (S5)", async () => {
  const swarm = await TestSwarm.start();
  const token = await swarm.invite({ uses: 2 });
  await joinBy(token, "anna");
  const [open] = await swarm.tracker.membership.invitations();
  expect((await swarm.tracker.membership.revoke("anna")).invitation).toBe(open!.id);
  await joinBy(token, "ben");
  expect((await swarm.tracker.membership.revoke("ben")).invitation).toBeNull();
});

test("a member for one fetch has a certificate of a day (S4)", async () => {
  const swarm = await TestSwarm.start();
  const guest = (await joinSwarm({
    invitation: parseInvitation(await swarm.invite()),
    key: await createPrivateKeyPem(),
    name: "guest",
    once: true,
  }))!;
  expect(Date.parse(guest.certificate.validTo) - Date.now()).toBeLessThanOrEqual(GUEST_CERTIFICATE_MS);
});
