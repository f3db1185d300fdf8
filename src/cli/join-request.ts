/** The invitation by which a command joins a swarm: the word on its line, `-` for standard input, or P2PFS_JOIN. */
import type { JoinRequest } from "../admin/membership.ts";
import type { CliContext } from "./context.ts";
import { printable } from "./format.ts";
import { parseText, settingOf } from "./settings.ts";
import type { Interruption } from "./signals.ts";

/** Undefined where there is no invitation. @param name by which others list this machine */
export async function joinRequestOf(
  { io }: CliContext,
  typed: string | undefined,
  name: string | undefined,
  interruption: Interruption,
): Promise<JoinRequest | undefined> {
  const token = settingOf(io.env, "P2PFS_JOIN", typed, parseText);
  if (token === undefined) return undefined;
  return {
    token: token === "-" ? await readAll(io.stdin) : token,
    name: settingOf(io.env, "P2PFS_NAME", name, parseText),
    waiting: (as) =>
      io.stderr.write(`somebody has to approve this machine at the tracker: p2pfs swarm approve ${printable(as)}\n`),
    interrupted: interruption.happened,
  };
}

async function readAll(stdin: CliContext["io"]["stdin"]): Promise<string> {
  const text = await Array.fromAsync(stdin.setEncoding("utf8") as AsyncIterable<string>);
  return text.join("").trim();
}
