/**
 * Completions of arguments: paths of this machine, and names, addresses and ids that the role knows. If the role does
 * not run, or does not answer in time, there are no completions and no error.
 */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import {
  allPagesOf,
  answerOf,
  type Connection,
  connectIfRunning,
  type PeerClient,
  peerClient,
  type TrackerClient,
  trackerClient,
} from "../admin/client.ts";
import { type Address, hostOf, portOf } from "../core/address.ts";
import type { CliContext } from "./context.ts";
import { resolvePath } from "./paths.ts";
import { dataFolderOf } from "./reach.ts";

/** The user has pressed Tab and waits. */
const PROPOSE_MS_MAX = 1000;
const PATHS_MAX = 1000;

/** stricli calls it with the context of the command that is being typed as `this`. */
type Propose = (this: CliContext, partial: string) => Promise<string[]>;

/** Files and folders; a folder ends with a slash, so that the next Tab completes inside it. */
export async function localPaths(this: CliContext, partial: string): Promise<string[]> {
  const head = partial.slice(0, partial.lastIndexOf("/") + 1);
  const tail = partial.slice(head.length);
  const folder = resolvePath(this, head);
  try {
    return readdirSync(folder)
      .filter((name) => name.startsWith(tail) && (tail !== "" || !name.startsWith(".")))
      .slice(0, PATHS_MAX)
      .map((name) => `${head}${name}${isFolder(join(folder, name)) ? "/" : ""}`)
      .toSorted();
  } catch {
    return [];
  }
}

/** These words, of which the parser keeps those that fit. */
export function wordsOf(words: readonly string[]): Propose {
  return async () => [...words];
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Names that others share. */
export const sharedNames: Propose = ofPeer(async ({ api }) => {
  const [files, { address }] = await Promise.all([
    allPagesOf((query) => api.files.$get({ query })),
    answerOf(api.status.$get()),
  ]);
  return files.filter((file) => file.address !== address).map(({ fname }) => fname);
});

export const ownNames: Propose = ofPeer(async ({ api }) =>
  (await answerOf(api.shares.$get())).map(({ fname }) => fname),
);

export const runningFetches: Propose = ofPeer(async ({ api }) =>
  (await answerOf(api.fetches.$get())).filter(({ state }) => state === "running").map(({ id }) => id),
);

export const endedFetches: Propose = ofPeer(async ({ api }) =>
  (await answerOf(api.fetches.$get()))
    .filter(({ state }) => state !== "running" && state !== "done")
    .map(({ id }) => id),
);

/** Hosts of the peers that the role knows, and ports of those at the host that was typed before. */
export const hostsOf = { tracker: ofTracker(hostsAmong(joinedPeers)), peer: ofPeer(hostsAmong(publishers)) } as const;
export const portsOf = { tracker: ofTracker(portsAmong(joinedPeers)), peer: ofPeer(portsAmong(publishers)) } as const;

type Ask<Client> = (client: Client, context: CliContext) => Promise<readonly string[]>;
type AskAddresses<Client> = (client: Client, context: CliContext) => Promise<readonly Address[]>;

function hostsAmong<Client>(ask: AskAddresses<Client>): Ask<Client> {
  return async (client, context) => (await ask(client, context)).map(hostOf);
}

function portsAmong<Client>(ask: AskAddresses<Client>): Ask<Client> {
  return async (client, context) => {
    const host = context.completing?.at(-2);
    return (await ask(client, context)).filter((address) => hostOf(address) === host).map((at) => String(portOf(at)));
  };
}

async function joinedPeers({ api }: TrackerClient): Promise<readonly Address[]> {
  return (await allPagesOf((query) => api.peers.$get({ query }))).map(({ address }) => address as Address);
}

/** The peers that share the file that was typed before, if there is one; else all publishers. */
async function publishers({ api }: PeerClient, { completing = [] }: CliContext): Promise<readonly Address[]> {
  const files = await allPagesOf((query) => api.files.$get({ query }));
  const named = files.filter(({ fname }) => completing.includes(fname));
  return (named.length > 0 ? named : files).map(({ address }) => address as Address);
}

function ofTracker(ask: Ask<TrackerClient>): Propose {
  return propose("tracker", async (connection, context) => ask(trackerClient(connection), context));
}

function ofPeer(ask: Ask<PeerClient>): Propose {
  return propose("peer", async (connection, context) => ask(peerClient(connection), context));
}

function propose(role: "tracker" | "peer", ask: Ask<Connection>): Propose {
  return async function (partial) {
    const answer = async () => {
      const connection =
        this.session?.connection ?? (await connectIfRunning(role, dataFolderOf(this, typedFlags(this))));
      return connection === undefined ? [] : ask(connection, this);
    };
    const proposed = await Promise.race([answer().catch(() => []), Bun.sleep(PROPOSE_MS_MAX).then(() => [])]);
    return [...new Set(proposed)].filter((text) => text.startsWith(partial)).toSorted();
  };
}

/** `--data DIR` or `--data=DIR` among the arguments so far. */
function typedFlags({ completing = [] }: CliContext): { data?: string } {
  const at = completing.findIndex((arg) => /^--data(?:=|$)/.test(arg));
  const data = completing[at]?.split("=", 2)[1] ?? completing[at + 1];
  return at < 0 || data === undefined || data === "" ? {} : { data };
}
