/** The progress bar of publish and fetch; drawn only if standard error is a terminal. */
import { formatDuration, formatRate, formatSize } from "./format.ts";
import type { Sink } from "./io.ts";

const FRAMES_PER_SECOND = 10;
const BAR_COLUMNS = 30;
const SMALL_BAR_COLUMNS = 15;
const CLEAR_LINE = "\r\u001b[K";

export interface Progress {
  readonly bytes: number;
  readonly size: number;
  /** Rate of the transfer, if known. */
  readonly bytesPerSecond?: number;
  readonly sources?: number;
  /** Which transfer it is, if several are shown. */
  readonly label?: string;
}

export interface ProgressBar {
  show(progress: Progress): void;
  /** Takes the bar off the screen. */
  end(): void;
}

export const NO_BAR: ProgressBar = { show: () => undefined, end: () => undefined };

export async function openProgressBar(sink: Sink, verb: string): Promise<ProgressBar> {
  if (!sink.isTerminal || sink.stream === undefined) return NO_BAR;
  const { SingleBar } = await import("cli-progress");
  const bar = new SingleBar({
    stream: sink.stream,
    format: (options, { progress }, payload: Progress) => {
      return `${verb} ${barOf(progress, options.barsize!)}  ${describe(payload)}`;
    },
    barsize: BAR_COLUMNS,
    fps: FRAMES_PER_SECOND,
    clearOnComplete: true,
    hideCursor: true,
    gracefulExit: false,
    linewrap: false,
    // A line above the bar may have taken its place.
    forceRedraw: true,
  });
  let started = false;
  return {
    show(progress) {
      if (started) bar.update(progress.bytes, progress);
      else bar.start(progress.size, progress.bytes, progress);
      started = true;
    },
    end() {
      if (started) bar.stop();
    },
  };
}

/** For whole lines while a bar is drawn on the terminal: a line takes its place, and it is drawn again below. */
export function aboveBar(sink: Sink): Sink {
  return sink.isTerminal ? { ...sink, write: (text) => sink.write(`${CLEAR_LINE}${text}`) } : sink;
}

/** One line: label, bar, bytes, rate and sources. */
export function progressText(progress: Progress): string {
  const part = progress.size === 0 ? 1 : progress.bytes / progress.size;
  return `${progress.label ?? ""} ${barOf(part, SMALL_BAR_COLUMNS)}  ${describe(progress)}`.trimStart();
}

function barOf(part: number, columns: number): string {
  const filled = Math.round(part * columns);
  return `${"━".repeat(filled)}${"╌".repeat(columns - filled)} ${Math.floor(part * 100)} %`;
}

function describe({ bytes, size, bytesPerSecond, sources }: Progress): string {
  const parts = [`${formatSize(bytes)} of ${formatSize(size)}`];
  if (bytesPerSecond !== undefined && bytesPerSecond > 0) {
    parts.push(formatRate(bytesPerSecond), `${formatDuration(((size - bytes) / bytesPerSecond) * 1000)} left`);
  }
  if (sources !== undefined) parts.push(`${sources} ${sources === 1 ? "source" : "sources"}`);
  return parts.join("  ");
}
