/** How a command reaches its role: in this process, or over HTTP by the admin.json of the data folder. */
import {
  type Connection,
  connectToRunning,
  type PeerClient,
  peerClient,
  type TrackerClient,
  trackerClient,
} from "../admin/client.ts";
import type { CliContext, CommonFlags } from "./context.ts";
import { parseText, settingOf } from "./settings.ts";

export function dataFolderOf({ io }: CliContext, flags: CommonFlags): string | undefined {
  return settingOf(io.env, "P2PFS_DATA", flags.data, parseText);
}

export function reachTracker(context: CliContext, flags: CommonFlags): TrackerClient {
  return trackerClient(reach("tracker", context, flags));
}

export function reachPeer(context: CliContext, flags: CommonFlags): PeerClient {
  return peerClient(reach("peer", context, flags));
}

function reach(role: "tracker" | "peer", context: CliContext, flags: CommonFlags): Connection {
  return context.session?.connection ?? connectToRunning(role, dataFolderOf(context, flags));
}
