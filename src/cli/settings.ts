/**
 * Flags and the environment variables that stand in for them: how their text is parsed, the same way for both. A flag
 * wins over its variable.
 */
import type { RateLimitsChange } from "../admin/client.ts";
import { type HostPort, parseHostPort } from "../core/address.ts";
import { P2pfsError } from "../core/errors.ts";
import { INVITATION_MS_MAX, INVITATION_MS_MIN } from "../core/limits.ts";
import { type LogLevel, logLevels } from "../core/log.ts";
import { asRateLimit, parseRateLimit } from "../core/rate.ts";
import { DAY_MS, MINUTE_MS, SECOND_MS } from "../core/units.ts";
import type { Environment } from "./io.ts";

const PORT_MAX = 65_535;
/** Ten years. */
const DURATION_MS_MAX = 3650 * DAY_MS;
const MS_OF_UNIT = { ms: 1, s: SECOND_MS, m: MINUTE_MS, h: 60 * MINUTE_MS, d: DAY_MS } as const;

/** The parsed flag, or else the environment variable, parsed in the same way. An empty variable counts as unset. */
export function settingOf<Value>(
  env: Environment,
  variable: `P2PFS_${string}`,
  flag: Value | undefined,
  parse: (text: string) => Value,
): Value | undefined {
  const text = env[variable];
  if (flag !== undefined || text === undefined || text === "") return flag;
  try {
    return parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new P2pfsError("usage", `the environment variable ${variable}: ${why}`, { cause });
  }
}

export function parseText(text: string): string {
  if (text === "") throw new SyntaxError("expected a text that is not empty");
  return text;
}

export function parseHostAndPort(text: string): HostPort {
  const parsed = parseHostPort(text);
  if (parsed === undefined) throw new SyntaxError(`expected HOST:PORT or [IPV6]:PORT, not "${text}"`);
  return parsed;
}

/** An address to connect to, so the port is not 0. */
export function parseRemote(text: string): HostPort {
  const parsed = parseHostAndPort(text);
  if (parsed.port === 0) throw new SyntaxError("port 0 is no place to connect to");
  return parsed;
}

export function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > PORT_MAX)
    throw new SyntaxError(`expected a port from 0 to ${PORT_MAX}, not "${text}"`);
  return port;
}

/** `500ms`, `30s`, `10m`, `2h`, `90d`; a bare number means seconds. In milliseconds. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text);
  if (match === null) throw new SyntaxError(`expected a duration like 30s, 10m or 2h, not "${text}"`);
  const ms = Math.round(Number(match[1]) * MS_OF_UNIT[(match[2] ?? "s") as keyof typeof MS_OF_UNIT]);
  if (ms <= DURATION_MS_MAX) return ms;
  throw new SyntaxError(`expected a duration of at most ${DURATION_MS_MAX / DAY_MS}d, not "${text}"`);
}

/** Of an invitation, in milliseconds. */
export function parseValidity(text: string): number {
  const ms = parseDuration(text);
  if (ms >= INVITATION_MS_MIN && ms <= INVITATION_MS_MAX) return ms;
  throw new SyntaxError(`expected a duration from 1s to ${INVITATION_MS_MAX / DAY_MS}d, not "${text}"`);
}

export function parseCount(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new SyntaxError(`expected a number from 1 on, not "${text}"`);
  return Number(text);
}

export function parseSwitch(text: string): boolean {
  if (/^(?:1|true|yes|on)$/i.test(text)) return true;
  if (/^(?:0|false|no|off)$/i.test(text)) return false;
  throw new SyntaxError(`expected 1 or 0, not "${text}"`);
}

/** What an entry of the log is: a line for people, or a line that is a JSON object. */
export const logFormats = ["text", "json"] as const;

export type LogFormat = (typeof logFormats)[number];

export const parseLogLevel = parserOf(logLevels);
export const parseLogFormat = parserOf(logFormats);

function parserOf<Word extends string>(words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const word = words.find((candidate) => candidate === text);
    if (word !== undefined) return word;
    throw new SyntaxError(`expected ${words.slice(0, -1).join(", ")} or ${words.at(-1)}, not "${text}"`);
  };
}

/** The flags of the log of a role. */
export interface LogFlags {
  readonly logLevel?: LogLevel | undefined;
  readonly logFormat?: LogFormat | undefined;
}

export interface LogSettings {
  /** The lowest level that is written. */
  readonly level: LogLevel;
  readonly format: LogFormat;
}

/** As the flags say, or else the environment. */
export function logSettings(
  env: Environment,
  { logLevel, logFormat }: LogFlags,
  defaultLevel: LogLevel = "info",
): LogSettings {
  return {
    level: settingOf(env, "P2PFS_LOG_LEVEL", logLevel, parseLogLevel) ?? defaultLevel,
    format: settingOf(env, "P2PFS_LOG_FORMAT", logFormat, parseLogFormat) ?? "text",
  };
}

/** The flags that limit rates: bytes per second, Infinity for none. */
export interface LimitFlags {
  readonly upLimit?: number | undefined;
  readonly downLimit?: number | undefined;
}

/** The given limits, under their names in the API. */
export function limitsOf({ upLimit, downLimit }: LimitFlags): RateLimitsChange {
  return {
    ...(upLimit === undefined ? {} : { up_limit: asRateLimit(upLimit) }),
    ...(downLimit === undefined ? {} : { down_limit: asRateLimit(downLimit) }),
  };
}

/** The given limits, or else those of the environment. */
export function limitSettings(env: Environment, { upLimit, downLimit }: LimitFlags): RateLimitsChange {
  return limitsOf({
    upLimit: settingOf(env, "P2PFS_UP_LIMIT", upLimit, parseRateLimit),
    downLimit: settingOf(env, "P2PFS_DOWN_LIMIT", downLimit, parseRateLimit),
  });
}

/** HOST and PORT as two arguments, or as `HOST:PORT`, the form in the lists. */
export function hostAndMaybePort(host: string, port: number | undefined): { host: string; port?: number } {
  if (port !== undefined) return { host, port };
  return parseHostPort(host) ?? { host: host.replace(/^\[|\]$/g, "") };
}

/** As `hostAndMaybePort`, but the port is required. */
export function hostAndPort(host: string, port: number | undefined): HostPort {
  const given = hostAndMaybePort(host, port);
  if (given.port === undefined)
    throw new P2pfsError("usage", `the port is missing after ${host}`, { hint: "give HOST PORT, or HOST:PORT" });
  return { host: given.host, port: given.port };
}
