/** What every command gets as `this`. */
import type { CommandContext, StricliProcess } from "@stricli/core";
import type { Connection } from "../admin/client.ts";
import type { Environment, Io } from "./io.ts";
import type { ProgressBar } from "./progress.ts";

/** Present if commands are typed into, or piped to, a role of this process. */
export interface ShellSession {
  readonly role: "tracker" | "peer";
  readonly connection: Connection;
  /** Called when a command has asked the role to end. */
  readonly onExit: () => void;
  /** Resolves when the user interrupts the present command; never if there is no way to interrupt it. */
  readonly interrupted: Promise<unknown>;
  /** For work that goes on while the prompt takes other commands; absent if commands run one after another. */
  readonly background?: {
    /** Its output does not disturb what is being typed. */
    readonly io: Io;
    readonly openBar: () => ProgressBar;
    readonly inBackground: (work: Promise<void>) => void;
  };
}

export interface CliContext extends CommandContext {
  readonly process: StricliProcess;
  readonly io: Io;
  readonly session?: ShellSession;
  /** While a line is completed: its arguments so far, the last one unfinished. */
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
