/** A program at a real pseudo-terminal, as somebody in front of it uses it. It is killed after the test. */
import { closeLater } from "./closing.ts";
import { Screen } from "./screen.ts";
import { until } from "./until.ts";

export const CTRL_C = "\u0003";
export const CTRL_D = "\u0004";
/** Clears the line. */
export const CTRL_U = "\u0015";
export const TAB = "\t";
export const UP = "\u001b[A";

export interface TerminalOptions {
  readonly cwd: string;
  readonly env: Record<string, string | undefined>;
  readonly columns?: number;
}

export class Terminal {
  readonly screen: Screen;
  readonly #child: Bun.Subprocess;
  /** What came since the last that was waited for. */
  #text = "";

  constructor(command: readonly string[], { cwd, env, columns = 120 }: TerminalOptions) {
    const decoder = new TextDecoder();
    this.screen = new Screen(columns);
    this.#child = Bun.spawn([...command], {
      cwd,
      env: { TERM: "xterm", ...env },
      terminal: {
        cols: columns,
        rows: 40,
        data: (_terminal, bytes) => {
          const text = decoder.decode(bytes, { stream: true });
          this.#text += text;
          this.screen.write(text);
        },
      },
    });
    closeLater(this.#child, (child) => {
      child.kill("SIGKILL");
      return child.exited;
    });
  }

  get pid(): number {
    return this.#child.pid;
  }

  get ended(): Promise<number> {
    return this.#child.exited;
  }

  /** Waits for text to appear after what was seen before. Returns what came before it. */
  async see(expected: string): Promise<string> {
    const what = () => `${JSON.stringify(expected)} in ${JSON.stringify(this.#text.slice(-2000))}`;
    await until(what, () => this.#text.includes(expected));
    const before = this.#text.slice(0, this.#text.indexOf(expected));
    this.#text = this.#text.slice(before.length + expected.length);
    return before;
  }

  /** Waits until the line with the cursor is this. */
  async seeLine(expected: string): Promise<void> {
    const what = () => `the line ${JSON.stringify(expected)} on\n${this.screen.text}`;
    await until(what, () => this.screen.line === expected);
  }

  type(text: string): void {
    this.#child.terminal!.write(text);
  }
}
