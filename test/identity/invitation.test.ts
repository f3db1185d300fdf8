/** S2, S3: one word that carries all that a machine needs to join. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { INVITATION_SECRET_BYTES } from "../../src/core/limits.ts";
import { formatInvitation, HASH_BYTES, type Invitation, parseInvitation } from "../../src/identity/invitation.ts";
import { expectError } from "../support/errors.ts";

const invitation: Invitation = {
  authorityHash: Uint8Array.from({ length: HASH_BYTES }, (_, index) => index),
  secret: Uint8Array.from({ length: INVITATION_SECRET_BYTES }, (_, index) => 255 - index),
  role: "peer",
  trackers: [
    { host: "10.0.0.7", port: 7700 },
    { host: "fe80::1", port: 1 },
    { host: "tracker.example", port: 65_535 },
  ],
};
const text = formatInvitation(invitation);

describe("an invitation", () => {
  test("is one word without a character that a shell treats specially", () => {
    expect(text).toMatch(/^p2pfs-join:[A-Za-z0-9_-]+$/);
    expect(parseInvitation(text)).toEqual(invitation);
  });

  test("of every hash, secret, role and tracker is parsed to the same", () => {
    const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
    const tracker = fc.record({ host: fc.oneof(fc.ipV4(), fc.domain()), port: fc.integer({ min: 1, max: 65_535 }) });
    const invitations = fc.record({
      authorityHash: bytes(HASH_BYTES),
      secret: bytes(INVITATION_SECRET_BYTES),
      role: fc.constantFrom("peer" as const, "tracker" as const),
      trackers: fc
        .array(tracker, { minLength: 1, maxLength: 8 })
        .filter((trackers) => trackers.map(({ host }) => host).join().length < 400),
    });
    fc.assert(fc.property(invitations, (each) => expect(parseInvitation(formatInvitation(each))).toEqual(each)));
  });

  test("that lacks a part, or has a wrong character, is not taken for another one", () => {
    for (let length = 0; length < text.length; length++)
      expectError("usage", () => parseInvitation(text.slice(0, length)), "not an invitation");
    for (let at = 0; at < text.length; at++) {
      const wrong = `${text.slice(0, at)}${text[at] === "A" ? "B" : "A"}${text.slice(at + 1)}`;
      expectError("usage", () => parseInvitation(wrong), "not an invitation");
    }
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (digits) => {
        expectError("usage", () => parseInvitation(`p2pfs-join:${digits}`), "not an invitation");
      }),
    );
  });

  test.each([
    ["another word", "p2pfs://10.0.0.1:7700/a", "it does not begin with p2pfs-join:"],
    ["one of a later version", "p2pfs-join:AgAA", "newer version"],
    ["a very long one", `p2pfs-join:${"A".repeat(2000)}`, "too long"],
    ["nothing", "p2pfs-join:", "a part is missing"],
  ])("%s is refused with its reason", (_, word, reason) => {
    expectError("usage", () => parseInvitation(word), reason);
  });

  test("has room for so many trackers only", () => {
    const trackers = Array.from({ length: 9 }, () => ({ host: "10.0.0.7", port: 7700 }));
    expectError("usage", () => formatInvitation({ ...invitation, trackers }), "no room");
    const long = [{ host: `${"a".repeat(600)}.example`, port: 1 }];
    expectError("usage", () => formatInvitation({ ...invitation, trackers: long }), "no room");
  });
});
