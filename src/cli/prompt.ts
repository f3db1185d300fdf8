/**
 * The prompt on a terminal, with a progress line above it for each fetch in the background, redrawn while the user types.
 * These lines are part of readline's prompt, so that readline redraws them together with the input.
 */
import type { Interface } from "node:readline";
import type { Sink } from "./io.ts";
import { type ProgressBar, progressText } from "./progress.ts";

const REDRAW_MS = 200;
/** Further bars are only counted, so that the prompt does not fill the screen. */
const BARS_SHOWN_MAX = 5;
const CLEAR_TO_END = "\r\u001b[J";

export class Prompt {
  readonly #lines: Interface;
  readonly #text: string;
  readonly #terminal: Sink;
  readonly #bars = new Map<symbol, string>();
  #isShown = false;
  #redrawTimer: Timer | undefined;

  constructor(lines: Interface, text: string, terminal: Sink) {
    this.#lines = lines;
    this.#text = text;
    this.#terminal = terminal;
  }

  show(): void {
    this.#isShown = true;
    this.#lines.setPrompt(this.#promptText());
    this.#lines.prompt();
  }

  /** A command begins, and writes to the terminal itself. */
  hide(): void {
    this.#isShown = false;
  }

  /**
   * Removes the bars until the next redraw, so that none stays in the scrollback. Needed before readline lists
   * completions too: it does not count the rows of that list, and with bars would draw over it.
   */
  fold(): void {
    if (!this.#isShown || this.#bars.size === 0) return;
    this.#lines.setPrompt(this.#text);
    this.#lines.prompt(true);
  }

  close(): void {
    this.#isShown = false;
    clearTimeout(this.#redrawTimer);
    this.#lines.close();
  }

  /** A sink that writes whole lines above the prompt. */
  above(sink: Sink): Sink {
    return {
      ...sink,
      write: (text) => {
        if (!this.#isShown) return sink.write(text);
        const { rows } = this.#lines.getCursorPos();
        const up = rows > 0 ? `\u001b[${rows}A` : "";
        // Before it draws a prompt, readline goes up as many rows as the last one had.
        sink.write(`${up}${CLEAR_TO_END}${text}${"\n".repeat(rows)}`);
        this.#redraw();
      },
    };
  }

  /** A progress bar above the prompt. */
  openBar(): ProgressBar {
    const bar = Symbol();
    return {
      show: (progress) => {
        this.#bars.set(bar, progressText(progress));
        this.#redrawSoon();
      },
      end: () => {
        if (this.#bars.delete(bar)) this.#redraw();
      },
    };
  }

  #redrawSoon(): void {
    this.#redrawTimer ??= setTimeout(() => this.#redraw(), REDRAW_MS);
  }

  #redraw(): void {
    clearTimeout(this.#redrawTimer);
    this.#redrawTimer = undefined;
    if (!this.#isShown) return;
    this.#lines.setPrompt(this.#promptText());
    this.#lines.prompt(true);
  }

  #promptText(): string {
    const bars = [...this.#bars.values()].slice(0, BARS_SHOWN_MAX);
    const more = this.#bars.size - bars.length;
    if (more > 0) bars.push(`and ${more} more; list-fetches shows them`);
    const lines = bars.map((bar) => `${bar.slice(0, Math.max(1, this.#terminal.columns - 1))}\n`);
    return `${lines.join("")}${this.#text}`;
  }
}
