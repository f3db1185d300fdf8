/** Opens a peer with its admin endpoint: one that runs in a data folder, or one for a single fetch. */
import type { HostPort } from "../core/address.ts";
import type { Log } from "../core/log.ts";
import { defaultFilesFolder, Peer } from "../peer/peer.ts";
import type { RateLimitsChange } from "../peer/types.ts";
import { openDataFolder } from "../store/data-folder.ts";
import { newSecret } from "./access.ts";
import { type Connection, connectInProcess } from "./client.ts";
import { openRole, type RunningRole } from "./host.ts";
import { Instruments } from "./instruments.ts";
import { createPeerApp } from "./peer-app.ts";

export interface OpenPeerOptions {
  readonly dataFolder: string | undefined;
  readonly filesFolder: string | undefined;
  readonly listen: HostPort;
  readonly advertise: HostPort | undefined;
  readonly tracker: HostPort;
  readonly admin: HostPort;
  readonly open: boolean;
  readonly limits?: RateLimitsChange | undefined;
  /** The folder that pages may look into; undefined for every one. */
  readonly browseFolder?: string | undefined;
  readonly log: Log;
}

export async function openPeer(options: OpenPeerOptions): Promise<RunningRole> {
  const { listen, advertise, tracker, open, limits, log } = options;
  const instruments = new Instruments();
  return openRole({
    instruments,
    folder: openDataFolder({ role: "peer", flag: options.dataFolder }),
    admin: options.admin,
    open,
    openRole: (folder) => {
      const filesFolder = options.filesFolder ?? defaultFilesFolder(folder.path);
      return Peer.open({
        dataFolder: folder,
        filesFolder,
        listen,
        advertise,
        tracker,
        open,
        limits,
        log: instruments.logTo(log),
      });
    },
    createApp: (peer, app) => createPeerApp(peer, { ...app, browseFolder: options.browseFolder }),
  });
}

export interface StandalonePeer {
  readonly connection: Connection;
  close(): Promise<void>;
}

/** A peer without data folder and endpoint, on any free port; only this process can command it. */
export async function openStandalonePeer(options: {
  readonly tracker: HostPort;
  readonly filesFolder: string;
  /** Whether other machines may fetch from it meanwhile. */
  readonly open: boolean;
  readonly limits: RateLimitsChange;
  readonly log: Log;
}): Promise<StandalonePeer> {
  const instruments = new Instruments();
  const peer = await Peer.open({
    dataFolder: undefined,
    filesFolder: options.filesFolder,
    limits: options.limits,
    listen: { host: options.open ? "0.0.0.0" : "127.0.0.1", port: 0 },
    advertise: undefined,
    tracker: options.tracker,
    open: options.open,
    log: instruments.logTo(options.log),
  });
  const token = newSecret();
  const app = createPeerApp(peer, { token, host: "127.0.0.1", onShutdown: () => undefined, instruments });
  const close = async () => {
    await peer.close();
    instruments.close();
  };
  return { connection: connectInProcess(app, token), close };
}
