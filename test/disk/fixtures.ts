/** What the tests of this room share. */
import { test } from "bun:test";

/** Bytes that count up to 250 and start again: chunks differ from one another, as no chunk size is a multiple of 251. */
export function patternBytes(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  const period = Uint8Array.from({ length: Math.min(251, size) }, (_, index) => index);
  bytes.set(period);
  for (let filled = 251; filled < size; filled *= 2) bytes.copyWithin(filled, 0, Math.min(filled, size - filled));
  return bytes;
}

export const isRoot = process.platform === "linux" && process.getuid?.() === 0;

/** A test that needs root on Linux: skipped elsewhere, failed where CI would skip it. */
export function needsRoot(name: string, body: () => Promise<void>): void {
  if (isRoot) test(name, body);
  else if (process.env.CI === "true") test(name, () => Promise.reject(new Error("skipped: needs root on Linux")));
  else test.skip(`${name} (skipped: needs root on Linux)`, body);
}

/** Runs a script in a Bun of its own as the user nobody, and gives what it prints. */
export function asNobody(script: string): string {
  const child = Bun.spawnSync(
    ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", process.execPath, "--eval", script],
    { env: { PATH: process.env.PATH ?? "", HOME: "/nonexistent" }, stderr: "inherit" },
  );
  return child.stdout.toString().trim();
}
