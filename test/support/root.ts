/** Tests that need root on Linux: for file systems of their own, and for being somebody else. */
import { test } from "bun:test";
import { mkdirSync } from "node:fs";
import { closeLater } from "./closing.ts";

export const isRoot = process.platform === "linux" && process.getuid?.() === 0;

/** A test that needs root on Linux: skipped elsewhere, failed where CI would skip it. */
export function needsRoot(name: string, body: () => Promise<void>, msMax?: number): void {
  if (isRoot) test(name, body, msMax);
  else if (process.env.CI === "true") test(name, () => Promise.reject(new Error("skipped: needs root on Linux")));
  else test.skip(`${name} (skipped: needs root on Linux)`, body);
}

/** A small file system of its own at this path, which is made, until the test is over. */
export function mountTmpfs(path: string, options: string): void {
  mkdirSync(path);
  run(["mount", "-t", "tmpfs", "-o", options, "p2pfs-test", path]);
  // Lazily: a database that was closed keeps its file open until its statements are collected.
  closeLater(path, () => run(["umount", "--lazy", path]));
}

/** As `mountTmpfs`, for one that is there, with other options. */
export function remountTmpfs(path: string, options: string): void {
  run(["mount", "-o", `remount,${options}`, path]);
}

function run(command: string[]): void {
  const { success, stderr } = Bun.spawnSync(command);
  if (!success) throw new Error(`${command.join(" ")}: ${stderr}`);
}

/** What runs the command behind it as the user nobody. */
export const asNobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"];

/** What nobody sees of the environment. */
export const environmentOfNobody = { PATH: process.env.PATH ?? "", HOME: "/nonexistent" };
