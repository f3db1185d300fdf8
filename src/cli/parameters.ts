/** Flags and arguments that several commands take. */
import { logLevels } from "../core/log.ts";
import { parseRateLimit } from "../core/rate.ts";
import { hostsOf, portsOf, wordsOf } from "./proposals.ts";
import {
  logFormats,
  parseHostAndPort,
  parseLogFormat,
  parseLogLevel,
  parsePort,
  parseRemote,
  parseText,
} from "./settings.ts";

export const jsonFlag = {
  kind: "boolean",
  brief: "Print the result as JSON",
  optional: true,
  withNegated: false,
} as const;

export const dataFlag = {
  kind: "parsed",
  parse: parseText,
  brief: "Data folder of the role (P2PFS_DATA)",
  placeholder: "DIR",
  optional: true,
} as const;

export const openFlag = {
  kind: "boolean",
  brief: "Listen on all interfaces, for the members of the swarm (P2PFS_OPEN)",
  optional: true,
  withNegated: false,
} as const;

export const insecureFlag = {
  kind: "boolean",
  brief: "Without a swarm: reach other machines unencrypted, and let everybody in (P2PFS_INSECURE)",
  optional: true,
  withNegated: false,
} as const;

export const adminFlag = {
  kind: "parsed",
  parse: parseHostAndPort,
  brief: "Address of the admin endpoint; port 0 takes any (P2PFS_ADMIN)",
  placeholder: "HOST:PORT",
  optional: true,
} as const;

export const trackerFlag = {
  kind: "parsed",
  parse: parseRemote,
  brief: "Address of the tracker (P2PFS_TRACKER), 127.0.0.1:7700 without it",
  placeholder: "HOST:PORT",
  optional: true,
} as const;

const limitFlag = (brief: string) =>
  ({ kind: "parsed", parse: parseRateLimit, brief, placeholder: "RATE", optional: true }) as const;

export const limitFlags = {
  upLimit: limitFlag("Send chunks no faster than this: 4MiB/s, 500KB/s, bytes a second, none (P2PFS_UP_LIMIT)"),
  downLimit: limitFlag("Receive chunks no faster than this (P2PFS_DOWN_LIMIT)"),
} as const;

export const logFlags = {
  logLevel: {
    kind: "parsed",
    parse: parseLogLevel,
    proposeCompletions: wordsOf(logLevels),
    brief: "Log from this level on: debug, info, warn or error (P2PFS_LOG_LEVEL), info without it",
    placeholder: "LEVEL",
    optional: true,
  },
  logFormat: {
    kind: "parsed",
    parse: parseLogFormat,
    proposeCompletions: wordsOf(logFormats),
    brief: "Log as text or json, an entry a line (P2PFS_LOG_FORMAT), text without it",
    placeholder: "FORMAT",
    optional: true,
  },
} as const;

export const hostParameter = { brief: "IP or host name", placeholder: "HOST", parse: parseText } as const;
export const portParameter = { brief: "Port", placeholder: "PORT", parse: parsePort, optional: true } as const;

/** HOST [PORT] of a peer, completed with the peers that the role knows. */
export function peerParameters(role: "tracker" | "peer") {
  return [
    { ...hostParameter, proposeCompletions: hostsOf[role] },
    { ...portParameter, proposeCompletions: portsOf[role] },
  ] as const;
}
