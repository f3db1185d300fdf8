/**
 * A tracker of a new swarm in a process of its own, which lets machines in from one source IP as fast as it can. It
 * prints an invitation and runs until it is killed. Argument: the folder of its database.
 */
import { join } from "node:path";
import { MEMBERS_MAX } from "../../src/core/limits.ts";
import { DAY_MS } from "../../src/core/units.ts";
import { newSwarm } from "../../src/tracker/private-swarm.ts";
import { Tracker } from "../../src/tracker/tracker.ts";

const UNBOUNDED = { perSecond: 100_000, burst: 100_000 };

const [path = "."] = process.argv.slice(2);
const tracker = await Tracker.open({
  dataFolder: { path, databasePath: join(path, "registry.sqlite") },
  swarm: {
    ...(await newSwarm("bench")),
    keep: () => {},
    askRenewal: () => Promise.reject(new Error("there is no other tracker")),
  },
  joinsPerSource: UNBOUNDED,
  greetingRates: { inAll: UNBOUNDED, perSource: UNBOUNDED, perMember: UNBOUNDED },
  log: () => {},
});
await tracker.start({ host: "127.0.0.1", port: 0 });
const invite = { uses: MEMBERS_MAX - 1, for_ms: DAY_MS, role: "peer", approve: false, label: "" } as const;
console.log((await tracker.membership.invite(invite)).token);
