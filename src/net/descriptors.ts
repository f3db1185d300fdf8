/**
 * How many connections the process may have open. Whoever takes more than the system has descriptors for is woken for
 * each connection that waits, again and again, and can open no file any more. The runtime has raised the soft limit to
 * the hard one by the time that this is asked.
 */
import * as v from "valibot";

/** Where the system does not tell its limit; the usual soft limit. */
const DESCRIPTORS_ASSUMED = 1024;

const reportSchema = v.object({
  userLimits: v.object({ open_files: v.object({ soft: v.union([v.number(), v.literal("unlimited")]) }) }),
});

/** At most `aim`, and no more than this share of the descriptors that the process may have. */
export function connectionsWithin(aim: number, share: number): number {
  return Math.min(aim, Math.floor(descriptorsMax() * share));
}

let known: number | undefined;

/** Asked once: the report takes a while. */
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
