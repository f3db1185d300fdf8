/** The tracker's commands as routes. */
import * as v from "valibot";
import { AddressSchema, type HostPort } from "../core/address.ts";
import { FileInfoSchema } from "../core/model.ts";
import type { Tracker } from "../tracker/tracker.ts";
import { ChunkInfoSchema, PeerInfoSchema, PingResultSchema, TrackerStatusSchema } from "../tracker/types.ts";
import { addFixedPaths, answerShutdown, guardedApp, type RoleAppOptions } from "./base-app.ts";
import {
  CursorSchema,
  checked,
  command,
  ListenSchema,
  mutable,
  PeerQuerySchema,
  pageOf,
  StoppingSchema,
} from "./http.ts";

/** F6: where the tracker listens when it is told to start without an address. */
const DEFAULT_LISTEN: HostPort = { host: "127.0.0.1", port: 7700 };

const StartedSchema = v.object({ address: AddressSchema });

export function createTrackerApp(tracker: Tracker, options: RoleAppOptions) {
  const app = guardedApp(options)
    .get("/api/status", command("status", "How the tracker is doing", TrackerStatusSchema), async (context) =>
      context.json(await tracker.status()),
    )
    .post(
      "/api/start",
      command("start", "Listen for peers there; the same address again changes nothing", StartedSchema),
      checked("json", v.partial(ListenSchema)),
      async (context) => {
        const { host = DEFAULT_LISTEN.host, port = DEFAULT_LISTEN.port } = context.req.valid("json");
        return context.json({ address: await tracker.start({ host, port }) });
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
    .post("/api/shutdown", command("exit", "End the tracker", StoppingSchema), (context) =>
      answerShutdown(context, options),
    );
  addFixedPaths(app, {
    role: "tracker",
    checks: async () => ({ listening: (await tracker.status()).listening }),
    metrics: async () => {
      const { peers, files, contents } = await tracker.status();
      return {
        p2pfs_peers: { type: "gauge", help: "Peers that are joined.", value: peers },
        p2pfs_files: { type: "gauge", help: "Files that are listed.", value: files },
        p2pfs_contents: { type: "gauge", help: "Different contents among the files.", value: contents },
      };
    },
  });
  return app;
}

export type TrackerApp = ReturnType<typeof createTrackerApp>;
