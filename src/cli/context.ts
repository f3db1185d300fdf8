/** What every command gets as `this`. */
import type { CommandContext, StricliProcess } from "@stricli/core";
import type { Connection } from "../admin/client.ts";
import type { Environment, Io } from "./io.ts";
import type { ProgressBar } from "./progress.ts";

/** Present where commands are typed into, or piped to, a role of this very process. */
export interface Session {
  readonly role: "tracker" | "peer";
  readonly connection: Connection;
  /** The role has been told to end. */
  readonly onExit: () => void;
  /** Resolves when somebody ends what the present command does; never where nobody can. */
  readonly interrupted: Promise<unknown>;
  /** Where work goes on while the prompt stays usable; absent where commands run one after another. */
  readonly background?: {
    /** Its streams do not disturb what is being typed. */
    readonly io: Io;
    readonly openBar: () => ProgressBar;
    readonly inBackground: (work: Promise<void>) => void;
  };
}

export interface CliContext extends CommandContext {
  readonly process: StricliProcess;
  readonly io: Io;
  readonly session?: Session;
  /** While a line is completed: its words so far, the last one unfinished. */
  readonly completing?: readonly string[];
}

export interface CommonFlags {
  readonly json?: boolean;
  readonly data?: string;
}

export function wantsJson(env: Environment, flags: CommonFlags): boolean {
  return flags.json ?? isSet(env.P2PFS_JSON);
}

export function isSet(twin: string | undefined): boolean {
  return twin !== undefined && /^(?:1|true|yes|on)$/i.test(twin);
}
