/** From the system's process table: whether another process has ended, and who owns the terminal. */
import { readFileSync } from "node:fs";
import { P2pfsError } from "../core/errors.ts";
import { SECOND_MS } from "../core/units.ts";

const POLL_MS = 10;
const WAIT_MS_MAX = 30 * SECOND_MS;

export async function waitForEnd(pid: number): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX;
  while (isAlive(pid)) {
    if (performance.now() > deadline)
      throw new P2pfsError("internal", `process ${pid} was told to end and has not`, { hint: `kill ${pid} ends it` });
    await Bun.sleep(POLL_MS);
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

/** Whether it has ended and only waits for its parent to read the exit code. */
function isZombie(pid: number): boolean {
  return statOf(pid)?.state === "Z";
}

/** Whether this process may read from its terminal; true if the system does not say. */
export function isInForeground(): boolean {
  const stat = statOf(process.pid);
  return stat === undefined || stat.processGroup === stat.terminalGroup;
}

/** https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html; undefined on other systems, and if there is no such process. */
function statOf(pid: number): { state: string; processGroup: string; terminalGroup: string } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the process's name in parentheses, which may itself contain parentheses and blanks.
    const [state, , processGroup, , , terminalGroup] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state: state!, processGroup: processGroup!, terminalGroup: terminalGroup! };
  } catch {
    return undefined;
  }
}
