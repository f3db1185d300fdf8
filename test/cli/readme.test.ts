/**
 * The tables of src/cli/README.md name the fields that the commands answer with, in their order; that of the README has
 * the exit codes.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type * as v from "valibot";
import { DashboardSchema } from "../../src/admin/base-app.ts";
import { errorTable } from "../../src/core/errors.ts";
import { FileInfoSchema } from "../../src/core/model.ts";
import {
  ConnectedSchema,
  FetchProgressSchema,
  FetchReceiptSchema,
  PeerStatusSchema,
  PublishedSchema,
  RateLimitsSchema,
  SourceShareSchema,
  UnpublishedSchema,
} from "../../src/peer/types.ts";
import {
  ChunkInfoSchema,
  InvitedSchema,
  MemberInfoSchema,
  PeerInfoSchema,
  PingResultSchema,
  SwarmInfoSchema,
  TrackerStatusSchema,
} from "../../src/tracker/types.ts";

const text = readFileSync(join(import.meta.dir, "../../src/cli/README.md"), "utf8");

const schemaOf: Readonly<Record<string, v.GenericSchema | readonly string[]>> = {
  "list-files, discover": FileInfoSchema,
  "list-peers": PeerInfoSchema,
  "list-chunkinfo": ChunkInfoSchema,
  ping: PingResultSchema,
  "tracker status": TrackerStatusSchema,
  "tracker start (at its prompt, or as a line of its input)": ["address", "invitation"],
  "swarm create, join, accept; also a row of swarm show": [
    "swarm",
    "role",
    "id",
    "expires",
    "authority",
    "trackers",
    "data_folder",
    "name",
  ],
  "swarm show at a tracker's prompt": SwarmInfoSchema,
  "swarm invites; also an invitation of invite": InvitedSchema,
  "swarm members": MemberInfoSchema,
  "swarm approve": ["id", "name"],
  "swarm revoke": ["id", "name", "invitation"],
  "swarm request": ["request"],
  "swarm sign": ["certificate"],
  "swarm leave": ["swarm", "told"],
  "peer status": PeerStatusSchema,
  connect: ConnectedSchema,
  publish: PublishedSchema,
  unpublish: UnpublishedSchema,
  "fetch: progress; also a row of list-fetches, and what cancel and retry answer": FetchProgressSchema,
  "fetch: receipt": FetchReceiptSchema,
  "fetch: a source": SourceShareSchema,
  limits: RateLimitsSchema,
  dashboard: DashboardSchema,
  "an entry of the log": ["time", "level", "role", "message"],
};

const sections = new Map(
  text
    .split(/^#+ /m)
    .map((section) => [section.slice(0, section.indexOf("\n")), section] as const)
    .filter(([, section]) => section.includes("| field")),
);

test("every table is of a command, and every command has its table", () => {
  expect([...sections.keys()]).toEqual(Object.keys(schemaOf));
});

function entriesOf(schema: unknown): object {
  return (schema as { entries: object }).entries;
}

test.each(Object.entries(schemaOf))("%s", (heading, schema) => {
  const documented = [...sections.get(heading)!.matchAll(/^\| `(\w+)` +\|/gm)].map(([, name]) => name!);
  expect(documented).toEqual(Array.isArray(schema) ? schema : Object.keys(entriesOf(schema)));
});

test("the exit codes of the README are those of the error table", () => {
  const readme = readFileSync(join(import.meta.dir, "../../README.md"), "utf8");
  const documented = [...readme.matchAll(/^\| (\d+) +\| `(\w+)` +\|/gm)].map(([, code, name]) => [name, Number(code)]);
  const expected = Object.entries(errorTable).map(([name, { exitCode }]) => [name, exitCode]);
  expect(expected).toEqual(expect.arrayContaining(documented));
  expect(documented.map(([, code]) => code)).toEqual([...new Set(expected.map(([, code]) => code))]);
});
