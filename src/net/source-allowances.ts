/** One allowance for each source or member, so that somebody who connects again and again gets no more for it. */
import { sourceOf } from "../core/address.ts";
import type { Clock } from "../core/clock.ts";
import { SECOND_MS } from "../core/units.ts";
import { Allowance, type AllowanceOptions } from "./allowance.ts";

/** Sources that are remembered. */
const SOURCES_MAX = 1024;

export class SourceAllowances {
  readonly #clock: Clock;
  readonly #options: AllowanceOptions;
  /** After this time without use an allowance is as good as new. */
  readonly #forgottenMs: number;
  /** By `sourceOf`, or by peer id; the longest unused first. */
  readonly #sources = new Map<string, { readonly allowance: Allowance; usedMs: number }>();

  constructor(clock: Clock, options: AllowanceOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#forgottenMs = (options.burst / options.perSecond) * SECOND_MS;
  }

  /** Takes one, or returns false and takes nothing where none is left for this IP, or peer id. */
  take(ip: string): boolean {
    return this.of(ip).take();
  }

  /** Takes one even where none is left, as `Allowance`. */
  spend(ip: string): void {
    this.of(ip).spend();
  }

  /** Whether one could be taken now. */
  isLeft(ip: string): boolean {
    return this.of(ip).isLeft;
  }

  /** That of a connection from this IP, or of this member. */
  of(ip: string): Allowance {
    const now = this.#clock.now();
    const source = sourceOf(ip);
    for (const [oldest, { usedMs }] of this.#sources) {
      if (this.#sources.size < SOURCES_MAX && now - usedMs < this.#forgottenMs) break;
      this.#sources.delete(oldest);
    }
    const allowance = this.#sources.get(source)?.allowance ?? new Allowance(this.#clock, this.#options);
    this.#sources.delete(source);
    this.#sources.set(source, { allowance, usedMs: now });
    return allowance;
  }
}
