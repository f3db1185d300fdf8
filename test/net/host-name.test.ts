/** Host name lookups within a deadline, with a slow, silent or failing name service. */
import { expect, test } from "bun:test";
import { deadlineIn, noticeDeadline } from "../../src/core/deadline.ts";
import { ipsOf, isSamePlace, LOOKUP_MS_MAX, resolveHost, resolveHostPort } from "../../src/net/host-name.ts";
import { realSystem } from "../../src/net/system.ts";
import { expectError } from "../support/errors.ts";
import { namesBy } from "../support/system.ts";
import { address } from "../support/values.ts";

const never = namesBy(() => new Promise(() => undefined));
const soon = () => noticeDeadline(performance.now());
const knows = (names: Record<string, string[]>) =>
  namesBy(async (host) => {
    const ips = names[host];
    if (ips === undefined) throw new Error("ENOTFOUND");
    return ips;
  });

test("an IP is its own address, without a lookup", async () => {
  expect(await resolveHost("10.0.0.7", soon(), never)).toBe("10.0.0.7");
  expect(await resolveHostPort({ host: "::FFFF:10.0.0.7", port: 80 }, soon(), never)).toBe(address("10.0.0.7:80"));
});

test("a name has the IPs of the lookup, each once, in their order", async () => {
  const names = knows({ a: ["10.0.0.1", "::ffff:10.0.0.1", "fe80::1%eth0"] });
  expect(await ipsOf("a", soon(), names)).toEqual(["10.0.0.1", "fe80::1"]);
  expect(await resolveHost("localhost", soon(), realSystem)).toBe("127.0.0.1");
});

test("a name that is unknown or has no address is not_found", async () => {
  for (const names of [knows({}), knows({ a: [] })]) await expectError("not_found", resolveHost("a", soon(), names));
});

test("a lookup without an answer is given up at the deadline, or after LOOKUP_MS_MAX", async () => {
  const deadline = deadlineIn(60_000, performance.now());
  const started = performance.now();
  await expectError("unreachable", resolveHost("a", deadlineIn(30, started), never));
  expect(performance.now() - started).toBeLessThan(LOOKUP_MS_MAX);
  await expectError("unreachable", resolveHost("a", deadline, never));
});

test("two names are the same place if they share an IP and the port", async () => {
  const names = knows({ a: ["10.0.0.1", "10.0.0.2"], b: ["10.0.0.2"], c: ["10.0.0.3"] });
  const same = (one: string, other: string, port = 1) =>
    isSamePlace({ host: one, port: 1 }, { host: other, port }, soon(), names);
  expect(await Promise.all([same("a", "b"), same("a", "10.0.0.1"), same("a", "a")])).toEqual([true, true, true]);
  expect(await Promise.all([same("a", "c"), same("a", "b", 2), same("a", "unknown")])).toEqual([false, false, false]);
  const deadline = deadlineIn(10, performance.now());
  expect(await isSamePlace({ host: "a", port: 1 }, { host: "b", port: 1 }, deadline, never)).toBe(false);
});
