/** Paths as they are typed. */
import { homedir } from "node:os";
import { resolve } from "node:path";
import type { CliContext } from "./context.ts";

/**
 * The path as the user meant it, absolute. A system's shell has put the home folder in place of `~` before we see it;
 * at our own prompt, and in a line that is being completed, that is for us to do.
 */
export function resolvePath({ io, session, completing }: CliContext, typed: string): string {
  const isOurs = session !== undefined || completing !== undefined;
  return resolve(io.cwd, isOurs ? typed.replace(/^~(?=\/|$)/, () => io.env.HOME ?? homedir()) : typed);
}
