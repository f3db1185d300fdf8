/** The average rate of the last few seconds, for display. */
import { SECOND_MS } from "../core/units.ts";

const SLOT_MS = 250;
const WINDOW_MS = 3 * SECOND_MS;

export class RateMeter {
  readonly #slots: { readonly startMs: number; bytes: number }[] = [];
  readonly #startMs: number;

  constructor(nowMs: number) {
    this.#startMs = nowMs;
  }

  add(bytes: number, nowMs: number): void {
    const last = this.#slots.at(-1);
    if (last !== undefined && nowMs - last.startMs < SLOT_MS) last.bytes += bytes;
    else this.#slots.push({ startMs: nowMs, bytes });
    while (nowMs - this.#slots[0]!.startMs > WINDOW_MS) this.#slots.shift();
  }

  bytesPerSecond(nowMs: number): number {
    const fromMs = Math.max(this.#startMs, nowMs - WINDOW_MS);
    const bytes = this.#slots.reduce((sum, slot) => (slot.startMs >= fromMs ? sum + slot.bytes : sum), 0);
    return bytes / (Math.max(nowMs - fromMs, SLOT_MS) / SECOND_MS);
  }
}
