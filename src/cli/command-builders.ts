/** Functions that build the command tables of both roles. */
import { buildCommand, type Command } from "@stricli/core";
import type { CliContext, CommonFlags } from "./context.ts";
import { dataFlag, jsonFlag, peerParameters } from "./parameters.ts";

/** Where a command is typed: after `p2pfs ROLE`, or at the prompt of a running role. */
export type Place = "command line" | "shell";

type HostAndPort = [host: string, port?: number];
type Load<Args extends unknown[]> = () => Promise<
  (this: CliContext, flags: CommonFlags, ...args: Args) => Promise<void>
>;

export function commandBuilders(place: Place, group: "tracker" | "peer" | "swarm") {
  /** Flags of every command. A shell belongs to one role, so its help does not show --data. */
  const flags = { json: jsonFlag, data: { ...dataFlag, hidden: place === "shell" } } as const;
  /** The description followed by examples, as they are typed in that place. */
  const explained = (description: string, examples: readonly string[]) => {
    const prefix = place === "shell" ? "" : `p2pfs ${group} `;
    return `${description}\n\nEXAMPLES\n${examples.map((example) => `  ${prefix}${example}`).join("\n")}`;
  };
  /** A command without arguments. */
  const plain = (name: string, brief: string, load: Load<[]>): Command<CliContext> =>
    buildCommand<CommonFlags, [], CliContext>({
      docs: { brief, fullDescription: explained(`${brief}.`, [name, `${name} --json`]) },
      parameters: { flags },
      loader: load,
    });
  /** A command that takes the peer or tracker at HOST PORT. */
  const atHost = (
    brief: string,
    description: string,
    examples: readonly string[],
    load: Load<HostAndPort>,
  ): Command<CliContext> =>
    buildCommand<CommonFlags, HostAndPort, CliContext>({
      docs: { brief, fullDescription: explained(description, examples) },
      parameters: {
        flags,
        positional: { kind: "tuple", parameters: peerParameters(group === "tracker" ? "tracker" : "peer") },
      },
      loader: load,
    });
  return { flags, explained, plain, atHost };
}
