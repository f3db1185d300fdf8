/**
 * Chunk requests that wait until the limits on receiving allow for their answers. Limiting what is asked for, rather
 * than what is read, keeps the connections free for everything else that they carry: what waits, waits here and not in
 * the kernel's buffers in front of the other side's requests.
 */
import type { Throttle } from "../net/send-queue.ts";

export interface RequestGateOptions {
  readonly throttle: Throttle;
  /** Requests began to wait, or the last of them has gone out: meanwhile nothing more should be asked for. */
  readonly holding: (isHolding: boolean) => void;
}

interface WaitingRequest {
  readonly id: number;
  readonly bytes: number;
  readonly send: () => void;
}

export class RequestGate {
  readonly #options: RequestGateOptions;
  /** In the order of asking; bounded by the window of whoever asks. */
  readonly #waiting: WaitingRequest[] = [];
  /** The throttle has been asked to call back. */
  #isWaiting = false;

  constructor(options: RequestGateOptions) {
    this.#options = options;
  }

  /** Sends the request now or later. */
  pass(id: number, bytes: number, send: () => void): void {
    this.#waiting.push({ id, bytes, send });
    this.#sendWaiting();
    if (this.#waiting.length === 1) this.#options.holding(true);
  }

  /** Takes back a request that has not gone out; false where it has. */
  withdraw(id: number): boolean {
    const index = this.#waiting.findIndex((request) => request.id === id);
    if (index < 0) return false;
    this.#waiting.splice(index, 1);
    if (this.#waiting.length === 0) this.#options.holding(false);
    return true;
  }

  clear(): void {
    this.#waiting.length = 0;
  }

  readonly #resume = (): void => {
    this.#isWaiting = false;
    const wasHolding = this.#waiting.length > 0;
    this.#sendWaiting();
    if (wasHolding && this.#waiting.length === 0) this.#options.holding(false);
  };

  #sendWaiting(): void {
    const { throttle } = this.#options;
    while (this.#waiting.length > 0 && !this.#isWaiting) {
      if (throttle.allow(this.#resume) === 0) {
        this.#isWaiting = true;
        return;
      }
      const { bytes, send } = this.#waiting.shift()!;
      throttle.spend(bytes);
      send();
    }
  }
}
