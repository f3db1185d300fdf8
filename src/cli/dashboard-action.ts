/** `dashboard`: prints the link to the page of the running role, and opens it in a browser if there is a desktop. */
import { answerOf } from "../admin/client.ts";
import { MINUTE_MS } from "../core/units.ts";
import { type CliContext, type CommonFlags, wantsJson } from "./context.ts";
import { printable } from "./format.ts";
import type { Environment } from "./io.ts";
import { reachPeer, reachTracker } from "./reach.ts";
import { writeResult } from "./render.ts";

interface Link {
  readonly url: string;
  readonly expires_ms: number;
}

export async function showTrackerDashboard(this: CliContext, flags: CommonFlags): Promise<void> {
  show(this, flags, await answerOf(reachTracker(this, flags).api.dashboard.$post()));
}

export async function showPeerDashboard(this: CliContext, flags: CommonFlags): Promise<void> {
  show(this, flags, await answerOf(reachPeer(this, flags).api.dashboard.$post()));
}

function show(context: CliContext, flags: CommonFlags, link: Link): void {
  const { io } = context;
  writeResult(context, flags, link, ({ url }) => printable(url));
  if (wantsJson(io.env, flags)) return;
  io.stderr.write(`the link works once, within ${link.expires_ms / MINUTE_MS} minutes, on this machine\n`);
  const opener = io.stdout.isTerminal ? openerFor(process.platform, io.env) : undefined;
  if (opener === undefined) return;
  // If the browser does not open, the user still has the printed link.
  Bun.spawn([opener, link.url], { stdio: ["ignore", "ignore", "ignore"] }).unref();
}

/** The program that opens a link in the desktop's browser; undefined without a desktop. */
export function openerFor(platform: string, env: Environment): string | undefined {
  if (platform === "darwin") return Bun.which("open") ?? undefined;
  const hasDesktop = Boolean(env.DISPLAY ?? env.WAYLAND_DISPLAY);
  return hasDesktop ? (Bun.which("xdg-open") ?? undefined) : undefined;
}
