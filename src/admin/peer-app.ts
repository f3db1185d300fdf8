/** The peer's commands as routes. */

import { lookup } from "node:dns/promises";
import { statSync } from "node:fs";
import * as v from "valibot";
import { formatHostPort, type HostPort } from "../core/address.ts";
import { P2pfsError } from "../core/errors.ts";
import { FileInfoSchema, PathTextSchema } from "../core/model.ts";
import type { FetchJob } from "../peer/fetch-job.ts";
import type { Peer } from "../peer/peer.ts";
import {
  ConnectedSchema,
  type FetchEvent,
  type FetchProgress,
  FetchProgressSchema,
  type FetchReceipt,
  FetchReceiptSchema,
  PeerStatusSchema,
  type Published,
  PublishedSchema,
  type PublishProgress,
  PublishProgressSchema,
  RateLimitsChangeSchema,
  RateLimitsSchema,
  UnpublishedSchema,
} from "../peer/types.ts";
import { addFixedPaths, answerShutdown, guardedApp, type RoleAppOptions } from "./base-app.ts";
import {
  CursorSchema,
  checked,
  command,
  cursorOf,
  HostPortSchema,
  mutable,
  PeerQuerySchema,
  pageOf,
  respondWithLines,
  StoppingSchema,
  sampledUntil,
  streamingCommand,
} from "./http.ts";

const absolutePath = v.pipe(v.string(), v.startsWith("/", "expected an absolute path"), v.maxLength(4096));

const PublishRequestSchema = v.object({
  /** Absolute: the peer's own folder is not the caller's. */
  path: absolutePath,
  /** The same path as its publisher typed it, which is what others are shown. */
  lname: PathTextSchema,
  fname: v.optional(v.string()),
});
type PublishRequest = v.InferOutput<typeof PublishRequestSchema>;

const FetchRequestSchema = v.object({
  /** The name of a shared file, or a ticket. */
  what: v.pipe(v.string(), v.minLength(1), v.maxLength(4096)),
  /** Absolute; a folder takes the file under its own name. Without it, the repository folder. */
  destination: v.optional(absolutePath),
  /** Whose file is meant, where several peers share one name. */
  from: v.optional(HostPortSchema),
  /** Refused where the peer is joined to another tracker. */
  tracker: v.optional(HostPortSchema),
  /** Of this fetch alone. */
  limits: v.optional(RateLimitsChangeSchema),
});
type FetchRequest = v.InferOutput<typeof FetchRequestSchema>;

const ShareParameterSchema = v.object({ fname: v.string() });
const FetchParameterSchema = v.object({ id: v.pipe(v.string(), v.maxLength(100)) });

export function createPeerApp(peer: Peer, options: RoleAppOptions) {
  const watchers = new Watchers();
  const app = guardedApp(options)
    .get("/api/status", command("status", "How the peer is doing", PeerStatusSchema), async (context) =>
      context.json(await peer.status()),
    )
    .post(
      "/api/connect",
      command("connect", "Join this tracker, leaving another", ConnectedSchema),
      checked("json", HostPortSchema),
      async (context) => context.json(await peer.connect(context.req.valid("json"))),
    )
    .post(
      "/api/shares",
      streamingCommand("publish", "Share a local file", v.union([PublishProgressSchema, PublishedSchema])),
      checked("json", PublishRequestSchema),
      async (context) => respondWithLines(context, publishLines(peer, context.req.valid("json"))),
    )
    .delete(
      "/api/shares/:fname",
      command("unpublish", "Share this file no longer; the file itself stays", UnpublishedSchema),
      checked("param", ShareParameterSchema),
      async (context) => context.json(await peer.unpublish(context.req.valid("param").fname)),
    )
    .get(
      "/api/files",
      command("list_files", "Every shared file, that of this peer included", pageOf(FileInfoSchema)),
      checked("query", CursorSchema),
      async (context) => context.json(mutable(await peer.listFiles(cursorOf(context.req.valid("query"))))),
    )
    .get(
      "/api/discover",
      command("discover", "The files of one peer, this one included", pageOf(FileInfoSchema)),
      checked("query", v.object({ ...PeerQuerySchema.entries, ...CursorSchema.entries })),
      async (context) => {
        const query = context.req.valid("query");
        return context.json(mutable(await peer.discover(query.host, query.port, cursorOf(query))));
      },
    )
    .post(
      "/api/fetches",
      streamingCommand(
        "fetch",
        "Fetch a shared file; lasts as long as somebody reads the answer",
        v.union([FetchProgressSchema, FetchReceiptSchema]),
      ),
      checked("json", FetchRequestSchema),
      async (context) => respondWithLines(context, fetchLines(peer, watchers, context.req.valid("json"))),
    )
    .get(
      "/api/fetches",
      command("list_fetches", "The fetches that this peer has run since its start", v.array(FetchProgressSchema)),
      (context) => context.json([...peer.fetches()]),
    )
    .delete(
      "/api/fetches/:id",
      command("cancel", "End a fetch and delete what has arrived", FetchProgressSchema),
      checked("param", FetchParameterSchema),
      async (context) => {
        const job = peer.findFetch(context.req.valid("param").id);
        job.cancel();
        await job.done.catch(() => undefined);
        return context.json(job.progress());
      },
    )
    .put(
      "/api/limits",
      command("limits", "Change the limits on sending and receiving, or show them", RateLimitsSchema),
      checked("json", RateLimitsChangeSchema),
      (context) => context.json(peer.setLimits(context.req.valid("json"))),
    )
    .post("/api/shutdown", command("exit", "End the peer", StoppingSchema), (context) =>
      answerShutdown(context, options),
    );
  addFixedPaths(app, {
    role: "peer",
    checks: async () => ({ tracker_link: (await peer.status()).connected }),
    metrics: async () => {
      const { connected, shares, contents, fetches, bytes_sent, bytes_received } = await peer.status();
      return {
        p2pfs_tracker_connected: { type: "gauge", help: "Whether the tracker is joined.", value: Number(connected) },
        p2pfs_shares: { type: "gauge", help: "Files that this peer publishes.", value: shares },
        p2pfs_contents: { type: "gauge", help: "Contents that this peer serves.", value: contents },
        p2pfs_fetches: { type: "gauge", help: "Fetches that run.", value: fetches },
        p2pfs_sent_bytes_total: { type: "counter", help: "Chunk bytes sent to other peers.", value: bytes_sent },
        p2pfs_received_bytes_total: { type: "counter", help: "Chunk bytes received.", value: bytes_received },
      };
    },
  });
  return app;
}

export type PeerApp = ReturnType<typeof createPeerApp>;

async function* publishLines(peer: Peer, request: PublishRequest): AsyncGenerator<PublishProgress | Published> {
  const left = new AbortController();
  const size = statSync(request.path, { throwIfNoEntry: false })?.size ?? 0;
  let bytes = 0;
  const onProgress = (hashed: number) => {
    bytes = hashed;
  };
  try {
    const published = peer.publish(request, { onProgress, signal: left.signal });
    yield* sampledUntil<PublishProgress, Published>(published, () => ({ event: "progress", bytes, size }));
  } finally {
    left.abort();
  }
}

async function* fetchLines(peer: Peer, watchers: Watchers, request: FetchRequest): AsyncGenerator<FetchEvent> {
  await expectTracker(peer, request.tracker);
  const job = await peer.fetch(request);
  watchers.join(job);
  try {
    yield* sampledUntil<FetchProgress, FetchReceipt>(job.done, () => job.progress());
  } finally {
    watchers.leave(job);
  }
}

/** A fetch goes to the tracker that the peer is joined to; one that names another is not silently served from here. */
async function expectTracker(peer: Peer, named: HostPort | undefined): Promise<void> {
  if (named === undefined || (await isSameAddress(named, peer.tracker))) return;
  throw new P2pfsError("refused", `this peer is joined to the tracker ${formatHostPort(peer.tracker)}`, {
    hint: `connect to ${formatHostPort(named)} first, or fetch by a peer of another data folder`,
  });
}

async function isSameAddress(one: HostPort, other: HostPort): Promise<boolean> {
  if (one.port !== other.port) return false;
  if (one.host === other.host) return true;
  const [addressesOfOne, addressesOfOther] = await Promise.all([one.host, other.host].map(addressesOf));
  return addressesOfOne!.some((address) => addressesOfOther!.includes(address));
}

async function addressesOf(host: string): Promise<string[]> {
  const found = await lookup(host, { all: true }).catch(() => []);
  return found.map(({ address }) => address);
}

/** The same fetch asked for twice is one job; it stops when the last of those who wait for it has gone. */
class Watchers {
  readonly #counts = new Map<FetchJob, number>();

  join(job: FetchJob): void {
    this.#counts.set(job, (this.#counts.get(job) ?? 0) + 1);
  }

  /** A job that has ended takes the stop as nothing. */
  leave(job: FetchJob): void {
    const rest = this.#counts.get(job)! - 1;
    if (rest > 0) {
      this.#counts.set(job, rest);
      return;
    }
    this.#counts.delete(job);
    job.stop();
  }
}
