/**
 * Counters, gauges and histograms in Prometheus' text format. Names follow its conventions: base units, the unit last,
 * `_total` for counters. Shorter than the use of a library would be; `test/admin/metrics.test.ts` checks the output
 * against the format.
 */

/** Bounds of the buckets of a latency, in seconds: from one turn of the event loop to what R5 allows. */
const LATENCY_BOUNDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5] as const;
/** Label sets of one metric. Further ones are not counted, so that unusual requests cannot fill the memory. */
const SERIES_MAX = 500;

export type Labels = Readonly<Record<string, string>>;

interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  lines(): Iterable<string>;
}

/** A value for each label set. */
class Series<Value> {
  readonly #byLabels = new Map<string, Value>();

  of(labels: Labels, initial: () => Value): Value | undefined {
    const key = formatLabels(labels);
    const known = this.#byLabels.get(key);
    if (known !== undefined) return known;
    if (this.#byLabels.size >= SERIES_MAX) return undefined;
    const made = initial();
    this.#byLabels.set(key, made);
    return made;
  }

  entries(): Iterable<[labels: string, value: Value]> {
    return this.#byLabels.entries();
  }
}

export class Counter {
  readonly #series = new Series<{ value: number }>();

  add(amount: number, labels: Labels = {}): void {
    const counter = this.#series.of(labels, () => ({ value: 0 }));
    if (counter !== undefined) counter.value += amount;
  }

  *lines(name: string): Generator<string> {
    for (const [labels, { value }] of this.#series.entries()) yield `${name}${braced(labels)} ${value}`;
  }
}

export class Histogram {
  readonly #series = new Series<{ readonly counts: number[]; sum: number; count: number }>();

  /** Counts one duration. */
  observe(seconds: number, labels: Labels = {}): void {
    const histogram = this.#series.of(labels, () => ({ counts: LATENCY_BOUNDS.map(() => 0), sum: 0, count: 0 }));
    if (histogram === undefined) return;
    histogram.sum += seconds;
    histogram.count++;
    const bucket = LATENCY_BOUNDS.findIndex((bound) => seconds <= bound);
    if (bucket >= 0) histogram.counts[bucket]!++;
  }

  *lines(name: string): Generator<string> {
    for (const [labels, { counts, sum, count }] of this.#series.entries()) {
      const before = labels === "" ? "" : `${labels},`;
      let upTo = 0;
      for (const [index, bound] of LATENCY_BOUNDS.entries()) {
        upTo += counts[index]!;
        yield `${name}_bucket{${before}le="${bound}"} ${upTo}`;
      }
      yield `${name}_bucket{${before}le="+Inf"} ${count}`;
      yield `${name}_sum${braced(labels)} ${sum}`;
      yield `${name}_count${braced(labels)} ${count}`;
    }
  }
}

/** The metrics of one role. */
export class Metrics {
  readonly #families: Family[] = [];

  counter(name: `${string}_total`, help: string): Counter {
    const counter = new Counter();
    this.#families.push({ name, help, type: "counter", lines: () => counter.lines(name) });
    return counter;
  }

  histogram(name: `${string}_seconds`, help: string): Histogram {
    const histogram = new Histogram();
    this.#families.push({ name, help, type: "histogram", lines: () => histogram.lines(name) });
    return histogram;
  }

  /** A metric that is computed when the metrics are read: one value, or one for each label set. */
  read(
    name: string,
    type: "counter" | "gauge",
    help: string,
    value: () => number | readonly (readonly [Labels, number])[],
  ): void {
    this.#families.push({
      name,
      help,
      type,
      *lines() {
        const read = value();
        const series = typeof read === "number" ? [[{}, read] as const] : read;
        for (const [labels, each] of series) yield `${name}${braced(formatLabels(labels))} ${each}`;
      },
    });
  }

  format(): string {
    const lines = this.#families.flatMap(({ name, help, type, lines: all }) => [
      `# HELP ${name} ${help}`,
      `# TYPE ${name} ${type}`,
      ...all(),
    ]);
    return `${lines.join("\n")}\n`;
  }
}

function formatLabels(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${value.replace(/[\\"\n]/g, (sign) => (sign === "\n" ? "\\n" : `\\${sign}`))}"`)
    .join(",");
}

function braced(labels: string): string {
  return labels === "" ? "" : `{${labels}}`;
}
