/** Waiting for a process that is not our child to end. */
import { readFileSync } from "node:fs";
import { P2pfsError } from "../core/errors.ts";
import { SECOND_MS } from "../core/units.ts";

const LOOK_EVERY_MS = 10;
const WAIT_MS_MAX = 30 * SECOND_MS;

export async function waitForEnd(pid: number): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX;
  while (isAlive(pid)) {
    if (performance.now() > deadline)
      throw new P2pfsError("internal", `process ${pid} was told to end and has not`, { hint: `kill ${pid} ends it` });
    await Bun.sleep(LOOK_EVERY_MS);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
  return !isZombie(pid);
}

/** Ended, and kept in the process table by a parent that does not ask for its exit code. */
function isZombie(pid: number): boolean {
  try {
    return /\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    // No such folder on this system, or the process is gone by now; the next look tells.
    return false;
  }
}
