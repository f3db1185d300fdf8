/** Requests that went out on one connection and wait for their reply: ids, timeouts, and the end of all of them. */
import { P2pfsError } from "../core/errors.ts";
import type { Message, MessageName } from "../wire/messages.ts";

export interface RequestOptions {
  /** Without it the request waits as long as the connection lives. */
  readonly timeoutMs?: number;
  /** Names the buffer for the reply's payload when its header is here; undefined skips the payload. */
  readonly openPayload?: (reply: Message, payloadBytes: number) => Uint8Array | undefined;
}

export interface Reply<Name extends MessageName = MessageName> {
  readonly message: Message<Name>;
  readonly payload: Uint8Array | undefined;
}

interface PendingRequest {
  readonly openPayload: RequestOptions["openPayload"];
  readonly timer: Timer | undefined;
  resolve(reply: Reply): void;
  reject(error: P2pfsError): void;
}

export class PendingRequests {
  readonly #pending = new Map<number, PendingRequest>();
  #nextId = 1;

  get size(): number {
    return this.#pending.size;
  }

  /** `name` is told where no answer comes in time. */
  add(
    name: MessageName,
    { timeoutMs, openPayload }: RequestOptions,
  ): { readonly id: number; readonly reply: Promise<Reply> } {
    const id = this.#nextId++ >>> 0;
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const expire = () =>
      this.#take(id)?.reject(
        new P2pfsError("unreachable", `no answer to ${name} within ${Math.round(timeoutMs ?? 0)} ms`),
      );
    const timer = timeoutMs === undefined ? undefined : setTimeout(expire, timeoutMs);
    this.#pending.set(id, { openPayload, timer, resolve, reject });
    return { id, reply: promise };
  }

  /** The buffer for the payload of a reply whose header is here. */
  openPayload(reply: Message, payloadBytes: number): Uint8Array | undefined {
    const id = requestOf(reply);
    return id === undefined ? undefined : this.#pending.get(id)?.openPayload?.(reply, payloadBytes);
  }

  /** A reply that came too late, or was never asked for, harms nobody. */
  settle(message: Message, payload: Uint8Array | undefined): void {
    const id = requestOf(message);
    if (id !== undefined) this.#take(id)?.resolve({ message, payload });
  }

  fail(id: number, error: P2pfsError): void {
    this.#take(id)?.reject(error);
  }

  failAll(error: P2pfsError): void {
    for (const id of [...this.#pending.keys()]) this.fail(id, error);
  }

  #take(id: number): PendingRequest | undefined {
    const pending = this.#pending.get(id);
    if (pending === undefined) return undefined;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    return pending;
  }
}

function requestOf(message: Message): number | undefined {
  return "request" in message && message.request !== null ? message.request : undefined;
}
