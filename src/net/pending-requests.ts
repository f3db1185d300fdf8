/**
 * Requests that went out on one connection and wait for their reply: ids, timeouts, and the end of all of them. A
 * request that was given up is remembered until its answer comes, so that a late answer is told from one that nobody
 * asked for.
 */
import type { Clock, Timer } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { type Message, type MessageName, type RequestName, replyNameOf } from "../wire/messages.ts";

/** Requests that were given up and are still owed an answer; a side that owes more does not work. */
export const OVERDUE_MAX = 1024;

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
  readonly replyName: MessageName;
  readonly openPayload: RequestOptions["openPayload"];
  readonly timer: Timer | undefined;
  resolve(reply: Reply): void;
  reject(error: P2pfsError): void;
}

export class PendingRequests {
  readonly #clock: Clock;
  readonly #pending = new Map<number, PendingRequest>();
  /** Given up, and not answered yet: the name of the reply that is due. */
  readonly #overdue = new Map<number, MessageName>();
  #nextId = 1;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#pending.size;
  }

  get overdueCount(): number {
    return this.#overdue.size;
  }

  /** The request's name is told where no answer comes in time. */
  add(
    name: RequestName,
    { timeoutMs, openPayload }: RequestOptions,
  ): { readonly id: number; readonly reply: Promise<Reply> } {
    const id = this.#nextId++ >>> 0;
    const replyName = replyNameOf(name);
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const expire = () => {
      this.#overdue.set(id, replyName);
      this.fail(id, new P2pfsError("unreachable", `no answer to ${name} within ${Math.round(timeoutMs ?? 0)} ms`));
    };
    const timer = timeoutMs === undefined ? undefined : this.#clock.after(timeoutMs, expire);
    this.#pending.set(id, { replyName, openPayload, timer, resolve, reject });
    return { id, reply: promise };
  }

  /** Whether any request waits for a reply of this name, or for an answer of any kind where that is an ERROR. */
  isAwaiting(name: MessageName): boolean {
    if (name === "ERROR") return this.#pending.size + this.#overdue.size > 0;
    for (const { replyName } of this.#pending.values()) if (replyName === name) return true;
    for (const replyName of this.#overdue.values()) if (replyName === name) return true;
    return false;
  }

  /** Whether the request of this id may be answered by a message of this name. */
  isAnswer(name: MessageName, id: number): boolean {
    const due = this.#pending.get(id)?.replyName ?? this.#overdue.get(id);
    return due !== undefined && (name === "ERROR" || name === due);
  }

  /** The buffer for the payload of a reply whose header is here. */
  openPayload(reply: Message, payloadBytes: number): Uint8Array | undefined {
    const id = requestOf(reply);
    return id === undefined ? undefined : this.#pending.get(id)?.openPayload?.(reply, payloadBytes);
  }

  /** An answer that comes too late harms nobody. */
  settle(message: Message, payload: Uint8Array | undefined): void {
    const id = requestOf(message);
    if (id === undefined) return;
    this.#overdue.delete(id);
    this.#take(id)?.resolve({ message, payload });
  }

  /** The other side has answered this request with an error. */
  refuse(id: number, error: P2pfsError): void {
    this.#overdue.delete(id);
    this.fail(id, error);
  }

  /** Ends the request without an answer of the other side. */
  fail(id: number, error: P2pfsError): void {
    this.#take(id)?.reject(error);
  }

  failAll(error: P2pfsError): void {
    this.#overdue.clear();
    for (const id of [...this.#pending.keys()]) this.fail(id, error);
  }

  #take(id: number): PendingRequest | undefined {
    const pending = this.#pending.get(id);
    if (pending === undefined) return undefined;
    this.#pending.delete(id);
    pending.timer?.cancel();
    return pending;
  }
}

function requestOf(message: Message): number | undefined {
  return "request" in message && message.request !== null ? message.request : undefined;
}
