/** Counters and gauges in Prometheus' text format. */
import { VERSION } from "../core/version.ts";

export interface Metric {
  readonly type: "gauge" | "counter";
  readonly help: string;
  readonly value: number;
}
/** By name, as Prometheus' conventions have it: unit last, `_total` for counters. */
export type Metrics = Readonly<Record<`p2pfs_${string}`, Metric>>;

export function formatMetrics(metrics: Metrics): string {
  const build = { type: "gauge", help: "Always 1; the label says which version runs.", value: 1 } as const;
  const memory = { type: "gauge", help: "Resident memory.", value: process.memoryUsage.rss() } as const;
  const lines = [
    ...formatMetric("p2pfs_build_info", build, `{version="${VERSION}"}`),
    ...formatMetric("process_resident_memory_bytes", memory),
    ...Object.entries(metrics).flatMap(([name, metric]) => formatMetric(name, metric)),
  ];
  return `${lines.join("\n")}\n`;
}

function formatMetric(name: string, { type, help, value }: Metric, labels = ""): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, `${name}${labels} ${value}`];
}
