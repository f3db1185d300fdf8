/** The runs that src/swarm/bounds.ts names can be started as they stand there, and each tells something of its bound. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { DOWNLOAD_BOUNDS, GOSSIP_BOUNDS, UPLOAD_BOUNDS } from "../../src/swarm/bounds.ts";
import { parseScenario } from "./arguments.ts";

const text = readFileSync(new URL("../../src/swarm/bounds.ts", import.meta.url), "utf8");

/** Each bound with its docstring as one line. */
const docs = [...text.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n {2}readonly (\w+): number;/g)].map(
  ([, doc, name]) => [name!, doc!.replaceAll(/\s*\n\s*\*\s?/g, " ").trim()] as const,
);

function runsIn(doc: string): string[][] {
  return [...doc.matchAll(/`([^`]*\w=[^`]*)`/g)].map(([, run]) => run!.split(" "));
}

test("every bound has a docstring of its own", () => {
  const names = [DOWNLOAD_BOUNDS, UPLOAD_BOUNDS, GOSSIP_BOUNDS].flatMap((bounds) => Object.keys(bounds));
  expect(docs.map(([name]) => name)).toEqual(names);
});

test.each(docs)("%s: names a run of the simulator, or is a safety limit", (name, doc) => {
  const runs = runsIn(doc);
  for (const run of runs) parseScenario(run);
  const isNamed = runs.some((run) => run.some((word) => word.split("=")[0]!.endsWith(`.${name}`)));
  expect(isNamed || doc.includes("safety limit") || doc.includes("R5 fixes it")).toBe(true);
});

test("a run with a name that does not exist is noticed", () => {
  expect(() => parseScenario(["leechers=8", "bounds.windowSizes=4"])).toThrow("unknown name: bounds.windowSizes");
  expect(() => parseScenario(["leechers=many"])).toThrow("not a number");
});
