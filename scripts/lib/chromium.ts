/** The browser that the page is tested and measured in. */
import { type Browser, chromium } from "playwright-core";
import { programOf } from "./debian.ts";

/** A browser that keeps nothing and talks to nobody but the page. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: programOf("chromium"),
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
