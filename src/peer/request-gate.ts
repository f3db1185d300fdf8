/**
 * Delays chunk requests until the limits on receiving allow for their answers. Delaying requests, rather than reading,
 * keeps other messages moving: unread chunks would wait in the kernel's buffers in front of the other side's requests.
 */
import type { Throttle } from "../net/send-queue.ts";

export interface RequestGateOptions {
  readonly throttle: Throttle;
  /**
   * Called with true when requests begin to wait and with false after the last is sent; the engine pauses meanwhile.
   */
  readonly holding: (isHolding: boolean) => void;
}

interface WaitingRequest {
  readonly id: number;
  readonly bytes: number;
  readonly send: () => void;
}

export class RequestGate {
  readonly #options: RequestGateOptions;
  /** Oldest first; bounded by the engine's request window. */
  readonly #waiting: WaitingRequest[] = [];
  /** The throttle will call `#resume`. */
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

  /** Removes a waiting request; false where it was sent already. */
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
