/** Opens a peer with its admin endpoint: one that runs in a data folder, or one for a single fetch. */
import type { HostPort } from "../core/address.ts";
import { DEFAULT_TRACKER } from "../core/listening.ts";
import type { Log } from "../core/log.ts";
import { defaultFilesFolder, Peer } from "../peer/peer.ts";
import type { RateLimitsChange } from "../peer/types.ts";
import { openDataFolder, resolveDataFolder } from "../store/data-folder.ts";
import { MembershipFiles } from "../store/membership-files.ts";
import { newSecret } from "./access.ts";
import { type Connection, connectInProcess } from "./client.ts";
import { openRole, type RunningRole } from "./host.ts";
import { Instruments } from "./instruments.ts";
import { type JoinRequest, joinForOnce, leaveForGood, membershipFor } from "./membership.ts";
import { createPeerApp } from "./peer-app.ts";

const ALL_INTERFACES = "0.0.0.0";
const LOOPBACK = "127.0.0.1";

export interface OpenPeerOptions {
  readonly dataFolder: string | undefined;
  readonly filesFolder: string | undefined;
  /** Default: all interfaces for a member, and without encryption; otherwise loopback. */
  readonly listen: HostPort | undefined;
  readonly advertise: HostPort | undefined;
  /** Default: the tracker of the swarm, or the one of this machine. */
  readonly tracker: HostPort | undefined;
  readonly admin: HostPort;
  /** Whether the admin endpoint may listen beyond loopback. */
  readonly open: boolean;
  /** Without a swarm, whether other machines are let in, and dialled, all the same. */
  readonly insecure: boolean;
  readonly limits?: RateLimitsChange | undefined;
  /** The folder that pages may look into; undefined for every one. */
  readonly browseFolder?: string | undefined;
  readonly log: Log;
}

export async function openPeer(options: OpenPeerOptions): Promise<RunningRole> {
  const { listen, advertise, tracker, open, insecure, limits, log } = options;
  const instruments = new Instruments();
  return openRole({
    instruments,
    folder: openDataFolder({ role: "peer", flag: options.dataFolder }),
    admin: options.admin,
    open,
    openRole: (folder) => {
      const filesFolder = options.filesFolder ?? defaultFilesFolder(folder.path);
      const membership = membershipFor(folder.membership, "peer", insecure);
      return Peer.open({
        dataFolder: folder,
        filesFolder,
        listen: listen ?? { host: membership !== undefined || insecure ? ALL_INTERFACES : LOOPBACK, port: 0 },
        advertise,
        tracker: tracker ?? membership?.trackers[0] ?? DEFAULT_TRACKER,
        membership,
        insecure,
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

export interface StandalonePeerOptions {
  readonly tracker: HostPort | undefined;
  /** Its membership is used; nothing is written there. */
  readonly dataFolder: string | undefined;
  /** S4: a member for as long as the peer runs, instead of that membership. */
  readonly join?: JoinRequest | undefined;
  readonly filesFolder: string;
  /** Without a swarm, whether other machines are let in, and dialled, all the same. */
  readonly insecure: boolean;
  readonly limits: RateLimitsChange;
  readonly log: Log;
}

/** A peer without data folder and endpoint, on any free port; only this process can command it. */
export async function openStandalonePeer(options: StandalonePeerOptions): Promise<StandalonePeer> {
  const { insecure, join } = options;
  const joined = join && (await joinForOnce(join));
  const membership =
    joined ??
    membershipFor(new MembershipFiles(resolveDataFolder({ role: "peer", flag: options.dataFolder })), "peer", insecure);
  const leave = async () => {
    if (joined !== undefined) await leaveForGood(joined);
  };
  const instruments = new Instruments();
  const opened = Peer.open({
    dataFolder: undefined,
    filesFolder: options.filesFolder,
    limits: options.limits,
    listen: { host: membership !== undefined || insecure ? ALL_INTERFACES : LOOPBACK, port: 0 },
    advertise: undefined,
    tracker: options.tracker ?? membership?.trackers[0] ?? DEFAULT_TRACKER,
    membership,
    insecure,
    log: instruments.logTo(options.log),
  });
  const peer = await opened.catch(async (thrown) => {
    await leave();
    throw thrown;
  });
  const token = newSecret();
  const app = createPeerApp(peer, { token, host: "127.0.0.1", onShutdown: () => undefined, instruments });
  const close = async () => {
    await peer.close();
    instruments.close();
    await leave();
  };
  return { connection: connectInProcess(app, token), close };
}
