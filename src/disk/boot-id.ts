/**
 * Which run of the operating system this is. Bytes that a write call took are safe from the death of the process, not
 * from that of the system; so what was written under another boot id has to be looked at again.
 */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";

let known: string | undefined;

/** Equal as long as the system runs. Where the system does not tell, each process takes itself for a new boot. */
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
  const told = Bun.spawnSync(["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"], { stderr: "ignore" });
  return (told.success && told.stdout.toString().trim()) || undefined;
}
