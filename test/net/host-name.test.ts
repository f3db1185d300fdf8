/** Host name lookups within a deadline, with a slow, silent or failing name service. */
import { expect, test } from "bun:test";
import { deadlineIn, noticeDeadline } from "../../src/core/deadline.ts";
import { ipsOf, isSamePlace, LOOKUP_MS_MAX, resolveHost, resolveHostPort } from "../../src/net/host-name.ts";
import { realSystem } from "../../src/net/system.ts";
import { namesBy } from "../support/system.ts";
import { address, errorOf } from "../tracker/fixtures.ts";

const never = namesBy(() => new Promise(() => undefined));
const soon = () => noticeDeadline(performance.now());
const knows = (names: Record<string, string[]>) =>
  namesBy(async (host) => {
    const ips = names[host];
    if (ips === undefined) throw new Error("ENOTFOUND");
    return ips;
  });

test("an IP stands for itself, and nobody is asked", async () => {
  expect(await resolveHost("10.0.0.7", soon(), never)).toBe("10.0.0.7");
  expect(await resolveHostPort({ host: "::FFFF:10.0.0.7", port: 80 }, soon(), never)).toBe(address("10.0.0.7:80"));
});

test("a name has the IPs that the name service tells, each once, in its order", async () => {
  const names = knows({ a: ["10.0.0.1", "::ffff:10.0.0.1", "fe80::1%eth0"] });
  expect(await ipsOf("a", soon(), names)).toEqual(["10.0.0.1", "fe80::1"]);
  expect(await resolveHost("localhost", soon(), realSystem)).toBe("127.0.0.1");
});

test("a name that nobody knows is not found; one without an address as well", async () => {
  for (const names of [knows({}), knows({ a: [] })])
    expect(await errorOf(resolveHost("a", soon(), names))).toMatchObject({ code: "not_found" });
});

test("a name service that never answers is given up at the deadline, or after LOOKUP_MS_MAX", async () => {
  const deadline = deadlineIn(60_000, performance.now());
  const started = performance.now();
  expect(await errorOf(resolveHost("a", deadlineIn(30, started), never))).toMatchObject({ code: "unreachable" });
  expect(performance.now() - started).toBeLessThan(LOOKUP_MS_MAX);
  expect(await errorOf(resolveHost("a", deadline, never))).toMatchObject({ code: "unreachable" });
});

test("two names of one place are told from those of two", async () => {
  const names = knows({ a: ["10.0.0.1", "10.0.0.2"], b: ["10.0.0.2"], c: ["10.0.0.3"] });
  const same = (one: string, other: string, port = 1) =>
    isSamePlace({ host: one, port: 1 }, { host: other, port }, soon(), names);
  expect(await Promise.all([same("a", "b"), same("a", "10.0.0.1"), same("a", "a")])).toEqual([true, true, true]);
  expect(await Promise.all([same("a", "c"), same("a", "b", 2), same("a", "unknown")])).toEqual([false, false, false]);
  const deadline = deadlineIn(10, performance.now());
  expect(await isSamePlace({ host: "a", port: 1 }, { host: "b", port: 1 }, deadline, never)).toBe(false);
});
