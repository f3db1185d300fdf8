/**
 * Runs a role: opens its data folder and the role itself, serves its app over HTTP, and writes the admin.json by which
 * one-shot commands find it. The file is removed when the role closes; one left by a killed process is overwritten.
 */
import type { Hono } from "hono";
import { formatHostPort, type HostPort, isWildcard } from "../core/address.ts";
import { isForOthers, listenError } from "../core/listening.ts";
import { MiB } from "../core/units.ts";
import { type DataFolder, listenOnRemembered, type Role } from "../store/data-folder.ts";
import { newSecret } from "./access.ts";
import type { RoleAppOptions } from "./base-app.ts";
import { type Connection, connectInProcess } from "./client.ts";
import type { Instruments } from "./instruments.ts";

/** An idle connection is closed after this time; streams send something more often. */
const IDLE_SECONDS_MAX = 30;
/** How long the end of the role waits for answers under way. */
const DRAIN_MS_MAX = 300;
/** The server refuses larger bodies without reading them. */
const BODY_BYTES_MAX = MiB;

export interface RunningRole {
  readonly name: Role;
  /** Of the admin endpoint, `http://HOST:PORT`, as this machine reaches it. */
  readonly url: string;
  /** To the app, without a socket. */
  readonly connection: Connection;
  /** Resolves when a command has asked the role to end. */
  readonly shutdownRequested: Promise<void>;
  close(): Promise<void>;
}

export interface OpenRoleOptions<Inside extends { close(): unknown }> {
  readonly folder: DataFolder;
  /** Where the admin endpoint listens. Port 0: the remembered one if it is free, else any. */
  readonly admin: HostPort;
  /** Whether an address that other machines reach is allowed. */
  readonly open: boolean;
  readonly instruments: Instruments;
  readonly openRole: (folder: DataFolder) => Promise<Inside>;
  readonly createApp: (role: Inside, options: RoleAppOptions) => Hono;
}

/** Throws `already_running` if a port is taken, `refused` if other machines could reach an address without --open. */
export async function openRole<Inside extends { close(): unknown }>(
  options: OpenRoleOptions<Inside>,
): Promise<RunningRole> {
  const { folder, admin, instruments } = options;
  try {
    isForOthers(admin.host, {
      isOpen: options.open,
      refusal: `other machines would reach the admin address ${formatHostPort(admin)}`,
      hint: "add --open to allow that; whoever then learns the token of admin.json commands this role",
    });
  } catch (thrown) {
    folder.close();
    throw thrown;
  }
  const inside = await openOrRelease(options);
  warnOfReplaceable(folder, instruments);
  const closeInside = async () => {
    await inside.close();
    folder.close();
    instruments.close();
  };
  const shutdown = Promise.withResolvers<void>();
  const token = newSecret();
  let url: string | undefined;
  const app = options.createApp(inside, {
    token,
    host: admin.host,
    onShutdown: shutdown.resolve,
    url: () => url,
    instruments,
  });
  try {
    const server = await listenOnRemembered(folder, "admin", admin.port, (port) =>
      serve(app, { host: admin.host, port }),
    );
    const served = `http://${formatHostPort({ host: hostForThisMachine(admin.host), port: server.port! })}`;
    folder.rememberPort("admin", server.port!);
    folder.writeAdminFile({ url: served, token });
    url = served;
    return {
      name: folder.role,
      url: served,
      connection: connectInProcess(app, token),
      shutdownRequested: shutdown.promise,
      close: async () => {
        folder.removeAdminFile();
        // No new requests from here on; open streams get their last line when the role ends.
        const drained = server.stop(false);
        await closeInside();
        await Promise.race([drained, Bun.sleep(DRAIN_MS_MAX)]);
        await server.stop(true);
      },
    };
  } catch (thrown) {
    await closeInside();
    throw thrown;
  }
}

function warnOfReplaceable({ path, replaceableAt }: DataFolder, { log }: Instruments): void {
  if (replaceableAt === undefined) return;
  const message = "other users of this machine can replace the data folder {data_folder}: they can change {folder}";
  log("warn", message, { data_folder: path, folder: replaceableAt });
}

async function openOrRelease<Inside extends { close(): unknown }>(options: OpenRoleOptions<Inside>): Promise<Inside> {
  try {
    return await options.openRole(options.folder);
  } catch (thrown) {
    options.folder.close();
    throw thrown;
  }
}

function serve(app: Hono, { host, port }: HostPort) {
  try {
    return Bun.serve({
      hostname: host,
      port,
      idleTimeout: IDLE_SECONDS_MAX,
      maxRequestBodySize: BODY_BYTES_MAX,
      development: false,
      fetch: (request) => app.fetch(request),
    });
  } catch (cause) {
    throw listenError({ host, port }, "--admin HOST:PORT", cause);
  }
}

function hostForThisMachine(host: string): string {
  if (!isWildcard(host)) return host;
  return host === "::" ? "::1" : "127.0.0.1";
}
