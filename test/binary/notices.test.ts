/**
 * R5 as a user sees it: the time from a command to the notice that it cannot be done, the start of the program included.
 * Of the 2 seconds, up to 1.2 are a wait by design, so these tests have the machine for themselves (`alone` in
 * scripts/test.ts); every wait is tested in virtual time as well, in test/peer/notices.test.ts and
 * test/peer/fetches.test.ts.
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Role, Roles } from "../../scripts/lib/roles.ts";
import { NOTICE_MS_MAX } from "../../src/core/limits.ts";
import { MiB } from "../../src/core/units.ts";
import { randomBytes } from "../support/bytes.ts";
import { askJson, openExecutable } from "../support/executable.ts";
import { fetchFilesIn } from "../support/folder.ts";

/** Nothing listens there: port 1 is for root, and unused. */
const NOBODY = "127.0.0.1:1";

let roles: Roles;
let folder: string;
let tracker: Role;
let seeder: Role;
beforeEach(async () => {
  roles = await openExecutable();
  ({ folder } = roles);
  tracker = await roles.tracker();
  seeder = await roles.peer("seeder", tracker);
  writeFileSync(join(folder, "source.bin"), randomBytes(MiB, 7));
  await askJson(roles, "peer", seeder, "publish", join(folder, "source.bin"), "shared.bin");
}, 60_000);

/** Runs a command that has to fail with this code in time, and leaves nothing; returns what it wrote on standard error. */
async function noticeOf(exitCode: number, command: readonly string[]): Promise<string> {
  const started = performance.now();
  const { exitCode: code, stderr } = await roles.run(command);
  expect(performance.now() - started).toBeLessThan(NOTICE_MS_MAX);
  expect(code).toBe(exitCode);
  expect(stderr).toMatch(/^error: .+\nhint: .+\n$/s);
  expect(existsSync(join(folder, "copy"))).toBe(false);
  expect(fetchFilesIn(folder)).toEqual([]);
  return stderr;
}

const fetchAlone = (fname: string, address: string) => [
  ...["peer", "fetch", fname, join(folder, "copy"), "--tracker", address, "--data", join(folder, "alone")],
];

describe("R5: within 2 s a command reports", () => {
  test("7: a tracker that is frozen", async () => {
    process.kill(tracker.pid, "SIGSTOP");
    try {
      const commands = [
        fetchAlone("shared.bin", tracker.address),
        ["peer", "fetch", "other.bin", join(folder, "copy"), "--data", seeder.data],
        ["peer", "list-files", "--data", seeder.data],
      ];
      for (const command of commands) expect(await noticeOf(7, command)).toContain(tracker.address);
    } finally {
      process.kill(tracker.pid, "SIGCONT");
    }
  }, 60_000);

  test("7: a tracker that is not there", async () => {
    expect(await noticeOf(7, fetchAlone("shared.bin", NOBODY))).toContain(NOBODY);
    expect(readdirSync(folder)).not.toContain("alone");
  });

  test("4: a name that nobody shares", async () => {
    expect(await noticeOf(4, fetchAlone("unknown.bin", tracker.address))).toContain("unknown.bin");
  });
});
