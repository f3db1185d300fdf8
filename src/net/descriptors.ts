/**
 * How many connections the process may have open. A listener without free descriptors is woken again and again for each
 * connection in its backlog, and the process can open no file. The runtime has already raised the soft limit to the
 * hard one.
 */
import * as v from "valibot";

/** Where the limit is unknown: the usual soft limit. */
const DESCRIPTORS_ASSUMED = 1024;

const reportSchema = v.object({
  userLimits: v.object({ open_files: v.object({ soft: v.union([v.number(), v.literal("unlimited")]) }) }),
});

/** `aim`, or this share of the process's descriptors if that is less. */
export function connectionsWithin(aim: number, share: number): number {
  return Math.min(aim, Math.floor(descriptorsMax() * share));
}

let known: number | undefined;

/** Cached, since the report is slow. */
function descriptorsMax(): number {
  known ??= readDescriptorsMax();
  return known;
}

function readDescriptorsMax(): number {
  const report = v.safeParse(reportSchema, process.report?.getReport());
  if (!report.success) return DESCRIPTORS_ASSUMED;
  const { soft } = report.output.userLimits.open_files;
  return soft === "unlimited" ? Number.POSITIVE_INFINITY : soft;
}
