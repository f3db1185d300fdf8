/** S7: what a renewal makes of the trackers that a member knows. */
import { expect, test } from "bun:test";
import { formatHostPort } from "../../src/core/address.ts";
import { TRACKERS_NAMED_MAX } from "../../src/core/limits.ts";
import { renewedMembership } from "../../src/identity/renewal.ts";
import { authorityOf, certified, NOW_MS } from "./support.ts";

test.each([
  ["those named now come first, and none twice", ["b:1", "a:1"], ["b:1", "a:1"]],
  ["a tracker that names itself only is added", ["b:1"], ["b:1", "a:1"]],
  ["an empty reply changes nothing", [], ["a:1"]],
  [
    "no more are kept than a message names",
    Array.from({ length: TRACKERS_NAMED_MAX }, (_, index) => `c${index}:1`),
    Array.from({ length: TRACKERS_NAMED_MAX }, (_, index) => `c${index}:1`),
  ],
])("%s (S7)", async (_, trackers, expected) => {
  const authority = await authorityOf("lab");
  const { certificate, privateKey: key, peerId } = await certified(authority, "peer");
  const shared = { swarm: "lab", authority: authority.certificate, key, certificate, peerId: peerId! };
  const before = { ...shared, trackers: [{ host: "a", port: 1 }] };
  const after = renewedMembership(before, { certificate: certificate.raw, trackers }, NOW_MS);
  expect(after.trackers.map(formatHostPort)).toEqual(expected);
});
