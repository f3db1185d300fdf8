/** What a process opens, looks for, runs and connects to by path, its threads and children included: read from strace. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import { programOf } from "../../scripts/lib/debian.ts";

export interface Access {
  readonly call: string;
  /** Absolute; `/inet/HOST` for a connection over the network. */
  readonly path: string;
  /** The whole line, for flags and for messages. */
  readonly line: string;
}

/** One traced process: its words, and what it did. */
export interface Trace {
  readonly words: readonly string[];
  readonly accesses: readonly Access[];
}

/** Gives the answer of the kernel, not a question to it. */
const OUTGOING_ONLY = new Set(["getcwd"]);

/**
 * An executable that does what `binary` does and leaves a trace in `folder`. It has no environment but this one.
 * A signal to it ends the tracer only: what it runs is to be ended by its own commands.
 */
export function tracedBinary(binary: string, folder: string, env: Readonly<Record<string, string>>): string {
  const path = join(folder, "traced");
  const quoted = Object.entries(env).map(([name, value]) => `'${name}=${value}'`);
  const strace = `${programOf("strace")} -f -y -qq -s 4096 -e trace=%file,connect -e signal=none -o "${folder}/$$.log"`;
  writeFileSync(path, `#!/bin/sh\nexec ${strace} /usr/bin/env -i ${quoted.join(" ")} '${binary}' "$@"\n`, {
    mode: 0o755,
  });
  return path;
}

/** The traces of this folder, of processes whose words begin so. */
export function tracesIn(folder: string, cwd: string, binary: string): Trace[] {
  const logs = readdirSync(folder).filter((name) => name.endsWith(".log"));
  return logs.map((name) => {
    const lines = readFileSync(join(folder, name), "utf8").split("\n");
    // Before it are the calls of env.
    const first = lines.findIndex((line) => line.includes(`execve("${binary}"`));
    const words = [...(/\[(.*)\]/.exec(lines[first] ?? "")?.[1] ?? "").matchAll(/"([^"]*)"/g)].map(([, word]) => word!);
    return { words: words.slice(1), accesses: lines.slice(first).flatMap((line) => accessIn(line, cwd)) };
  });
}

/** What a line of strace says; nothing for the second half of a call, and for calls on what is open already. */
export function accessIn(line: string, cwd: string): Access[] {
  const call = /^\d+ +(\w+)\(/.exec(line)?.[1];
  if (call === undefined || OUTGOING_ONLY.has(call)) return [];
  const host = /inet_(?:addr|pton)\((?:AF_INET6, )?"([^"]*)"/.exec(line)?.[1];
  if (host !== undefined) return [{ call, path: `/inet/${host}`, line }];
  const found = /(?:<([^>]*)>, )?(?:sun_path=)?"((?:[^"\\]|\\.)*)"/.exec(line);
  if (found === null || found[2] === "") return [];
  const [, folder = cwd, path] = found as unknown as [string, string | undefined, string];
  return [{ call, path: isAbsolute(path) ? path : resolve(folder, path), line }];
}
