/** Processes that a test starts from the sources: small programs that are to be killed, or that run as somebody else. */
import { closeLater } from "./closing.ts";
import { asNobody, environmentOfNobody } from "./root.ts";

export interface Child {
  readonly process: Bun.Subprocess<"ignore", "pipe", "inherit">;
  /** What it printed first, when it was ready. */
  readonly greeting: string;
}

/** Runs a program until it has printed something; ended by SIGKILL after the test. */
export async function startChild(path: string, ...args: readonly string[]): Promise<Child> {
  return greeted(Bun.spawn([process.execPath, path, ...args], { stdio: ["ignore", "pipe", "inherit"] }));
}

/** The same for a script as the user nobody. */
export async function startAsNobody(script: string): Promise<Child> {
  const command = [...asNobody, process.execPath, "--eval", script];
  return greeted(Bun.spawn(command, { env: environmentOfNobody, stdio: ["ignore", "pipe", "inherit"] }));
}

async function greeted(child: Child["process"]): Promise<Child> {
  closeLater(child, () => {
    child.kill("SIGKILL");
    return child.exited;
  });
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  return { process: child, greeting: new TextDecoder().decode(value).trim() };
}

/** Runs a script to its end, as the user nobody if that is said; gives what it printed. */
export function outputOf(script: string, { asUser }: { readonly asUser?: "nobody" } = {}): string {
  const [prefix, env] = asUser === undefined ? [[], process.env] : [asNobody, environmentOfNobody];
  return Bun.spawnSync([...prefix, process.execPath, "--eval", script], { env, stderr: "inherit" })
    .stdout.toString()
    .trim();
}
