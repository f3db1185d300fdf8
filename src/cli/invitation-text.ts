/** What to run on the machine that is to join. */
import type { Invited } from "../admin/client.ts";

export function invitationText({ command, uses, expires }: Invited): string {
  const who = uses === 1 ? "a machine" : `${uses} machines`;
  return `to let ${who} in, run there until ${expires.slice(0, 16).replace("T", " ")} UTC:\n  ${command}`;
}
