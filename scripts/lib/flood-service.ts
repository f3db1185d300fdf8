/**
 * What is flooded: a private swarm's tracker with many names, and a member's peer that shares a file, in a process of
 * their own. It prints a line of JSON (`FloodedService`) and runs until it is killed. Arguments: its folder, and how many
 * names are published.
 */
import { Database } from "bun:sqlite";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Address, hostOf, portOf } from "../../src/core/address.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { DAY_MS, MiB } from "../../src/core/units.ts";
import { parseInvitation } from "../../src/identity/invitation.ts";
import { createPrivateKeyPem } from "../../src/identity/keys.ts";
import { joinSwarm } from "../../src/peer/join-swarm.ts";
import { Peer } from "../../src/peer/peer.ts";
import { newSwarm } from "../../src/tracker/private-swarm.ts";
import { Tracker } from "../../src/tracker/tracker.ts";
import { makeFile } from "./measure.ts";

export interface FloodedService {
  readonly tracker: Address;
  readonly peer: Address;
  /** By which any number of members join. */
  readonly token: string;
  /** What the peer shares. */
  readonly content: ContentId;
}

const SIZE = 8 * MiB;
const MEMBERS = 64;
const NAMES_AT_ONCE = 20_000;
const ANYWHERE = { host: "127.0.0.1", port: 0 };

const [path = ".", names = "0"] = process.argv.slice(2);
const databasePath = join(path, "registry.sqlite");
const log = () => {};

const tracker = await Tracker.open({
  dataFolder: { path, databasePath },
  swarm: {
    ...(await newSwarm("bench")),
    keep: () => {},
    askRenewal: () => Promise.reject(new Error("there is no other tracker")),
  },
  log,
});
const at = await tracker.start(ANYWHERE);
const invite = { uses: MEMBERS, for_ms: DAY_MS, role: "peer", approve: false, label: "" } as const;
const { token } = await tracker.membership.invite(invite);

const membership = await joinSwarm({
  invitation: parseInvitation(token),
  key: await createPrivateKeyPem(),
  name: "seeder",
});
const filesFolder = join(path, "files");
mkdirSync(filesFolder, { recursive: true });
const peer = await Peer.open({
  dataFolder: undefined,
  filesFolder,
  listen: ANYWHERE,
  advertise: undefined,
  tracker: { host: hostOf(at), port: portOf(at) },
  membership,
  insecure: false,
  log,
});
const file = join(filesFolder, "source.bin");
makeFile(file, SIZE);
const { content_id: content } = await peer.publish({ path: file, lname: file, fname: "source.bin" });
publishMany(Number(names));
const service: FloodedService = { tracker: at, peer: peer.address!, token, content };
console.log(JSON.stringify(service));

/** Names of the peer that has published already, past its connection: one by one they would take minutes. */
function publishMany(count: number): void {
  const database = new Database(databasePath);
  database.run("PRAGMA busy_timeout = 10000");
  const insert = database.prepare(
    `INSERT INTO publications (peer, fname, fold, content, path, session)
     WITH RECURSIVE numbers (number) AS (SELECT ?1 UNION ALL SELECT number + 1 FROM numbers WHERE number < ?2)
     SELECT p.peer, 'name-' || number, 'name-' || number, p.content, 'name-' || number, p.session
     FROM numbers, (SELECT * FROM publications WHERE fold = 'source.bin') p`,
  );
  for (let first = 1; first <= count; first += NAMES_AT_ONCE)
    insert.run(first, Math.min(count, first + NAMES_AT_ONCE - 1));
  database.close();
}
