/** One definition of a command: every route has a spelling in the shell, every spelling a route and a line in the README. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { RouteMap } from "@stricli/core";
import type { CliContext } from "../../src/cli/context.ts";
import { peerCommands, peerShellCommands } from "../../src/cli/peer-commands.ts";
import { swarmCommands } from "../../src/cli/swarm-commands.ts";
import { trackerCommands, trackerShellCommands } from "../../src/cli/tracker-commands.ts";
import { openForAll } from "../support/closing.ts";
import { AdminRoles, requestAs } from "../support/roles.ts";

let dataOf: Record<"tracker" | "peer", string>;

openForAll(async () => {
  const roles = await AdminRoles.open();
  const peer = await roles.addPeer("peer");
  dataOf = { tracker: roles.trackerData, peer: peer.data };
});

async function routesOf(role: "tracker" | "peer"): Promise<string[]> {
  const response = await requestAs(dataOf[role], "/api/openapi.json");
  const { paths } = (await response.json()) as {
    paths: Record<string, Record<string, { operationId: string; tags: string[] }>>;
  };
  const operations = Object.values(paths).flatMap((methods) => Object.values(methods));
  // The other routes are views, which only the page calls.
  return operations.filter(({ tags }) => !tags.includes("view")).map(({ operationId }) => operationId);
}

/** With those of groups, `swarm_invite` say. */
function spellingsOf(commands: RouteMap<CliContext>): string[] {
  return commands
    .getAllEntries()
    .filter(({ hidden }) => !hidden)
    .flatMap(({ name, target }) => {
      const spelled = name["convert-camel-to-kebab"].replaceAll("-", "_");
      return "getAllEntries" in target ? spellingsOf(target).map((inner) => `${spelled}_${inner}`) : [spelled];
    });
}

test.each([
  ["tracker", trackerShellCommands(), trackerCommands()],
  ["peer", peerShellCommands(), peerCommands()],
] as const)("routes of the %s and commands of its shell are the same", async (role, shell, oneShot) => {
  const routes = (await routesOf(role)).toSorted();
  expect(spellingsOf(shell).toSorted()).toEqual(routes);
  // `start` runs a role; the tracker's shell has it as well, to listen. The commands of swarms are a group of their own.
  const own = routes.filter((name) => !name.startsWith("swarm_"));
  expect(spellingsOf(oneShot).toSorted()).toEqual([...new Set([...own, "start"])].toSorted());
  const ofSwarms = spellingsOf(swarmCommands()).map((name) => `swarm_${name}`);
  expect(ofSwarms).toEqual(expect.arrayContaining(routes.filter((name) => name.startsWith("swarm_"))));
});

test.each([
  ["tracker", trackerCommands()],
  ["peer", peerCommands()],
  ["swarm", swarmCommands()],
] as const)("every command of p2pfs %s is explained by examples", (group, commands) => {
  for (const { target, name, hidden } of commands.getAllEntries()) {
    if (hidden) continue;
    const spelled = name["convert-camel-to-kebab"];
    expect(`${spelled}: ${target.fullDescription}`).toContain(`\nEXAMPLES\n  p2pfs ${group} ${spelled}`);
  }
});

/** The commands that the README's table of this role names. */
function documentedCommands(role: "tracker" | "peer" | "swarm"): string[] {
  const readme = readFileSync(join(import.meta.dir, "../../README.md"), "utf8");
  const table = readme.slice(readme.indexOf(`| \`p2pfs ${role} …\``)).split("\n\n", 1)[0]!;
  const cells = table
    .split("\n")
    .slice(2)
    .map((line) => line.split(" | ", 1)[0]!);
  return cells.flatMap((cell) => [...cell.matchAll(/`([\w-]+)[^`]*`/g)].map(([, name]) => name!));
}

test.each([
  ["tracker", trackerCommands()],
  ["peer", peerCommands()],
  ["swarm", swarmCommands()],
] as const)("the README lists the commands of the %s", (role, commands) => {
  const documented = documentedCommands(role).map((name) => name.replaceAll("-", "_"));
  expect(documented.toSorted()).toEqual(spellingsOf(commands).toSorted());
});
