/** From paths as typed to absolute ones. */
import { homedir } from "node:os";
import { resolve } from "node:path";
import type { CliContext } from "./context.ts";

/**
 * The absolute path. At our prompt, and in a line that is being completed, `~` stands for the home folder; on the command
 * line the system's shell has replaced it already.
 */
export function resolvePath({ io, session, completing }: CliContext, typed: string): string {
  const expandsTilde = session !== undefined || completing !== undefined;
  return resolve(io.cwd, expandsTilde ? typed.replace(/^~(?=\/|$)/, () => io.env.HOME ?? homedir()) : typed);
}
