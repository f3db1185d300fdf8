/** One allowance for each source IP, so that somebody who connects again and again gets no more for it. */
import type { Clock } from "../core/clock.ts";
import { SECOND_MS } from "../core/units.ts";
import { Allowance, type AllowanceOptions } from "./allowance.ts";

/** Source IPs that are remembered. */
const SOURCES_MAX = 1024;

export class SourceAllowances {
  readonly #clock: Clock;
  readonly #options: AllowanceOptions;
  /** After this time without use an allowance is as good as new. */
  readonly #forgottenMs: number;
  /** By source IP, the longest unused first. */
  readonly #sources = new Map<string, { readonly allowance: Allowance; usedMs: number }>();

  constructor(clock: Clock, options: AllowanceOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#forgottenMs = (options.burst / options.perSecond) * SECOND_MS;
  }

  /** Whether this source may do it now. */
  take(sourceIp: string): boolean {
    const now = this.#clock.now();
    for (const [ip, { usedMs }] of this.#sources) {
      if (this.#sources.size < SOURCES_MAX && now - usedMs < this.#forgottenMs) break;
      this.#sources.delete(ip);
    }
    const allowance = this.#sources.get(sourceIp)?.allowance ?? new Allowance(this.#clock, this.#options);
    this.#sources.delete(sourceIp);
    this.#sources.set(sourceIp, { allowance, usedMs: now });
    return allowance.take();
  }
}
