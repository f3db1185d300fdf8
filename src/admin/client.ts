/**
 * The typed client of both roles' commands. A one-shot command uses HTTP, and finds the running role by the admin.json of
 * its data folder; a shell and a stand-alone fetch call the app in their own process. This module does not load database,
 * digests or the apps, so that a one-shot command starts fast.
 */
import { type ClientResponse, hc } from "hono/client";
import * as v from "valibot";
import { type ErrorCode, isErrorCode, P2pfsError } from "../core/errors.ts";
import { PageWalk } from "../core/page-walk.ts";
import { SECOND_MS } from "../core/units.ts";
import { type AdminFile, readAdminFile, resolveDataFolder } from "../store/data-folder.ts";
import type { Page } from "../tracker/types.ts";
import type { PeerApp } from "./peer-app.ts";
import type { TrackerApp } from "./tracker-app.ts";

/** Types of the answers. */
export type { FileInfo } from "../core/model.ts";
export type {
  FetchEvent,
  FetchProgress,
  FetchReceipt,
  Published,
  PublishProgress,
  RateLimits,
  RateLimitsChange,
} from "../peer/types.ts";
export type { ChunkInfo, InvitationInfo, Invited, MemberInfo, PeerInfo } from "../tracker/types.ts";

/** A role answers, or begins a stream, within NOTICE_MS_MAX; one that takes longer is frozen. */
const ANSWER_MS_MAX = 5 * SECOND_MS;
/** A host that the guard accepts; nothing is resolved or dialled. */
const IN_PROCESS_URL = "http://localhost";

type Role = "tracker" | "peer";
type SendRequest = (url: string, init?: RequestInit) => Promise<Response>;

export type TrackerClient = ReturnType<typeof hc<TrackerApp>>;
export type PeerClient = ReturnType<typeof hc<PeerApp>>;

/** How to reach a role. */
export interface Connection {
  readonly url: string;
  readonly token: string;
  readonly send: SendRequest;
}

export function trackerClient({ url, token, send }: Connection): TrackerClient {
  return hc<TrackerApp>(url, { fetch: send as typeof fetch, headers: bearer(token) });
}

export function peerClient({ url, token, send }: Connection): PeerClient {
  return hc<PeerApp>(url, { fetch: send as typeof fetch, headers: bearer(token) });
}

/** To an app of this process, without a socket. */
export function connectInProcess(
  app: { request(url: string, init?: RequestInit): Response | Promise<Response> },
  token: string,
): Connection {
  return { url: IN_PROCESS_URL, token, send: async (url, init) => app.request(url, init) };
}

/** To the role that runs in this data folder. Throws `not_running` if there is none. */
export function connectToRunning(role: Role, dataFolder: string | undefined): Connection {
  const folder = resolveDataFolder({ role, flag: dataFolder });
  const admin = readAdminFile(folder);
  if (admin === undefined) throw notRunning(role, folder);
  return connectOverHttp(admin, (cause) => notRunning(role, folder, cause));
}

/** As `connectToRunning`, but undefined if no role runs there. An admin.json left by a killed role is ignored. */
export async function connectIfRunning(role: Role, dataFolder: string | undefined): Promise<Connection | undefined> {
  const folder = resolveDataFolder({ role, flag: dataFolder });
  const admin = readAdminFile(folder);
  if (admin === undefined) return undefined;
  let unreachable: unknown;
  const connection = connectOverHttp(admin, (cause) => {
    unreachable = cause;
    return notRunning(role, folder, cause);
  });
  try {
    await answerOf(peerClient(connection).api.status.$get());
    return connection;
  } catch (thrown) {
    if (unreachable !== undefined && !isFrozen(unreachable)) return undefined;
    throw thrown;
  }
}

function connectOverHttp({ url, token }: AdminFile, asUnreachable: (cause: unknown) => P2pfsError): Connection {
  const send: SendRequest = async (target, init) => {
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), ANSWER_MS_MAX);
    try {
      // A proxy of the environment is not for a role on this machine.
      return await fetch(target, { ...init, signal: limit.signal, proxy: false, redirect: "error" });
    } catch (cause) {
      throw asUnreachable(cause);
    } finally {
      clearTimeout(timer);
    }
  };
  return { url, token, send };
}

function notRunning(role: Role, folder: string, cause?: unknown): P2pfsError {
  if (isFrozen(cause))
    return new P2pfsError("not_running", `the ${role} of the data folder ${folder} does not answer`, {
      cause,
      hint: "its process may be stopped; let it go on, or end it and start it again",
    });
  return new P2pfsError("not_running", `no ${role} runs in the data folder ${folder}`, {
    cause,
    hint: `start one with \`p2pfs ${role} start\`, or name another folder with --data`,
  });
}

/** The kernel took the connection, as it does for a stopped process too, but no answer came. */
function isFrozen(cause: unknown): boolean {
  return cause instanceof Error && cause.name === "AbortError";
}

function bearer(token: string): Record<string, string> {
  return { Authorization: `Bearer ${token}` };
}

/** The result of a command. Throws the error that the role answered with. */
export async function answerOf<Result>(pending: Promise<ClientResponse<Result>>): Promise<Result> {
  const response = await pending;
  const text = await response.text();
  if (!response.ok) throw errorIn(text) ?? strangeAnswer(response.status);
  try {
    return JSON.parse(text) as Result;
  } catch {
    throw strangeAnswer(response.status);
  }
}

/** All rows of a paged list. Throws `protocol` if the list does not end. */
export async function allPagesOf<Row extends object>(
  askPage: (query: { cursor?: string }) => Promise<ClientResponse<Page<Row>>>,
): Promise<Row[]> {
  const rows: Row[] = [];
  const walk = new PageWalk(performance.now());
  let cursor: string | null = null;
  do {
    const page: Page<Row> = await answerOf(askPage(cursor === null ? {} : { cursor }));
    rows.push(...page.rows);
    cursor = walk.after(page, performance.now());
  } while (cursor !== null);
  return rows;
}

/**
 * The lines of a streaming command; an error line is thrown. Leaving the loop early aborts the request, and so does the
 * signal between two lines.
 */
export async function* linesOf<Line>(
  pending: Promise<Pick<Response, "ok" | "status" | "body" | "text">>,
  signal?: AbortSignal,
): AsyncGenerator<Line> {
  const response = await pending;
  if (!response.ok || response.body === null) throw errorIn(await response.text()) ?? strangeAnswer(response.status);
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  const letGo = () => reader.cancel().catch(() => undefined);
  signal?.addEventListener("abort", letGo);
  if (signal?.aborted) await letGo();
  let rest = "";
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      const bytes = next.value;
      const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const error = errorIn(line);
        if (error !== undefined) throw error;
        yield JSON.parse(line) as Line;
      }
    }
  } catch (thrown) {
    throw thrown instanceof P2pfsError ? thrown : brokenOff(thrown);
  } finally {
    signal?.removeEventListener("abort", letGo);
    await letGo();
  }
  if (rest !== "") throw brokenOff();
}

const AnsweredErrorSchema = v.pipe(
  v.string(),
  v.parseJson(),
  v.object({ error: v.object({ code: v.string(), message: v.string(), hint: v.string() }) }),
);

function errorIn(text: string): P2pfsError | undefined {
  const parsed = v.safeParse(AnsweredErrorSchema, text);
  if (!parsed.success) return undefined;
  const { code, message, hint } = parsed.output.error;
  const known: ErrorCode = isErrorCode(code) ? code : "internal";
  return new P2pfsError(known, message, { hint });
}

/** A stale admin.json may lead to another program that has the port now. */
function strangeAnswer(status: number): P2pfsError {
  return new P2pfsError("not_running", `something else answers at the role's address (HTTP status ${status})`);
}

function brokenOff(cause?: unknown): P2pfsError {
  return new P2pfsError("not_running", "the role ended before it had answered", { cause });
}
