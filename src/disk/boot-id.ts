/**
 * Identifies the present boot of the operating system. Written bytes survive the end of the process, but not that of the
 * system, so what was written under another boot id has to be verified again.
 */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";

let known: string | undefined;

/** The same until the system restarts. On a system that has no such id, another one for each process. */
export function bootId(): string {
  known ??= linuxBootId() ?? darwinBootId() ?? randomUUID();
  return known;
}

function linuxBootId(): string | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim() || undefined;
  } catch {
    return undefined;
  }
}

function darwinBootId(): string | undefined {
  if (process.platform !== "darwin") return undefined;
  const sysctl = Bun.spawnSync(["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"], { stderr: "ignore" });
  return (sysctl.success && sysctl.stdout.toString().trim()) || undefined;
}
