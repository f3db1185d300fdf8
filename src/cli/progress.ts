/** The progress bar of publish and fetch, on standard error of a terminal; elsewhere there is none. */

import { formatDuration, formatRate, formatSize } from "./format.ts";
import type { Sink } from "./io.ts";

const FRAMES_PER_SECOND = 10;

export interface Progress {
  readonly bytes: number;
  readonly size: number;
  /** Of the transfer, where it is known. */
  readonly bytesPerSecond?: number;
  readonly sources?: number;
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
      const filled = Math.round(progress * options.barsize!);
      const line = "━".repeat(filled) + "╌".repeat(options.barsize! - filled);
      return `${verb} ${line} ${Math.floor(progress * 100)} %  ${describe(payload)}`;
    },
    barsize: 30,
    fps: FRAMES_PER_SECOND,
    clearOnComplete: true,
    hideCursor: true,
    gracefulExit: false,
    linewrap: false,
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

function describe({ bytes, size, bytesPerSecond, sources }: Progress): string {
  const parts = [`${formatSize(bytes)} of ${formatSize(size)}`];
  if (bytesPerSecond !== undefined && bytesPerSecond > 0) {
    parts.push(formatRate(bytesPerSecond), `${formatDuration(((size - bytes) / bytesPerSecond) * 1000)} left`);
  }
  if (sources !== undefined) parts.push(`${sources} ${sources === 1 ? "source" : "sources"}`);
  return parts.join("  ");
}
