/**
 * The admin endpoints: every route of both roles, with any method, path, query, headers and body, with the token and
 * without. An input is the text of a request: role and token, method and path, headers, an empty line, the body.
 */
import { join } from "node:path";
import type { Hono } from "hono";
import { Instruments } from "../../../src/admin/instruments.ts";
import { createPeerApp } from "../../../src/admin/peer-app.ts";
import { createTrackerApp } from "../../../src/admin/tracker-app.ts";
import { isErrorCode } from "../../../src/core/errors.ts";
import { textOf } from "../../../src/core/log.ts";
import { makeRequest } from "../../../src/identity/issuing.ts";
import { createPrivateKeyPem } from "../../../src/identity/keys.ts";
import { pemOf } from "../../../src/identity/signed.ts";
import { mutated, oneOf } from "../mutation.ts";
import { assert, decode, encode, inWords, type Mutation, type Target } from "../target.ts";
import { SHARED, SHARED_PATH, System } from "./sessions.ts";

const TOKEN = "right-token";
const ORIGIN = "http://127.0.0.1";
/** Then a command has changed too much of the system. */
const RUNS_MAX = 60;
const ANSWER_MS_MAX = 8000;
/** In real time. */
const SIGNING_MS_MAX = 5000;
/** Of a message: what follows may quote the request. */
const OUTCOME_CHARACTERS = 20;
const STATUSES = [200, 400, 401, 403, 404, 408, 409, 413, 415, 502, 503, 507];
/** Of routes that answer everybody. */
const OPEN = /^(?:GET|HEAD) \/(?:healthz|assets\/[^/]*)?$|^POST \/api\/session$/;

type Role = "tracker" | "peer";

interface Call {
  readonly role: Role;
  readonly hasToken: boolean;
  readonly method: string;
  readonly path: string;
  readonly headers: readonly string[];
  readonly body: string;
}

function textOfCall({ role, hasToken, method, path, headers, body }: Call): string {
  return [`${role} ${hasToken ? "+" : "-"} ${method} ${path}`, ...headers, "", body].join("\n");
}

function callOf(text: string): Call {
  const [head = "", body = ""] = [text.split("\n\n", 1)[0], text.slice(text.indexOf("\n\n") + 2)];
  const [first = "", ...headers] = head.split("\n");
  const [role, token, method = "", ...path] = first.split(" ");
  return {
    role: role === "tracker" ? role : "peer",
    hasToken: token !== "-",
    method: method === "" ? "GET" : method,
    path: path.join(" "),
    headers,
    body: text.includes("\n\n") ? body : "",
  };
}

const certificateRequest = pemOf(await makeRequest(await createPrivateKeyPem()), "CERTIFICATE REQUEST");
const bodies: Readonly<Record<string, object>> = {
  "POST /api/connect": { host: "10.0.1.1", port: 7700 },
  "POST /api/shares": { path: SHARED_PATH, lname: SHARED, fname: "again.bin" },
  "POST /api/fetches": {
    what: SHARED,
    destination: "/files/copy.bin",
    from: { host: "10.0.0.1", port: 7000 },
    tracker: { host: "10.0.1.1", port: 7700 },
    limits: { up_limit: null, down_limit: 1_000_000 },
    detached: false,
  },
  "PUT /api/limits": { up_limit: 65_536, down_limit: null },
  "POST /api/start": { host: "10.0.1.1", port: 7700 },
  "POST /api/swarm/invitations": { uses: 1, for_ms: 60_000, role: "peer", approve: false, label: "x" },
  "POST /api/swarm/sign": { request: certificateRequest, role: "peer", name: "x" },
  "POST /api/swarm/approve": { member: "member-1" },
  "POST /api/swarm/revoke": { member: "member-2" },
  "POST /api/session": { code: "x" },
};
const queries: Readonly<Record<string, string>> = {
  "GET /api/discover": "?host=10.0.0.1&port=7000",
  "GET /api/ping": "?host=10.0.0.1&port=7000",
  "GET /api/browse": "?path=/",
  "GET /api/files": '?cursor=["shared.bin",1,0]',
  "DELETE /api/fetches/:id": "?keep=true",
};
const parameters: Readonly<Record<string, string>> = {
  ":fname": SHARED,
  ":id": "1",
  ":content_id": "ab".repeat(32),
  ":name": "index.js",
};

/** The apps of a tracker and of a peer, and the system behind them. */
class Endpoints {
  readonly system: System;
  readonly apps = new Map<Role, Hono>();
  readonly #instruments: Instruments[] = [];
  readonly #defects: string[] = [];
  #runs = 0;

  constructor(seed: number) {
    this.system = new System(seed, true);
  }

  async open(): Promise<void> {
    const { world } = this.system;
    await this.system.start();
    const options = () => {
      const instruments = new Instruments();
      instruments.logTo((level, ...entry) => {
        if (textOf(...entry).includes("defect "))
          this.#defects.push(`${level}: ${textOf(...entry)} ${Bun.inspect(entry[1])}`);
      });
      this.#instruments.push(instruments);
      return { token: TOKEN, host: "127.0.0.1", onShutdown: () => {}, url: () => ORIGIN, instruments };
    };
    const tracker = createTrackerApp(world.trackers[0]!.tracker!, options());
    const browseFolder = join(import.meta.dir, "..");
    const peer = createPeerApp(world.hosts[1]!.peer!, { ...options(), browseFolder });
    this.apps.set("tracker", tracker as unknown as Hono).set("peer", peer as unknown as Hono);
    // From source, the page is bundled at the first request, which takes longer than an answer may.
    await peer.request("/assets/app.js");
  }

  get isWorn(): boolean {
    return ++this.#runs > RUNS_MAX;
  }

  /** The answer, and its text; of a stream that does not end, the first part. */
  async answerTo(role: Role, request: Request): Promise<{ readonly answer: Response; readonly text: string }> {
    const answering = (async () => {
      await new Promise(setImmediate);
      const answer = await this.apps.get(role)!.fetch(request);
      const isEndless = answer.headers.get("content-type")?.startsWith("text/event-stream");
      if (isEndless) await answer.body?.cancel();
      return { answer, text: isEndless ? "" : await answer.text() };
    })();
    const settled = answering.then(
      (value) => ({ value }),
      (thrown: unknown) => ({ thrown }),
    );
    let outcome: Awaited<typeof settled> | undefined;
    void settled.then((value) => {
      outcome = value;
    });
    await this.#passTime(() => outcome !== undefined);
    assert(outcome !== undefined, "there is no answer");
    if ("thrown" in outcome) throw outcome.thrown;
    const violation = this.#defects[0] ?? this.system.world.violations[0];
    assert(violation === undefined, violation ?? "");
    return outcome.value;
  }

  /** In virtual time, which the routes have to go by as well; what is signed takes real time. */
  async #passTime(isOver: () => boolean): Promise<void> {
    const { clock } = this.system.world;
    const { now } = performance;
    const realEndMs = now.call(performance) + SIGNING_MS_MAX;
    performance.now = () => clock.now;
    try {
      for (const endMs = clock.now + ANSWER_MS_MAX; !isOver() && clock.now < endMs; ) {
        await new Promise(setImmediate);
        this.system.world.runUntil(clock.now + 5);
      }
      while (!isOver() && now.call(performance) < realEndMs) {
        await Bun.sleep(1);
        this.system.world.runUntil(clock.now + 1);
      }
    } finally {
      performance.now = now;
    }
  }

  close(): void {
    for (const instruments of this.#instruments) instruments.close();
    this.system.close();
  }
}

const ODD_VALUES = [
  null,
  true,
  -1,
  0,
  1.5,
  1e308,
  65_536,
  "",
  "x".repeat(5000),
  "a\0b",
  "\ud800",
  "../..",
  [],
  {},
  [[]],
];

/** The JSON with some value, at whatever depth, being another one. */
function mutatedJson(text: string, random: () => number): string | undefined {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch {
    return undefined;
  }
  const containers: Record<string, unknown>[] = [];
  const collect = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    containers.push(value as Record<string, unknown>);
    Object.values(value).forEach(collect);
  };
  collect(root);
  if (containers.length === 0) return undefined;
  const container = oneOf(containers, random);
  const field = oneOf([...Object.keys(container), "more", "__proto__"], random);
  if (random() < 0.2) delete container[field];
  else
    Object.defineProperty(container, field, { value: oneOf(ODD_VALUES, random), enumerable: true, configurable: true });
  return JSON.stringify(root);
}

let endpoints: Endpoints | undefined;
let opened = 0;

async function running(): Promise<Endpoints> {
  if (endpoints?.isWorn) end();
  if (endpoints === undefined) {
    endpoints = new Endpoints(++opened);
    await endpoints.open();
  }
  return endpoints;
}

function end(): void {
  endpoints?.close();
  endpoints = undefined;
}

const routes: Target = {
  name: "admin routes",
  isSlow: true,
  async inputs() {
    const { apps } = await running();
    return [...apps].flatMap(([role, app]) =>
      app.routes
        .filter(({ method }) => method !== "ALL")
        .map(({ method, path }) => {
          const route = `${method} ${path}`;
          const filled = path.replace(/:\w+/g, (name) => parameters[name] ?? "x");
          const json = bodies[route];
          return encode(
            textOfCall({
              role,
              hasToken: true,
              method,
              path: `${filled}${queries[route] ?? ""}`,
              headers: json === undefined ? [] : ["content-type: application/json"],
              body: json === undefined ? "" : JSON.stringify(json),
            }),
          );
        }),
    );
  },
  mutate(input, how: Mutation) {
    const call = callOf(decode(input));
    const { random } = how;
    const changed = (text: string) => decode(mutated(encode(text), how)).replaceAll("\n", " ");
    const other = callOf(decode(oneOf(how.others, random)));
    const changes: readonly (() => Partial<Call>)[] = [
      () => ({ body: mutatedJson(call.body, random) ?? changed(call.body) }),
      () => ({ body: mutatedJson(call.body, random) ?? changed(call.body) }),
      () => ({ body: changed(call.body) }),
      () => ({ path: changed(call.path) }),
      () => ({ path: other.path }),
      () => ({ method: oneOf(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", other.method], random) }),
      () => ({ hasToken: random() < 0.7 }),
      () => ({ headers: [...call.headers, changed("content-type: application/json")] }),
      () => ({ headers: [...call.headers, oneOf(["host: x", "origin: http://x", "last-event-id: 1-1"], random)] }),
    ];
    return encode(textOfCall({ ...call, ...oneOf(changes, random)() }));
  },
  async run(input) {
    const call = callOf(decode(input));
    const request = requestOf(call);
    if (request === undefined) return "no request";
    const { answer, text } = await (await running()).answerTo(call.role, request);
    const { status } = answer;
    assert(STATUSES.includes(status), `the status ${status}: ${text.slice(0, 200)}`);
    const { pathname } = new URL(request.url);
    const isOpen = OPEN.test(`${request.method} ${pathname}`);
    assert(call.hasToken || isOpen || status >= 400, `${status} without the token`);
    const isGuarded = answer.headers.get("x-content-type-options") === "nosniff";
    assert(isGuarded && answer.headers.has("content-security-policy"), "the answer has no security headers");
    assert(!text.includes("PRIVATE KEY"), "the answer has a private key");
    if (status < 400 || request.method === "HEAD" || pathname === "/readyz") return `${status}`;
    const { code, message } = (JSON.parse(text) as { error: { code: string; message: string } }).error;
    assert(isErrorCode(code) && code !== "internal" && message !== "", `the error ${text}`);
    return `${status} ${code}: ${inWords(message).slice(0, OUTCOME_CHARACTERS)}`;
  },
  end,
};

/** Undefined for what no client could send. */
function requestOf({ method, path, headers, body, hasToken }: Call): Request | undefined {
  try {
    const fields = new Headers(hasToken ? { authorization: `Bearer ${TOKEN}` } : {});
    for (const header of headers) fields.append(header.split(":", 1)[0]!, header.slice(header.indexOf(":") + 1));
    const hasBody = body !== "" && !["GET", "HEAD"].includes(method.toUpperCase());
    const url = new URL(`${ORIGIN}${path}`);
    return url.origin === ORIGIN
      ? new Request(url.href, { method, headers: fields, ...(hasBody ? { body } : {}) })
      : undefined;
  } catch {
    return undefined;
  }
}

export const adminTargets = [routes];
