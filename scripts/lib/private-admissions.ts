/** How many machines one tracker lets in in a second, and how many connections of members it takes. */
import { join } from "node:path";
import { type Address, formatHostPort } from "../../src/core/address.ts";
import { SECOND_MS } from "../../src/core/units.ts";
import { securityOf } from "../../src/identity/credentials.ts";
import { type Invitation, parseInvitation } from "../../src/identity/invitation.ts";
import { createPrivateKeyPem } from "../../src/identity/keys.ts";
import type { Membership } from "../../src/identity/membership.ts";
import { Endpoint } from "../../src/net/endpoint.ts";
import { realSystem } from "../../src/net/system.ts";
import { joinSwarm } from "../../src/peer/join-swarm.ts";
import { atExit } from "./at-exit.ts";
import { cpuSecondsOf } from "./measure.ts";

const MEASURED_MS = 4 * SECOND_MS;
const WARM_UP_MS = 2 * SECOND_MS;
const TRACKER_MS_MAX = 600 * SECOND_MS;
const AT_ONCE = 8;

export interface Rate {
  readonly perSecond: readonly number[];
  /** Of the tracker, each. */
  readonly cpuMs: number;
}

export async function measureAdmissions(
  folder: string,
  rounds: number,
): Promise<{ readonly joins: Rate; readonly handshakes: Rate }> {
  const script = join(import.meta.dir, "join-tracker.ts");
  const child = Bun.spawn([process.execPath, script, folder], {
    stdio: ["ignore", "pipe", "inherit"],
    timeout: TRACKER_MS_MAX,
  });
  const undo = atExit(() => child.kill("SIGKILL"));
  try {
    const invitation = parseInvitation(await firstLine(child.stdout));
    const endpoint = memberEndpoint(await joinAnew(invitation));
    const at = formatHostPort(invitation.trackers[0]!) as Address;
    const connect = async () => (await endpoint.dial(at, { timeoutMs: 10 * SECOND_MS })).close();
    return {
      joins: await rateOf(() => joinAnew(invitation), rounds, child.pid),
      handshakes: await rateOf(connect, rounds, child.pid),
    };
  } finally {
    undo();
    await child.exited;
  }
}

/** A whole join: a key (a twentieth of a millisecond), two connections, a certificate. */
async function joinAnew(invitation: Invitation): Promise<Membership> {
  const membership = await joinSwarm({ invitation, key: await createPrivateKeyPem(), name: "bench" });
  if (membership === undefined) throw new Error("the tracker waits for an approval");
  return membership;
}

/** Connects as this member. */
export function memberEndpoint(membership: Membership): Endpoint {
  const security = securityOf({
    membership: () => membership,
    isRevoked: () => false,
    wallTime: () => realSystem.clock.wallTime(),
  });
  const local = () => ({ role: "peer", agent: "bench", address: null }) as const;
  return new Endpoint({ system: realSystem, local, security: () => security });
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const piece of stream) {
    text += decoder.decode(piece, { stream: true });
    if (text.includes("\n")) return text.trim();
  }
  throw new Error("the tracker did not start");
}

async function rateOf(work: () => Promise<unknown>, rounds: number, tracker: number): Promise<Rate> {
  await repeat(work, WARM_UP_MS);
  const before = cpuSecondsOf(tracker);
  const perSecond: number[] = [];
  let all = 0;
  for (let round = 0; round < rounds; round++) {
    const { done, ms } = await repeat(work, MEASURED_MS);
    perSecond.push((done * SECOND_MS) / ms);
    all += done;
  }
  return { perSecond, cpuMs: ((cpuSecondsOf(tracker) - before) * SECOND_MS) / all };
}

/** Does it again and again, several at once. */
async function repeat(work: () => Promise<unknown>, forMs: number): Promise<{ done: number; ms: number }> {
  const began = performance.now();
  let done = 0;
  const worker = async () => {
    for (; performance.now() - began < forMs; done++) await work();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return { done, ms: performance.now() - began };
}
