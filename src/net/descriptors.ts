/**
 * How many connections the process may have open. Whoever takes more than the system has descriptors for is woken for
 * each connection that waits, again and again, and can open no file any more. The runtime has raised the soft limit to
 * the hard one by the time that this is asked.
 */
import * as v from "valibot";

/** Listeners, databases, readers, part files and the endpoint need descriptors as well; they get the other half. */
const SHARE_OF_CONNECTIONS = 0.5;
/** Where the system does not tell its limit; the usual soft limit. */
const DESCRIPTORS_ASSUMED = 1024;

const reportSchema = v.object({
  userLimits: v.object({ open_files: v.object({ soft: v.union([v.number(), v.literal("unlimited")]) }) }),
});

/** At most `aim`, and no more than fit the limit on descriptors. */
export function connectionsWithin(aim: number): number {
  return Math.min(aim, Math.floor(descriptorsMax() * SHARE_OF_CONNECTIONS));
}

function descriptorsMax(): number {
  const report = v.safeParse(reportSchema, process.report?.getReport());
  if (!report.success) return DESCRIPTORS_ASSUMED;
  const { soft } = report.output.userLimits.open_files;
  return soft === "unlimited" ? Number.POSITIVE_INFINITY : soft;
}
