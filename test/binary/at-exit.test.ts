/** What scripts leave behind on the machine: nothing, however they end. */
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../support/until.ts";

const library = join(import.meta.dir, "../../scripts/lib/at-exit.ts");
const script = (folder: string, ending: string) => `
  import { rmSync } from "node:fs";
  import { atExit, undoOnSignals } from ${JSON.stringify(library)};
  undoOnSignals();
  atExit(() => rmSync(${JSON.stringify(folder)}, { recursive: true }));
  const child = Bun.spawn(["sleep", "60"]);
  atExit(() => child.kill("SIGKILL"));
  console.log(child.pid);
  ${ending}
`;

const endings = [
  { by: "Ctrl-C", signal: "SIGINT", ending: "setInterval(() => {}, 1000);", exitCode: 130 },
  { by: "SIGTERM", signal: "SIGTERM", ending: "setInterval(() => {}, 1000);", exitCode: 143 },
  { by: "an error", signal: undefined, ending: 'throw new Error("it failed");', exitCode: 1 },
] as const;

for (const { by, signal, ending, exitCode } of endings)
  test(`a script that ends by ${by} undoes what it did, its processes too`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "at-exit-"));
    const child = Bun.spawn([process.execPath, "-e", script(folder, ending)], {
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 10_000,
    });
    const reader = child.stdout.getReader();
    const pid = Number(new TextDecoder().decode((await reader.read()).value));
    if (signal !== undefined) child.kill(signal);
    expect(await child.exited).toBe(exitCode);
    expect(existsSync(folder)).toBe(false);
    await until(`process ${pid} is gone`, () => !isRunning(pid));
  });

/** One that has ended and that nobody has waited for yet runs no more. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
