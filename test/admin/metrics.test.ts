/** The metrics of both roles, in the format of Prometheus and by its conventions. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { answerOf, linesOf } from "../../src/admin/client.ts";
import { Metrics } from "../../src/admin/metrics.ts";
import { openForAll } from "../support/closing.ts";
import { AdminRoles, type PeerWithAdmin, requestAs } from "../support/roles.ts";

let roles: AdminRoles;
let seeder: PeerWithAdmin;
let leecher: PeerWithAdmin;

openForAll(async () => {
  roles = await AdminRoles.open();
  seeder = await roles.addPeer("seeder");
  leecher = await roles.addPeer("leecher");
  await roles.publish(seeder, "a", new Uint8Array(300_000));
  await Array.fromAsync(linesOf(leecher.client.api.fetches.$post({ json: { what: "a" } })));
  await answerOf(roles.tracker.api.status.$get());
});

async function metricsOf(data: string): Promise<string> {
  const response = await requestAs(data, "/metrics");
  expect(response.headers.get("Content-Type")).toStartWith("text/plain; version=0.0.4");
  return response.text();
}

/** What promtool would find, and where it is installed what it finds. */
async function faultsOf(text: string): Promise<string[]> {
  const faults: string[] = [];
  const typeOf = new Map<string, string>();
  for (const line of text.trimEnd().split("\n")) {
    const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
    const sample = /^([a-z_:][a-z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)$/.exec(line);
    if (type !== null) {
      const [, name, kind] = type as unknown as [string, string, string];
      if (typeOf.has(name)) faults.push(`${name} stands twice`);
      typeOf.set(name, kind);
      if ((kind === "counter") !== name.endsWith("_total")) faults.push(`${name}: _total is for counters`);
      if (/_(?:ms|milliseconds|kb|mb|kilobytes)(?:_|$)/.test(name)) faults.push(`${name} is not in a base unit`);
    } else if (line.startsWith("# HELP ")) {
      if (!line.endsWith(".")) faults.push(`no sentence: ${line}`);
    } else if (sample === null || Number.isNaN(Number(sample[3]))) {
      faults.push(`cannot be read: ${line}`);
    } else {
      const family = sample[1]!.replace(/_(?:bucket|sum|count)$/, "");
      if (!typeOf.has(sample[1]!) && typeOf.get(family) !== "histogram") faults.push(`without a type: ${line}`);
    }
  }
  const promtool = Bun.which("promtool");
  if (promtool === null) return faults;
  const child = Bun.spawn([promtool, "check", "metrics"], { stdin: new Blob([text]), stdout: "pipe", stderr: "pipe" });
  return [...faults, ...(await child.stderr.text()).split("\n").filter((line) => line !== "")];
}

describe("the metrics", () => {
  test.each(["tracker", "seeder", "leecher"])("of the %s are valid for Prometheus", async (name) => {
    expect(await faultsOf(await metricsOf(join(roles.folder, name)))).toEqual([]);
  });

  test("have the registry and the requests of peers by type, with their durations", async () => {
    const text = await metricsOf(roles.trackerData);
    for (const line of [
      /^p2pfs_peers 2$/m,
      /^p2pfs_files 1$/m,
      /^p2pfs_lease_expiries_total 0$/m,
      /^p2pfs_peer_joins_total 2$/m,
      /^p2pfs_tracker_request_duration_seconds_count\{type="REQUEST_PUBLISH",result="granted"\} 1$/m,
      /^p2pfs_http_request_duration_seconds_count\{method="GET",route="\/api\/status",status="200"\} \d+$/m,
      /^p2pfs_event_loop_lag_seconds \d/m,
      /^process_resident_memory_bytes \d{7,}$/m,
    ])
      expect(text).toMatch(line);
  });

  test("have chunks and bytes by result", async () => {
    const text = await metricsOf(leecher.data);
    expect(text).toMatch(/^p2pfs_fetched_chunks_total\{result="verified"\} 5$/m);
    expect(text).toMatch(/^p2pfs_fetched_chunks_total\{result="rejected"\} 0$/m);
    expect(text).toMatch(/^p2pfs_fetched_bytes_total 300000$/m);
    expect(text).toMatch(/^p2pfs_fetches_ended_total\{state="done"\} 1$/m);
    expect(await metricsOf(seeder.data)).toMatch(/^p2pfs_sent_bytes_total 300000$/m);
  });
});

describe("a Metrics object", () => {
  test("counts in cumulative buckets", () => {
    const metrics = new Metrics();
    const histogram = metrics.histogram("a_seconds", "A.");
    for (const seconds of [0.0001, 0.002, 0.002, 9]) histogram.observe(seconds, { way: 'x"\\\n' });
    const text = metrics.format();
    expect(text).toContain('a_seconds_bucket{way="x\\"\\\\\\n",le="0.0005"} 1\n');
    expect(text).toContain('le="0.0025"} 3\n');
    expect(text).toContain('le="5"} 3\n');
    expect(text).toContain('le="+Inf"} 4\n');
    expect(text).toContain('a_seconds_sum{way="x\\"\\\\\\n"} 9.0041\n');
  });

  test("bounds the number of labels", () => {
    const metrics = new Metrics();
    const counter = metrics.counter("a_total", "A.");
    for (let index = 0; index < 2000; index++) counter.add(1, { index: String(index) });
    expect(metrics.format().split("\n").length).toBeLessThan(600);
  });
});

test("the check of these tests finds faults", async () => {
  for (const text of [
    "# HELP a A.\n# TYPE a counter\na 1\n",
    "# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n",
    "# HELP a_ms A.\n# TYPE a_ms gauge\na_ms 1\n",
    "# HELP a A.\n# TYPE a gauge\na x\n",
    "b 1\n",
  ])
    expect(await faultsOf(text)).not.toEqual([]);
});
