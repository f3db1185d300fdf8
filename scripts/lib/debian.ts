/** Programs that only tests and benchmarks need: Debian's, installed where that takes no question. */
import { existsSync } from "node:fs";

const INSTALL_MS_MAX = 5 * 60_000;

/** Where the program of each package lies. */
const packages = {
  chromium: "/usr/bin/chromium",
  strace: "/usr/bin/strace",
  tcpdump: "/usr/bin/tcpdump",
} as const;

export type DebianPackage = keyof typeof packages;

export function programOf(name: DebianPackage): string {
  return packages[name];
}

/** Why the program is not there; undefined where it is. */
export function missingPackage(name: DebianPackage): string | undefined {
  return existsSync(packages[name]) ? undefined : `not installed: ${packages[name]} (Debian: apt-get install ${name})`;
}

/** Installs what is missing, as root on Debian. Elsewhere the tests that need it are skipped, and say so. */
export async function installPackages(): Promise<void> {
  const names = (Object.keys(packages) as DebianPackage[]).filter((name) => missingPackage(name) !== undefined);
  if (names.length === 0 || process.getuid?.() !== 0 || Bun.which("apt-get") === null) return;
  console.error(`installing ${names.join(" and ")} for the tests`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  for (const args of [["update"], ["install", "--yes", "--no-install-recommends", ...names]]) {
    const child = Bun.spawn(["apt-get", "-qq", ...args], {
      env,
      stdio: ["ignore", "ignore", "inherit"],
      timeout: INSTALL_MS_MAX,
    });
    if ((await child.exited) !== 0)
      return console.error(`apt-get ${args.join(" ")} failed; what needs them is skipped`);
  }
}
