/**
 * The prompt on a terminal, with what goes on in the background above it: a line for each fetch, redrawn in place while
 * somebody types. The lines are part of readline's prompt, which knows how to redraw them with what has been typed.
 */
import type { Interface } from "node:readline";
import type { Sink } from "./io.ts";
import { type ProgressBar, progressText } from "./progress.ts";

const REDRAW_MS = 200;
/** More are counted, so that the prompt does not fill the screen. */
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

  /** A command runs and has the terminal. */
  hide(): void {
    this.#isShown = false;
  }

  /**
   * Takes the bars off until they are drawn the next time: what stays on the screen has none, and readline, which counts
   * the rows of the prompt and not those that it writes below, does not draw over its own list of completions.
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

  /** Writes whole lines where they do not disturb what is being typed. */
  above(sink: Sink): Sink {
    return {
      ...sink,
      write: (text) => {
        if (!this.#isShown) return sink.write(text);
        const { rows } = this.#lines.getCursorPos();
        const up = rows > 0 ? `\u001b[${rows}A` : "";
        // readline goes up as many rows as its last prompt had before it draws the next one.
        sink.write(`${up}${CLEAR_TO_END}${text}${"\n".repeat(rows)}`);
        this.#redraw();
      },
    };
  }

  /** A progress bar for something in the background. */
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
