/** A simulated run as people read it: figures as text, completion over time as a drawing. */
import { SECOND_MS } from "../../src/core/units.ts";
import type { SimResult } from "./swarm.ts";

const WIDTH = 720;
const HEIGHT = 360;
const MARGIN = 48;
const AVAILABILITY_COLUMNS = 64;
const SHADES = " .:-=+*#%@";

function seconds(ms: number | undefined): string {
  return ms === undefined ? "-" : `${(ms / SECOND_MS).toFixed(2)} s`;
}

function percent(part: number, whole: number): string {
  return `${((100 * part) / Math.max(whole, 1)).toFixed(2)} %`;
}

function quantile(ascending: readonly number[], share: number): number | undefined {
  return ascending[Math.min(Math.floor(share * ascending.length), ascending.length - 1)];
}

/** Last finisher against the bound; NaN where nobody finished. */
export function ratioOf(result: SimResult): number {
  return (result.completionMs.at(-1) ?? Number.NaN) / result.boundMs;
}

export function textReport(result: SimResult, realMs: number): string {
  const { boundMs, completionMs, deliveries, requests, scenario } = result;
  const rows: [string, string][] = [
    ["seed", `${scenario.seed}`],
    ["leechers done / not done", `${completionMs.length} / ${result.incomplete.length}`],
    ["bound (Kumar and Ross)", seconds(boundMs)],
    ["first, median, last", [0, 0.5, 1].map((share) => seconds(quantile(completionMs, share))).join(", ")],
    ["last / bound", ratioOf(result).toFixed(3)],
    ["seeders sent", `${result.seederCopies.toFixed(3)} copies`],
    ["chunks delivered", `${deliveries}`],
    ["duplicates", percent(result.duplicates, deliveries)],
    ["asked for again (N2)", percent(result.rerequests, requests)],
    ["rejected", `${result.rejected}`],
    ["delivered a second of real time", `${Math.round((deliveries / realMs) * SECOND_MS)}`],
    ["trace", result.traceHash.toString(16).padStart(8, "0")],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
  return [
    ...lines,
    "",
    "copies of each chunk among the leechers, from first to last chunk:",
    availability(result),
  ].join("\n");
}

/** One character per group of chunks: the share of leechers that hold it. */
function availability({ peers, scenario }: SimResult): string {
  const leechers = peers.filter((peer) => !peer.options.isSeeder);
  const columns = Math.min(AVAILABILITY_COLUMNS, scenario.chunkCount);
  const shares = Array.from({ length: columns }, (_, column) => {
    const chunk = Math.floor((column * scenario.chunkCount) / columns);
    return leechers.filter((peer) => peer.have.has(chunk)).length / leechers.length;
  });
  return `[${shares.map((share) => SHADES[Math.round(share * (SHADES.length - 1))]).join("")}]`;
}

/** Completion over time: chunks held (line), peers done (steps) and the bound (dashes). */
export function svgReport(result: SimResult): string {
  const { boundMs, completionMs, incomplete, progress } = result;
  const endMs = Math.max(boundMs, completionMs.at(-1) ?? 0, progress.at(-1)?.ms ?? 0) * 1.05;
  const x = (ms: number) => (MARGIN + (ms / endMs) * (WIDTH - 2 * MARGIN)).toFixed(1);
  const y = (share: number) => (HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN)).toFixed(1);
  const total = completionMs.length + incomplete.length;
  const held = progress.map(({ ms, share }) => `${x(ms)},${y(share)}`).join(" ");
  const done = completionMs.map((ms, index) => `H${x(ms)}V${y((index + 1) / total)}`).join("");
  const ticks = Array.from({ length: 6 }, (_, index) => (index * endMs) / 5);
  const labels = ticks.map((ms) => `<text x="${x(ms)}" y="${HEIGHT - MARGIN + 18}">${seconds(ms)}</text>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="11" text-anchor="middle">
<rect width="100%" height="100%" fill="white"/>
<path d="M${MARGIN},${MARGIN}V${HEIGHT - MARGIN}H${WIDTH - MARGIN}" fill="none" stroke="gray"/>
<line x1="${x(boundMs)}" x2="${x(boundMs)}" y1="${MARGIN}" y2="${HEIGHT - MARGIN}" stroke="firebrick" stroke-dasharray="4"/>
<text x="${x(boundMs)}" y="${MARGIN - 8}" fill="firebrick">bound</text>
<polyline points="${held}" fill="none" stroke="steelblue" stroke-width="2"/>
<path d="M${x(0)},${y(0)}${done}" fill="none" stroke="seagreen" stroke-width="2"/>
<text x="${MARGIN}" y="${MARGIN - 8}" fill="steelblue">chunks held</text>
<text x="${MARGIN + 90}" y="${MARGIN - 8}" fill="seagreen">peers done</text>
${labels.join("\n")}
</svg>
`;
}
