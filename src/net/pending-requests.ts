/**
 * Unanswered requests that this side has sent on one connection, with ids and timeouts. A request that timed out is
 * remembered until its answer arrives, so that a late answer is not mistaken for an unsolicited one.
 */
import type { Clock, Timer } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { type Message, type MessageName, type RequestName, replyNameOf } from "../wire/messages.ts";

/** Requests that timed out and have no answer yet; a peer that leaves more unanswered does not work. */
export const OVERDUE_MAX = 1024;

export interface RequestOptions {
  /** Without a timeout the request waits as long as the connection lives. */
  readonly timeoutMs?: number;
  /** Returns the buffer for the payload when the reply's header has arrived; undefined skips the payload. */
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
  /** Requests that timed out without an answer, with the name of their reply. */
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

  /** `name` is in the error that a timeout causes. */
  add(
    name: RequestName,
    { timeoutMs, openPayload }: RequestOptions,
  ): { readonly id: number; readonly reply: Promise<Reply> } {
    const id = this.#nextId++ >>> 0;
    const replyName = replyNameOf(name);
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const expire = () =>
      this.giveUp(id, new P2pfsError("unreachable", `no answer to ${name} within ${Math.round(timeoutMs ?? 0)} ms`));
    const timer = timeoutMs === undefined ? undefined : this.#clock.after(timeoutMs, expire);
    this.#pending.set(id, { replyName, openPayload, timer, resolve, reject });
    return { id, reply: promise };
  }

  /** Whether any request may be answered by a message of this name; ERROR answers every request. */
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

  /** The buffer for the payload of a reply whose header has arrived. */
  openPayload(reply: Message, payloadBytes: number): Uint8Array | undefined {
    const id = requestOf(reply);
    return id === undefined ? undefined : this.#pending.get(id)?.openPayload?.(reply, payloadBytes);
  }

  /** Resolves the request; a late answer is ignored. */
  settle(message: Message, payload: Uint8Array | undefined): void {
    const id = requestOf(message);
    if (id === undefined) return;
    this.#overdue.delete(id);
    this.#take(id)?.resolve({ message, payload });
  }

  /** The other side has answered the request with an ERROR. */
  refuse(id: number, error: P2pfsError): void {
    this.#overdue.delete(id);
    this.fail(id, error);
  }

  /** Rejects the request, and ignores its answer when that comes. */
  giveUp(id: number, error: P2pfsError): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#overdue.set(id, pending.replyName);
    this.fail(id, error);
  }

  /** Rejects the request; no answer is expected. */
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
