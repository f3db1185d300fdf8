/** A role of the executable whose data folder is damaged: it ends with an error, a hint and the code of `disk`. */
import { expect, test } from "bun:test";
import { readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import type { Roles } from "../../scripts/lib/roles.ts";
import { errorTable } from "../../src/core/errors.ts";
import { openForAll } from "../support/closing.ts";
import { openExecutable } from "../support/executable.ts";

let roles: Roles;
openForAll(async () => {
  roles = await openExecutable();
});

for (const file of ["swarm.json", "swarm-authority.pem", "registry.sqlite"]) {
  test(`${file} cut to half: an error and a hint, at every start, and nothing is changed`, async () => {
    const data = join(roles.folder, `data of ${file}`);
    await roles.ask(["swarm", "create", "lab", "--data", data]);
    const tracker = ["tracker", "start", "127.0.0.1", "0", "--admin", "127.0.0.1:0", "--data", data];
    const started = await roles.start(`data of ${file}`, tracker.slice(0, -2), ({ address }) => address);
    await started.stop();
    const path = join(data, file);
    truncateSync(path, readFileSync(path).length >> 1);
    const before = readFileSync(path);
    for (let tries = 0; tries < 2; tries++) {
      const { exitCode, stdout, stderr } = await roles.run(tracker);
      expect([exitCode, stdout]).toEqual([errorTable.disk.exitCode, ""]);
      expect(stderr).toMatch(/^error: [^\n]+\nhint: [^\n]+\n$/);
      expect(stderr).toContain(path);
      expect(readFileSync(path).equals(before)).toBe(true);
    }
  });
}
