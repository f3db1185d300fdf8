/**
 * Runs a target on its valid inputs, on those of its corpus, and on changed ones. An input that has a new outcome, or
 * that reaches code that none before it has reached, is changed further. The same seed makes the same inputs, except
 * where coverage or a running system depends on time.
 */
import { seededRandom } from "../swarm/support.ts";
import { corpusOf } from "./corpus.ts";
import { mutated, oneOf } from "./mutation.ts";
import { encode, type Mutation, type Target } from "./target.ts";

/** Executions between two looks at clock and memory. */
const BATCH = 64;
/** Inputs that are changed further; of more, those of longest standing are forgotten. */
const KEPT_MAX = 4000;
/** How often one of the newest is taken instead of any. */
const NEWEST_SHARE = 0.4;
const NEWEST = 32;
const OUTCOMES_MAX = 10_000;
/** An input that takes so long, and does so each time, is a finding. */
const EXECUTION_MS_MAX = 2000;
const SLOW_TIMES = 3;
/** The process may become larger by so much. */
const GROWTH_BYTES_MAX = 1.5 * 1024 ** 3;
const SHRINKS_MAX = 400;

export interface Finding {
  readonly target: string;
  readonly input: Uint8Array;
  readonly thrown: unknown;
}

export interface FuzzResult {
  readonly executions: number;
  readonly seconds: number;
  /** How many kinds of outcome there were. */
  readonly outcomes: number;
  /** Inputs that brought something new, in their order. */
  readonly news: readonly Uint8Array[];
  /** The first one ends the run. */
  readonly finding: Finding | undefined;
}

/** What tells whether an input has reached new code. */
export interface Feedback {
  reset(): void;
  takeNews(): boolean;
  readonly dictionary: readonly string[];
}

export interface FuzzOptions {
  readonly seed: number;
  readonly executionsMax?: number;
  readonly msMax?: number;
  readonly feedback?: Feedback | undefined;
}

export async function fuzz(target: Target, options: FuzzOptions): Promise<FuzzResult> {
  const run = new Run(target, options, [...(await target.inputs()), ...corpusOf(target.name)]);
  try {
    return await run.result();
  } finally {
    await target.end?.();
  }
}

class Run {
  readonly #target: Target;
  readonly #options: FuzzOptions;
  readonly #random: () => number;
  readonly #mutation: Mutation;
  readonly #begin: readonly Uint8Array[];
  readonly #kept: Uint8Array[] = [];
  readonly #news: Uint8Array[] = [];
  readonly #outcomes = new Set<string>();
  readonly #startedMs = performance.now();
  readonly #bytesAtStart = process.memoryUsage.rss();
  #executions = 0;
  /** What was thrown where nobody catches it, since the last attempt. */
  #stray: { readonly thrown: unknown } | undefined;
  readonly #catchStray = (thrown: unknown) => {
    this.#stray ??= { thrown };
  };

  constructor(target: Target, options: FuzzOptions, begin: readonly Uint8Array[]) {
    this.#target = target;
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.#begin = begin;
    const words = (options.feedback?.dictionary ?? []).map(encode);
    this.#mutation = { random: this.#random, others: this.#kept, words };
  }

  async result(): Promise<FuzzResult> {
    process.on("uncaughtException", this.#catchStray).on("unhandledRejection", this.#catchStray);
    const finding = await this.#search();
    process.off("uncaughtException", this.#catchStray).off("unhandledRejection", this.#catchStray);
    return {
      executions: this.#executions,
      seconds: (performance.now() - this.#startedMs) / 1000,
      outcomes: this.#outcomes.size,
      news: this.#news,
      finding: finding && (await this.#shrunk(finding)),
    };
  }

  async #search(): Promise<Finding | undefined> {
    this.#options.feedback?.reset();
    for (const input of this.#begin) {
      const finding = await this.#attempt(input);
      if (finding !== undefined) return finding;
      if (!this.#kept.includes(input)) this.#kept.push(input);
    }
    const { executionsMax = Number.POSITIVE_INFINITY, msMax = Number.POSITIVE_INFINITY } = this.#options;
    while (this.#executions < executionsMax) {
      const input = this.#next();
      const finding = (await this.#attempt(input)) ?? this.#growth(input);
      if (finding !== undefined) return finding;
      if (!this.#isBatchOver) continue;
      // For what is thrown in a later turn.
      await new Promise(setImmediate);
      if (performance.now() - this.#startedMs > msMax) break;
    }
    return undefined;
  }

  get #isBatchOver(): boolean {
    return this.#target.isSlow === true || this.#executions % BATCH === 0;
  }

  #next(): Uint8Array {
    const kept = this.#kept;
    const isNewest = this.#random() < NEWEST_SHARE;
    const input = oneOf(isNewest ? kept.slice(-NEWEST) : kept, this.#random);
    const { mutate } = this.#target;
    // Bytes at random too: what a target makes has a form that others need not keep to.
    const isOwn = mutate !== undefined && this.#random() < 0.8;
    return isOwn ? mutate.call(this.#target, input, this.#mutation) : mutated(input, this.#mutation);
  }

  async #attempt(input: Uint8Array): Promise<Finding | undefined> {
    this.#executions++;
    const failure = (await this.#failureOf(input)) ?? this.#stray;
    this.#stray = undefined;
    if (failure === undefined) return undefined;
    return { target: this.#target.name, input, thrown: failure.thrown };
  }

  async #failureOf(input: Uint8Array): Promise<{ readonly thrown: unknown } | undefined> {
    const { feedback } = this.#options;
    try {
      const startedMs = performance.now();
      const outcome = await this.#target.run(input);
      if (performance.now() - startedMs > EXECUTION_MS_MAX) await this.#expectFast(input);
      const isOutcomeNew = !this.#outcomes.has(outcome) && this.#outcomes.size < OUTCOMES_MAX;
      if (isOutcomeNew) this.#outcomes.add(outcome);
      if (feedback?.takeNews() || isOutcomeNew) this.#remember(input);
      return undefined;
    } catch (thrown) {
      return { thrown };
    }
  }

  #remember(input: Uint8Array): void {
    this.#news.push(input);
    this.#kept.push(input);
    if (this.#kept.length > KEPT_MAX) this.#kept.splice(this.#begin.length, 1);
  }

  /** By the time of the processor: the machine may have other things to do. */
  async #expectFast(input: Uint8Array): Promise<void> {
    for (let time = 0; time < SLOW_TIMES; time++) {
      const before = process.cpuUsage();
      await this.#target.run(input);
      const { user, system } = process.cpuUsage(before);
      if ((user + system) / 1000 <= EXECUTION_MS_MAX) return;
    }
    throw new Error(`it takes longer than ${EXECUTION_MS_MAX} ms`);
  }

  #growth(input: Uint8Array): Finding | undefined {
    const hasGrown = () => process.memoryUsage.rss() - this.#bytesAtStart > GROWTH_BYTES_MAX;
    if (this.#executions % BATCH !== 0 || !hasGrown()) return undefined;
    Bun.gc(true);
    if (!hasGrown()) return undefined;
    const thrown = new Error(`the process has grown by more than ${GROWTH_BYTES_MAX} bytes`);
    return { target: this.#target.name, input, thrown };
  }

  /** The finding with an input that is as short as could be made of it. */
  async #shrunk(finding: Finding): Promise<Finding> {
    if (this.#target.isSlow === true || String(finding.thrown).includes("longer than")) return finding;
    let shortest = finding;
    let attempts = 0;
    for (let length = finding.input.length >> 1; length > 0; length >>= 1) {
      for (let start = 0; start + length <= shortest.input.length && attempts < SHRINKS_MAX; ) {
        attempts++;
        const { input } = shortest;
        const shorter = Uint8Array.from([...input.subarray(0, start), ...input.subarray(start + length)]);
        const failure = await this.#failureOf(shorter);
        if (failure !== undefined && messageOf(failure.thrown) === messageOf(finding.thrown))
          shortest = { ...finding, input: shorter, thrown: failure.thrown };
        else start += length;
      }
    }
    return shortest;
  }
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message.slice(0, 30) : String(thrown);
}
