/** Private swarms of processes, for the benchmarks: the twins of what `Roles` starts without one. */
import { join } from "node:path";
import { lastingPort } from "./ports.ts";
import type { Role, Roles } from "./roles.ts";

/** The tracker of a new swarm. */
export async function privateTracker(roles: Roles, name = "tracker"): Promise<Role> {
  await roles.ask(["swarm", "create", "bench", "--data", join(roles.folder, name)]);
  const start = ["tracker", "start", "127.0.0.1", `${await lastingPort()}`, "--admin", "127.0.0.1:0"];
  return roles.start(name, start, ({ address }) => address);
}

/** Makes the data folder of this name a member's; gives its path. */
export async function joinAs(roles: Roles, name: string, tracker: Role): Promise<string> {
  const data = join(roles.folder, name);
  await roles.ask(["swarm", "join", await invite(roles, tracker), "--name", name, "--data", data]);
  return data;
}

/** A member's peer. */
export async function member(roles: Roles, name: string, tracker: Role, flags: readonly string[] = []): Promise<Role> {
  await joinAs(roles, name, tracker);
  return roles.start(name, ["peer", "start", "--listen", "127.0.0.1:0", ...flags], ({ connected, address }) =>
    connected === true ? address : null,
  );
}

/** The word that lets one machine in. */
export async function invite(roles: Roles, tracker: Role): Promise<string> {
  const answer = await roles.ask(["swarm", "invite", "--json", "--data", tracker.data]);
  return (JSON.parse(answer) as { token: string }).token;
}
