/** A process in virtual time: it has a clock, chance and a network of its own, can be frozen, and ends at any moment. */
import type { Clock, Random, Timer } from "../../../src/core/clock.ts";
import type { System } from "../../../src/net/system.ts";
import type { VirtualClock } from "../clock.ts";
import type { SimulatedNetwork } from "./network.ts";

/** Where virtual time begins, in milliseconds since 1970. */
export const EPOCH_MS = 1_800_000_000_000;

export interface ProcessOptions {
  readonly ip: string;
  readonly clock: VirtualClock;
  readonly network: SimulatedNetwork;
  readonly random: () => number;
}

export class Process {
  readonly ip: string;
  readonly system: System;
  readonly #clock: VirtualClock;
  readonly #network: SimulatedNetwork;
  #isAlive = true;
  #frozenUntil = 0;
  /** What is due and has to wait until the process runs again. */
  readonly #held: (() => void)[] = [];
  /** How far the wall clock of its machine is ahead of the time that has passed. */
  wallAheadMs = 0;

  constructor({ ip, clock, network, random }: ProcessOptions) {
    this.ip = ip;
    this.#clock = clock;
    this.#network = network;
    this.system = {
      clock: this.#ownClock(),
      random: randomOf(random),
      network: network.of(this),
      lookUp: () => Promise.reject(new Error("there is no name service")),
      isOwnIp: (other) => other === ip,
    };
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get isFrozen(): boolean {
    return this.#clock.now < this.#frozenUntil;
  }

  /** As by SIGKILL. */
  kill(): void {
    this.#isAlive = false;
    this.#held.length = 0;
    this.#network.dropProcess(this);
  }

  /** As by SIGSTOP, for so long. */
  freeze(ms: number): void {
    this.#frozenUntil = Math.max(this.#frozenUntil, this.#clock.now + ms);
    this.#clock.at(this.#frozenUntil, () => this.#thaw());
  }

  /** Does it now, or when the process runs again; never after its end. */
  run(action: () => void): void {
    if (!this.#isAlive) return;
    if (this.isFrozen) this.#held.push(action);
    else action();
  }

  soon(action: () => void): void {
    this.later(0, action);
  }

  later(ms: number, action: () => void): Timer {
    return this.#clock.after(ms, () => this.run(action));
  }

  #thaw(): void {
    if (this.isFrozen || !this.#isAlive) return;
    for (const action of this.#held.splice(0)) this.soon(action);
  }

  #ownClock(): Clock {
    const after = (ms: number, action: () => void): Timer => {
      let isCancelled = false;
      const planned = this.later(Math.max(0, ms), () => {
        // It may have been due while the process was frozen.
        if (!isCancelled) action();
      });
      return {
        cancel: () => {
          isCancelled = true;
          planned.cancel();
        },
      };
    };
    const every = (ms: number, action: () => void): Timer => {
      let timer: Timer;
      const repeat = () => {
        timer = after(ms, repeat);
        action();
      };
      timer = after(ms, repeat);
      return { cancel: () => timer.cancel() };
    };
    return {
      now: () => this.#clock.now,
      wallTime: () => Math.round(EPOCH_MS + this.#clock.now + this.wallAheadMs),
      after,
      every,
      nextTurn: (action) => this.soon(action),
    };
  }
}

function randomOf(number: () => number): Random {
  return { number, bytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(number() * 256)) };
}
