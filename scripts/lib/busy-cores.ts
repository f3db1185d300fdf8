/** Load, for tests that must hold on a machine which has other things to do: a process a core that counts for ever. */
import type { Subprocess } from "bun";

/** Counts, and looks now and then whether whoever started it is still there. */
const program = `
  const parent = process.ppid;
  function count() {
    for (const end = performance.now() + 200; performance.now() < end; );
    if (process.ppid !== parent) process.exit();
    setImmediate(count);
  }
  count();
`;

export class BusyCores {
  readonly #children: readonly Subprocess[];

  static start(cores: number): BusyCores {
    const begin = () => Bun.spawn([process.execPath, "--eval", program], { stdio: ["ignore", "ignore", "inherit"] });
    return new BusyCores(Array.from({ length: cores }, begin));
  }

  private constructor(children: readonly Subprocess[]) {
    this.#children = children;
  }

  async stop(): Promise<void> {
    for (const child of this.#children) child.kill("SIGKILL");
    await Promise.all(this.#children.map((child) => child.exited));
  }
}
