/** S7: a renewed certificate that cannot be stored is asked for again, so that memory and disk never differ. */
import { expect, test } from "bun:test";
import type { Clock } from "../../src/core/clock.ts";
import { P2pfsError } from "../../src/core/errors.ts";
import { DAY_MS, MINUTE_MS } from "../../src/core/units.ts";
import { foundSwarm } from "../../src/identity/found-swarm.ts";
import { issueCertificate } from "../../src/identity/issuing.ts";
import { publicKeyOf } from "../../src/identity/keys.ts";
import { realSystem, systemClock } from "../../src/net/system.ts";
import { OwnMembership } from "../../src/peer/own-membership.ts";
import { until } from "../support/until.ts";

test("a certificate that cannot be stored is not used, and asked for again (S7)", async () => {
  const { random } = realSystem;
  let now = Date.now();
  const { membership, authorityKey } = await foundSwarm("lab", now, random);
  let check = () => {};
  const every = (_: number, action: () => void) => {
    check = action;
    return { cancel: () => {} };
  };
  const clock = { ...systemClock, now: () => now, wallTime: () => now, every } as Clock;
  const [kept, shown]: [number[], number[]] = [[], []];
  const own = new OwnMembership({
    membership,
    system: { ...realSystem, clock },
    log: () => {},
    files: {
      write: ({ certificate }) => {
        kept.push(Date.parse(certificate.validTo));
        if (kept.length === 1) throw new P2pfsError("disk", "the disk is full");
      },
    },
    closeLapsed: () => {},
  });
  const issuer = { certificate: membership.authority, privateKey: authorityKey, peerId: null };
  const request = async () => ({
    type: "REPLY_RENEW" as const,
    request: 1,
    trackers: [],
    certificate: await issueCertificate(issuer, {
      spki: publicKeyOf(membership.key),
      role: "tracker",
      nowMs: now,
      random,
    }),
  });
  own.open({ request, renewed: () => shown.push(now) });
  now += 61 * DAY_MS;
  check();
  await until("it was to be stored", () => kept.length === 1);
  now += 61 * MINUTE_MS;
  check();
  await until("it is stored and shown", () => shown.length === 1, 2000);
  expect(kept.length).toBe(2);
  own.close();
});
