/** The browser that the page is tested and measured in: Debian's Chromium, installed where that can be done. */
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const PATH = "/usr/bin/chromium";
const INSTALL_MS_MAX = 5 * 60_000;

/** Why there is no browser; undefined where there is one. */
export function missingChromium(): string | undefined {
  return existsSync(PATH) ? undefined : `not installed: ${PATH} (Debian: apt-get install chromium)`;
}

/** Installs it where that takes no question: as root on Debian. Elsewhere the tests skip, and say so. */
export async function installChromium(): Promise<void> {
  if (missingChromium() === undefined || process.getuid?.() !== 0 || Bun.which("apt-get") === null) return;
  console.error("installing chromium for the tests of the page");
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  for (const args of [["update"], ["install", "--yes", "--no-install-recommends", "chromium"]]) {
    const child = Bun.spawn(["apt-get", "-qq", ...args], {
      env,
      stdio: ["ignore", "ignore", "inherit"],
      timeout: INSTALL_MS_MAX,
    });
    if ((await child.exited) !== 0) return console.error(`apt-get ${args.join(" ")} failed; the page is not tested`);
  }
}

/** A browser that keeps nothing and talks to nobody but the page. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: PATH,
    args: [
      ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}
