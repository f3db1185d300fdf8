/** The tracker's commands as routes. */
import * as v from "valibot";
import { AddressSchema } from "../core/address.ts";
import { DEFAULT_TRACKER } from "../core/listening.ts";
import { ContentHoldersSchema, FileInfoSchema } from "../core/model.ts";
import type { TrackerEvent } from "../tracker/events.ts";
import type { Tracker } from "../tracker/tracker.ts";
import {
  ChunkInfoSchema,
  InvitedSchema,
  PeerInfoSchema,
  PingResultSchema,
  TrackerStatusSchema,
} from "../tracker/types.ts";
import {
  addSharedRoutes,
  answerDashboard,
  answerShutdown,
  DashboardSchema,
  guardedApp,
  type RoleAppOptions,
  setupOf,
} from "./base-app.ts";
import type { EventFeed } from "./event-feed.ts";
import { checkSpace, checkWritable } from "./health.ts";
import {
  ContentParameterSchema,
  CursorSchema,
  checked,
  command,
  ListenSchema,
  mutable,
  PeerQuerySchema,
  pageOf,
  StoppingSchema,
  view,
} from "./http.ts";
import { InviteSchema, swarmRoutes } from "./swarm-routes.ts";
import { addTrackerMetrics } from "./tracker-metrics.ts";

const StartedSchema = v.object({
  address: AddressSchema,
  /** S1: where this start made a swarm, one by which the first machine joins. */
  invitation: v.nullable(InvitedSchema),
});

export function createTrackerApp(tracker: Tracker, options: RoleAppOptions) {
  const setup = setupOf(options);
  const { instruments } = setup;
  const app = guardedApp(setup)
    .get("/api/status", command("status", "How the tracker is doing", TrackerStatusSchema), async (context) =>
      context.json(await tracker.status()),
    )
    .post(
      "/api/start",
      command("start", "Listen for peers there; the same address again changes nothing", StartedSchema),
      checked("json", v.partial(ListenSchema)),
      async (context) => {
        const { host = DEFAULT_TRACKER.host, port = DEFAULT_TRACKER.port } = context.req.valid("json");
        const hadSwarm = tracker.swarm !== undefined;
        const address = await tracker.start({ host, port });
        const isNewSwarm = !hadSwarm && tracker.swarm !== undefined;
        const invitation = isNewSwarm ? await tracker.membership.invite(v.parse(InviteSchema, {})) : null;
        return context.json({ address, invitation });
      },
    )
    .get(
      "/api/peers",
      command("list_peers", "Every joined peer", pageOf(PeerInfoSchema)),
      checked("query", CursorSchema),
      async (context) => context.json(mutable(await tracker.listPeers(context.req.valid("query").cursor))),
    )
    .get(
      "/api/files",
      command("list_files", "Every file of every peer", pageOf(FileInfoSchema)),
      checked("query", CursorSchema),
      async (context) => context.json(mutable(await tracker.listFiles(context.req.valid("query").cursor))),
    )
    .get(
      "/api/chunks",
      command("list_chunkinfo", "Which peer holds which chunks of every file", pageOf(ChunkInfoSchema)),
      checked("query", CursorSchema),
      async (context) => context.json(mutable(await tracker.listChunkInfo(context.req.valid("query").cursor))),
    )
    .get(
      "/api/discover",
      command("discover", "The files of one peer", pageOf(FileInfoSchema)),
      checked("query", v.object({ ...PeerQuerySchema.entries, ...CursorSchema.entries })),
      async (context) => {
        const { host, port, cursor } = context.req.valid("query");
        return context.json(mutable(await tracker.discover(host, port, cursor)));
      },
    )
    .get(
      "/api/ping",
      command("ping", "Whether a peer is still there, and the time that its reply took", PingResultSchema),
      checked("query", PeerQuerySchema),
      async (context) => {
        const { host, port } = context.req.valid("query");
        return context.json(await tracker.ping(host, port));
      },
    )
    .get(
      "/api/contents/:content_id/holders",
      view("holders", "Who holds which chunks of a content: a random sample of its holders", ContentHoldersSchema),
      checked("param", ContentParameterSchema),
      async (context) => context.json(await tracker.holdersOf(context.req.valid("param").content_id)),
    )
    .post(
      "/api/dashboard",
      command("dashboard", "Make a link to the page, which works once", DashboardSchema),
      (context) => answerDashboard(context, setup),
    )
    .post("/api/shutdown", command("exit", "End the tracker", StoppingSchema), (context) =>
      answerShutdown(context, options),
    )
    .route("/", swarmRoutes(tracker));
  const { refresh } = addTrackerMetrics(tracker, instruments);
  app.use("/metrics", async (_context, next) => {
    await refresh();
    return next();
  });
  tracker.events.subscribe((event) => forwardEvent(instruments.feed, event));
  addSharedRoutes(app, setup, {
    role: "tracker",
    checks: {
      listening: async () => {
        const { address } = await tracker.status();
        return { ok: address !== null, detail: address ?? "`start` makes it listen" };
      },
      database: () => checkWritable(() => tracker.assertWritable()),
      disk_space: async () => checkSpace((await tracker.status()).data_folder),
    },
  });
  return app;
}

/** Registered chunks are transient events, since there are thousands: those of one holder and content are joined. */
function forwardEvent(feed: EventFeed, event: TrackerEvent): void {
  if (event.type !== "chunks_registered") return feed.emit(event);
  feed.emitTransient(`${event.holder} ${event.content_id}`, event, (waiting) => ({
    ...event,
    chunks: [waiting.chunks, event.chunks].filter((chunks) => chunks !== "").join(","),
  }));
}

export type TrackerApp = ReturnType<typeof createTrackerApp>;
