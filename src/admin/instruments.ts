/**
 * What observes a role: the feed of its events, its metrics, the lag of its event loop. Made before the role, so that
 * they cover its start, and closed after it.
 */
import type { MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import { type Log, textOf } from "../core/log.ts";
import { SECOND_MS } from "../core/units.ts";
import { VERSION } from "../core/version.ts";
import { EventFeed } from "./event-feed.ts";
import { LoopLag } from "./loop-lag.ts";
import { Metrics } from "./metrics.ts";

export class Instruments {
  readonly metrics = new Metrics();
  readonly lag = new LoopLag();
  readonly feed: EventFeed;
  readonly #samplers = new Set<() => void>();
  /** The role's log; ignores everything until `logTo`. */
  log: Log = () => undefined;

  constructor() {
    this.feed = new EventFeed({
      sample: () => {
        for (const sample of this.#samplers) sample();
      },
    });
    addProcessMetrics(this.metrics, this);
  }

  /** Calls this function every tick while the feed has readers. */
  readonly sampleBy = (sample: () => void): void => {
    this.#samplers.add(sample);
  };

  /** Returns a log that writes to this one, counts, and emits warnings and errors as events too. */
  logTo(log: Log): Log {
    const entries = this.metrics.counter(
      "p2pfs_log_messages_total",
      "Messages that the role logged, by level, written or not.",
    );
    this.log = (level, message, fields) => {
      log(level, message, fields);
      entries.add(1, { level });
      if (level === "warn" || level === "error")
        this.feed.emit({ type: "log", level, message: textOf(message, fields) });
    };
    return this.log;
  }

  close(): void {
    this.lag.stop();
  }
}

/** Measures the time from a request of the endpoint to the beginning of its answer. */
export function observeHttp({ metrics }: Instruments): MiddlewareHandler {
  const durations = metrics.histogram(
    "p2pfs_http_request_duration_seconds",
    "Time from a request to the beginning of its answer, by route.",
  );
  return async (context, next) => {
    const receivedMs = performance.now();
    await next();
    const { method } = context.req;
    const route = routePath(context, -1);
    const status = String(context.res.status);
    durations.observe((performance.now() - receivedMs) / SECOND_MS, { method, route, status });
  };
}

function addProcessMetrics(metrics: Metrics, { lag, feed }: Pick<Instruments, "lag" | "feed">): void {
  const startedSeconds = (Date.now() - process.uptime() * SECOND_MS) / SECOND_MS;
  metrics.read("p2pfs_build_info", "gauge", "Always 1; the label says which version runs.", () => [
    [{ version: VERSION }, 1],
  ]);
  metrics.read(
    "p2pfs_event_loop_lag_seconds",
    "gauge",
    "How late the event loop was, at worst, in the last 5 s.",
    () => lag.worstMs / SECOND_MS,
  );
  metrics.read("p2pfs_event_streams", "gauge", "Streams of events that are open.", () => feed.readerCount);
  metrics.read("process_resident_memory_bytes", "gauge", "Resident memory.", () => process.memoryUsage.rss());
  metrics.read("process_start_time_seconds", "gauge", "Start of the process, since 1970.", () => startedSeconds);
  metrics.read("process_cpu_seconds_total", "counter", "Processor time of the process.", () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
}
