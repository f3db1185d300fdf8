/** The peer's commands as routes. */
import { homedir } from "node:os";
import * as v from "valibot";
import { ContentHoldersSchema, FileInfoSchema, PathTextSchema } from "../core/model.ts";
import type { Peer } from "../peer/peer.ts";
import {
  ConnectedSchema,
  FetchDetailSchema,
  FetchProgressSchema,
  FetchReceiptSchema,
  PeerStatusSchema,
  PublishedSchema,
  PublishProgressSchema,
  RateLimitsChangeSchema,
  RateLimitsSchema,
  ShareInfoSchema,
  UnpublishedSchema,
} from "../peer/types.ts";
import {
  addSharedRoutes,
  answerDashboard,
  answerShutdown,
  DashboardSchema,
  guardedApp,
  type RoleAppOptions,
  setupOf,
} from "./base-app.ts";
import { BrowseQuerySchema, browse, FolderSchema } from "./browse.ts";
import { checkSpace, checkWritable } from "./health.ts";
import {
  ContentParameterSchema,
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
  streamingCommand,
  view,
} from "./http.ts";
import { forwardPeerEvents } from "./peer-events.ts";
import { addPeerMetrics } from "./peer-metrics.ts";
import { fetchLines, publishLines, Watchers } from "./peer-streams.ts";

const absolutePath = v.pipe(v.string(), v.startsWith("/", "expected an absolute path"), v.maxLength(4096));

const PublishRequestSchema = v.object({
  /** Absolute: the peer's own folder is not the caller's. */
  path: absolutePath,
  /** The same path as its publisher typed it, which is what others are shown. */
  lname: PathTextSchema,
  fname: v.optional(v.string()),
});

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
  /** The answer is one line, and the fetch goes on when nobody reads. */
  detached: v.optional(v.boolean()),
});

const ShareParameterSchema = v.object({ fname: v.string() });
const FetchParameterSchema = v.object({ id: v.pipe(v.string(), v.maxLength(100)) });

/** Stops the fetch and keeps what has arrived, for a later retry. */
const CancelQuerySchema = v.object({ keep: v.optional(v.picklist(["true", "false"])) });

export interface PeerAppOptions extends RoleAppOptions {
  /** The folder that pages may look into; undefined for every one. */
  readonly browseFolder?: string | undefined;
}

export function createPeerApp(peer: Peer, options: PeerAppOptions) {
  const watchers = new Watchers();
  const setup = setupOf(options);
  const app = guardedApp(setup)
    .get("/api/status", command("status", "How the peer is doing", PeerStatusSchema), async (context) =>
      context.json(await peer.status()),
    )
    .post(
      "/api/connect",
      command("connect", "Join this tracker, leaving another", ConnectedSchema),
      checked("json", HostPortSchema),
      async (context) => context.json(await peer.connect(context.req.valid("json"))),
    )
    .get("/api/shares", view("shares", "What this peer publishes", v.array(ShareInfoSchema)), (context) =>
      context.json(peer.shares()),
    )
    .post(
      "/api/shares",
      streamingCommand("publish", "Share a local file", v.union([PublishProgressSchema, PublishedSchema])),
      checked("json", PublishRequestSchema),
      async (context) => {
        const left = new AbortController();
        return respondWithLines(
          context,
          setup.instruments.log,
          publishLines(peer, context.req.valid("json"), left),
          left,
        );
      },
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
      async (context) =>
        respondWithLines(context, setup.instruments.log, fetchLines(peer, watchers, context.req.valid("json"))),
    )
    .get(
      "/api/fetches",
      command("list_fetches", "The fetches that this peer has run since its start", v.array(FetchProgressSchema)),
      (context) => context.json([...peer.fetches()]),
    )
    .get(
      "/api/fetches/:id",
      view("fetch_detail", "One fetch with its chunks and sources", FetchDetailSchema),
      checked("param", FetchParameterSchema),
      (context) => context.json(peer.findFetch(context.req.valid("param").id).detail()),
    )
    .post(
      "/api/fetches/:id/retry",
      command("retry", "Go on with a fetch that has ended without its file", FetchProgressSchema),
      checked("param", FetchParameterSchema),
      async (context) => {
        const job = await peer.retryFetch(context.req.valid("param").id);
        watchers.join(job);
        return context.json(job.progress());
      },
    )
    .delete(
      "/api/fetches/:id",
      command("cancel", "End a fetch and delete what has arrived, or keep it", FetchProgressSchema),
      checked("param", FetchParameterSchema),
      checked("query", CancelQuerySchema),
      async (context) => {
        const job = peer.findFetch(context.req.valid("param").id);
        if (context.req.valid("query").keep === "true") job.stop();
        else job.cancel();
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
    .get(
      "/api/contents/:content_id/holders",
      view("holders", "Who holds which chunks of a content: a random sample of its holders", ContentHoldersSchema),
      checked("param", ContentParameterSchema),
      async (context) => context.json(await peer.holdersOf(context.req.valid("param").content_id)),
    )
    .get(
      "/api/browse",
      view("browse", "A folder of this peer's machine", FolderSchema),
      checked("query", BrowseQuerySchema),
      async (context) => {
        const { path } = context.req.valid("query");
        return context.json(await browse(path, options.browseFolder, homedir()));
      },
    )
    .post(
      "/api/dashboard",
      command("dashboard", "Make a link to the page, which works once", DashboardSchema),
      (context) => answerDashboard(context, setup),
    )
    .post("/api/shutdown", command("exit", "End the peer", StoppingSchema), (context) =>
      answerShutdown(context, options),
    );
  addPeerMetrics(peer, setup.instruments);
  forwardPeerEvents(peer, setup.instruments);
  addSharedRoutes(app, setup, {
    role: "peer",
    checks: {
      tracker_link: () => {
        const { connected, tracker } = peer.status();
        return { ok: connected, detail: connected ? `joined ${tracker}` : `${tracker} is not reached` };
      },
      database: () => checkWritable(() => peer.assertWritable()),
      disk_space: () => checkSpace(peer.status().data_folder),
    },
  });
  return app;
}

export type PeerApp = ReturnType<typeof createPeerApp>;
