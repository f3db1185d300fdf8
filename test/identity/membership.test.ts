/** The file with a machine's membership: kept, and never taken for valid once it is damaged. */
import { beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { P2pfsError } from "../../src/core/errors.ts";
import { formatMembership, type Membership, parseMembership } from "../../src/identity/membership.ts";
import { expectError } from "../support/errors.ts";
import { authorityOf, certified, type Owner } from "./support.ts";

let peer: Owner;
let membership: Membership;
let text: string;

beforeAll(async () => {
  const authority = await authorityOf("lab");
  peer = await certified(authority, "peer");
  const trackers = [{ host: "10.0.0.7", port: 7700 }];
  membership = {
    swarm: "lab",
    authority: authority.certificate,
    key: peer.privateKey,
    certificate: peer.certificate,
    peerId: peer.peerId!,
    trackers,
  };
  text = formatMembership(membership);
});

function textWith(changes: object): string {
  return JSON.stringify({ ...JSON.parse(text), ...changes });
}

test("is read as it was written", () => {
  const read = parseMembership(text, "swarm.json");
  expect(formatMembership(read)).toBe(text);
  expect(read.trackers).toEqual(membership.trackers);
  expect(read.peerId).toBe(peer.peerId!);
});

test("with the key of somebody else is damaged", async () => {
  const { privateKey } = await certified(await authorityOf("lab"), "peer");
  expectError("disk", () => parseMembership(textWith({ key: privateKey }), "swarm.json"), "the key is not that of");
  expectError("disk", () => parseMembership(textWith({ key: "nonsense" }), "swarm.json"), "the key is not that of");
});

test.each([
  ["of no version", { version: "1" }, "version"],
  ["with another name", { swarm: "a b" }, "swarm"],
  ["with no certificate", { certificate: "" }, "certificate"],
  ["with no authority", { authority: undefined }, "authority"],
  ["with no address of a tracker", { trackers: ["10.0.0.7"] }, "trackers"],
])("%s is damaged, and the message names the file and the field", (_, changes, field) => {
  const error = expectError("disk", () => parseMembership(textWith(changes), "/data/swarm.json"), "/data/swarm.json");
  expect(error.message).toContain(field);
  expect(error.hint).toContain("join the swarm again");
});

test("of a later version is not called damaged: the version that wrote it reads it", () => {
  const error = expectError("disk", () => parseMembership(textWith({ version: 2 }), "swarm.json"), "newer version");
  expect(error.hint).toContain("run that version");
});

test("cut off or with any byte changed, it is that of the same member or of nobody", () => {
  const readOrFault = (damaged: string) => {
    try {
      return parseMembership(damaged, "swarm.json").peerId;
    } catch (thrown) {
      if (thrown instanceof P2pfsError && thrown.code === "disk") return "fault";
      throw thrown;
    }
  };
  for (let length = 0; length < text.length - 2; length += 7) expect(readOrFault(text.slice(0, length))).toBe("fault");
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.integer({ min: 32, max: 126 }), (at, code) => {
      const damaged = `${text.slice(0, at)}${String.fromCharCode(code)}${text.slice(at + 1)}`;
      expect([peer.peerId!, "fault"]).toContain(readOrFault(damaged));
      // Others would refuse a certificate of which a byte is wrong.
      if (readOrFault(damaged) === "fault") return;
      const { certificate, authority } = parseMembership(damaged, "swarm.json");
      expect(certificate.raw.equals(membership.certificate.raw)).toBe(true);
      expect(authority.raw.equals(membership.authority.raw)).toBe(true);
    }),
  );
});
