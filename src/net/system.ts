/** What a role needs from its machine: time, random numbers, the network and name lookup. */
import { randomBytes } from "node:crypto";
import type { Clock, Random, Timer, TimerOptions } from "../core/clock.ts";
import { bunNetwork } from "./bun-network.ts";
import { type LookUp, lookUpBySystem } from "./host-name.ts";
import { isOwnIp } from "./own-host.ts";
import type { Network } from "./transport.ts";

export interface System {
  /** Whether a connection to this IP ends on this machine. */
  readonly isOwnIp: (ip: string) => boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly lookUp: LookUp;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wallTime: () => Date.now(),
  after: (ms, action, options) => asTimer(setTimeout(action, ms), options),
  every: (ms, action, options) => asTimer(setInterval(action, ms), options),
  nextTurn: (action) => void setImmediate(action),
};

function asTimer(
  timer: NodeJS.Timeout | ReturnType<typeof setTimeout>,
  { isBackground = false }: TimerOptions = {},
): Timer {
  if (isBackground) timer.unref();
  return { cancel: () => clearTimeout(timer) };
}

export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve));
}

/** Resolves in a later turn of the event loop. */
export function nextTurn(clock: Clock): Promise<void> {
  return new Promise((resolve) => clock.nextTurn(resolve));
}

export const realSystem: System = {
  isOwnIp,
  clock: systemClock,
  random: { number: Math.random, bytes: (count) => new Uint8Array(randomBytes(count)) },
  network: bunNetwork,
  lookUp: lookUpBySystem,
};
