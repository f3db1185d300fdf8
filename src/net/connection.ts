/**
 * One framed connection: sends and receives messages, and matches requests with their replies. Both ends send HELLO
 * first; a role gets the connection when that exchange has succeeded. The meaning of messages belongs to the roles.
 */
import type { Clock } from "../core/clock.ts";
import { asP2pfsError, P2pfsError } from "../core/errors.ts";
import { SECOND_MS } from "../core/units.ts";
import { encodeFrame, type FrameFault, type FrameHandler } from "../wire/frame.ts";
import {
  type Fields,
  isRequest,
  type Message,
  type MessageName,
  mayGo,
  messageTable,
  PROTOCOL_VERSION,
  type ReplyName,
  type RequestName,
  type Role,
  STRANGER_HEADER_BYTES_MAX,
} from "../wire/messages.ts";
import { Dispatcher } from "./dispatcher.ts";
import { errorFrom, errorMessage } from "./error-message.ts";
import { Greeting } from "./greeting.ts";
import type { ConnectionHandlers, Outgoing } from "./handlers.ts";
import { Inflow } from "./inflow.ts";
import type { LoopTurns } from "./loop-turns.ts";
import { OVERDUE_MAX, PendingRequests, type Reply, type RequestOptions } from "./pending-requests.ts";
import type { RemoteMember, Security } from "./security.ts";
import { type PayloadOptions, type PayloadSource, SendQueue } from "./send-queue.ts";
import type { RemoteEnd, ShownCertificate, Transport } from "./transport.ts";

/** Invalid frames before the connection is closed. */
const FAULTS_MAX = 100;
/** A closing connection may take this long to send its last frames. */
const LINGER_MS_MAX = SECOND_MS;

/** This side's HELLO. */
export type LocalHello = Omit<Fields<"HELLO">, "version">;

export interface ConnectionOptions {
  readonly transport: Transport;
  readonly local: LocalHello;
  /** Undefined where connections are plain. */
  readonly security?: Security | undefined;
  /** Called when the other side's HELLO has arrived; sets the handlers before it returns. */
  readonly greeted: (connection: Connection) => void;
  readonly clock: Clock;
  readonly turns: LoopTurns;
}

export class Connection implements FrameHandler {
  readonly remote: RemoteEnd;
  /** This side's HELLO. */
  readonly local: LocalHello;
  /** Set by the role. While true, only short headers and messages that need no registration are allowed. */
  isStranger = false;
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #inflow: Inflow;
  readonly #queue: SendQueue;
  readonly #pending: PendingRequests;
  readonly #greeted: (connection: Connection) => void;
  readonly #greeting: Greeting;
  readonly #dispatcher: Dispatcher;
  readonly #pausers = new Set<object>();
  #faults = 0;
  #closed = false;
  #closing = false;
  #closeCause: P2pfsError | undefined;
  #lastFrameMs: number;

  constructor({ transport, local, security, greeted, clock, turns }: ConnectionOptions) {
    this.#transport = transport;
    this.remote = transport.remote;
    this.local = local;
    this.#greeted = greeted;
    this.#clock = clock;
    this.#lastFrameMs = clock.now();
    this.#pending = new PendingRequests(clock);
    this.#inflow = new Inflow({
      handler: this,
      clock,
      turns,
      pause: () => this.pause(this.#inflow),
      resume: () => this.resume(this.#inflow),
      failed: (thrown) =>
        this.#abort(this.#dispatcher.events.reportableError?.(thrown, "a frame") ?? asP2pfsError(thrown)),
    });
    this.#queue = new SendQueue({
      clock,
      write: (bytes) => transport.write(bytes),
      blocked: () => this.#dispatcher.events.blocked?.(),
      broken: (error) => this.#abort(error),
    });
    this.#dispatcher = new Dispatcher({
      clock,
      queue: this.#queue,
      connection: this,
      isOpen: () => this.isOpen,
      close: (cause) => this.close(cause),
    });
    this.#greeting = new Greeting({ clock, security, late: (error) => this.close(error) });
    if (security === undefined) this.#greet();
  }

  /** The other side's HELLO. */
  get hello(): Fields<"HELLO"> {
    if (this.#greeting.hello === undefined) throw new Error("a connection is handed out after HELLO only");
    return this.#greeting.hello;
  }

  /** Undefined for a plain connection, and for a side that has shown no certificate. */
  get member(): RemoteMember | undefined {
    return this.#greeting.member;
  }

  get isOpen(): boolean {
    return !this.#closed && !this.#closing;
  }

  /** Why the connection was or is being closed, where either side gave a reason. */
  get closeCause(): P2pfsError | undefined {
    return this.#closeCause;
  }

  get bytesReceived(): number {
    return this.#inflow.bytesReceived;
  }

  /** Bytes of the payload that is being received; 0 between payloads. */
  get payloadBytesReceived(): number {
    return this.#inflow.payloadBytesReceived;
  }

  /** When bytes last arrived, on the clock. */
  get lastReceivedMs(): number {
    return this.#inflow.lastReceivedMs;
  }

  /** When a whole frame last arrived, on the same clock. Bytes that make no frame are no sign of life. */
  get lastFrameMs(): number {
    return this.#lastFrameMs;
  }

  /** When the frame that is being received began, on the same clock; undefined between two frames. */
  get partialSinceMs(): number | undefined {
    return this.#inflow.partialSinceMs;
  }

  /** Payload frames that are queued or being sent. */
  get payloadFramesQueued(): number {
    return this.#queue.payloadFramesQueued;
  }

  /** Bytes that wait for the socket, without payload that is not read yet. */
  get sendBytesQueued(): number {
    return this.#queue.bytesQueued;
  }

  /** Since when the socket takes no more bytes, on the same clock; undefined while the other side reads. */
  get sendBlockedSinceMs(): number | undefined {
    return this.#queue.blockedSinceMs;
  }

  /** Handles what the other side, of role `From`, sends to this side, of role `To`. */
  serve<From extends Role, To extends Role>(handlers: ConnectionHandlers<From, To>): void {
    this.#dispatcher.serve(handlers);
  }

  /** Sends a request and resolves with its reply; rejects with the other side's ERROR, at the timeout, or at close. */
  async request<Name extends RequestName>(
    message: Outgoing<Name>,
    options: RequestOptions = {},
  ): Promise<Message<ReplyName<Name>>> {
    const { message: reply } = await this.ask(message, options).reply;
    return reply;
  }

  /** As `request`, for callers that need the request's id (for CANCEL) or the payload. */
  ask<Name extends RequestName>(
    message: Outgoing<Name>,
    options: RequestOptions = {},
  ): { readonly id: number; readonly reply: Promise<Reply<ReplyName<Name>>> } {
    if (this.#pending.overdueCount >= OVERDUE_MAX)
      this.close(new P2pfsError("unreachable", "the other side leaves too many requests unanswered"));
    const { id, reply } = this.#pending.add(message.type, options);
    if (this.isOpen) this.#queue.pushControl(encodeFrame({ ...message, request: id } as unknown as Message));
    else this.#pending.fail(id, this.#closeCause ?? new P2pfsError("unreachable", "the connection is closed"));
    return { id, reply: reply as Promise<Reply<ReplyName<Name>>> };
  }

  /** Rejects a request of this side that has no answer yet, so that it is not waited for. A late answer is ignored. */
  giveUp(id: number, error: P2pfsError): void {
    this.#pending.giveUp(id, error);
  }

  /** Sends a notice. */
  send(message: Message): void {
    if (this.isOpen) this.#queue.pushControl(encodeFrame(message));
  }

  /** Sends a notice that was encoded once for many connections. */
  sendEncoded(frame: Uint8Array): void {
    if (this.isOpen) this.#queue.pushControl(frame);
  }

  /** Answers the request of this id, if it has no answer yet. */
  reply(request: number, message: Outgoing): void {
    this.#dispatcher.reply(request, message);
  }

  /** Answers with a payload, which is queued behind control frames. False where the request has its answer already. */
  replyWithPayload(request: number, message: Outgoing, source: PayloadSource, options?: PayloadOptions): boolean {
    return this.#dispatcher.replyWithPayload(request, message, source, options);
  }

  refuse(request: number, error: P2pfsError): void {
    this.#dispatcher.refuse(request, error);
  }

  /** Whether this side waits for an answer. */
  get isAwaitingReply(): boolean {
    return this.#pending.size > 0;
  }

  /** Requests of the other side without an answer yet. */
  get requestsServed(): number {
    return this.#dispatcher.requestsServed;
  }

  get isPaused(): boolean {
    return this.#pausers.size > 0;
  }

  /** Stops reading from the socket until every pauser has resumed it: backpressure to the other side. */
  pause(pauser: object): void {
    if (this.#pausers.size === 0 && !this.#closed) this.#transport.pause();
    this.#pausers.add(pauser);
  }

  resume(pauser: object): void {
    if (this.#pausers.delete(pauser) && this.#pausers.size === 0 && !this.#closed) this.#transport.resume();
  }

  /** Sends what is queued, then an ERROR with the cause if there is one, and closes. */
  close(cause?: P2pfsError): void {
    if (this.#closed || this.#closing) return;
    if (cause !== undefined && this.#greeting.canSpeak) this.#queue.pushControl(encodeFrame(errorMessage(cause, null)));
    this.#closing = true;
    this.#closeCause = cause;
    this.#inflow.close();
    this.#clock.after(LINGER_MS_MAX, () => this.#abort(cause), { isBackground: true });
    queueMicrotask(() => this.#endWhenSent());
  }

  // From the socket

  handleSecured(shown: ShownCertificate | undefined): void {
    const fault = this.#greeting.secured(shown);
    if (fault === undefined) this.#greet();
    else this.close(fault);
  }

  /** Closes the connection if the other side is no member any more. */
  closeIfLapsed(): void {
    const lapse = this.#greeting.lapse();
    if (lapse !== undefined) this.close(lapse);
  }

  handleData(piece: Uint8Array): void {
    this.#inflow.push(piece);
  }

  handleDrain(): void {
    this.#queue.drain();
    this.#endWhenSent();
  }

  handleClosed(error?: Error | null): void {
    if (this.#closed) return;
    this.#inflow.end();
    this.#closed = true;
    this.#greeting.close();
    this.#inflow.close();
    this.#queue.close();
    const cause =
      this.#closeCause ?? (error ? new P2pfsError("unreachable", `the connection broke: ${error.message}`) : undefined);
    const lost = cause ?? new P2pfsError("unreachable", "the other side closed the connection");
    this.#pending.failAll(lost);
    this.#dispatcher.clear();
    this.#dispatcher.events.closed?.(cause);
  }

  // From the decoder

  /** Refuses an unsolicited reply before its header is read; not an ERROR, which may concern the whole connection. */
  checkFrame(name: MessageName | undefined, headerBytes: number): string | undefined {
    const isFirst = this.#greeting.hello === undefined;
    if (isFirst && name !== "HELLO" && name !== "ERROR") return "the first frame must be HELLO";
    if ((isFirst || this.isStranger) && headerBytes > STRANGER_HEADER_BYTES_MAX)
      return `a header of ${headerBytes} bytes is too long for somebody who is not known yet`;
    if (name === undefined || name === "ERROR" || messageTable[name].kind !== "reply") return undefined;
    return this.#pending.isAwaiting(name) ? undefined : `nobody asked for a ${name}`;
  }

  checkHeader(name: MessageName, request: number | null): string | undefined {
    if (messageTable[name].kind !== "reply" || (name === "ERROR" && request === null)) return undefined;
    if (request !== null && this.#pending.isAnswer(name, request)) return undefined;
    return `no request waits for this ${name}`;
  }

  openPayload(message: Message, payloadBytes: number): Uint8Array | undefined {
    return this.#pending.openPayload(message, payloadBytes);
  }

  handleMessage(message: Message, payload: Uint8Array | undefined): void {
    this.#lastFrameMs = this.#clock.now();
    const { hello } = this.#greeting;
    if (hello === undefined) return this.#handleHello(message);
    if (message.type === "ERROR") return this.#handleError(message);
    const { kind, way } = messageTable[message.type];
    if (kind === "reply") return this.#pending.settle(message, payload);
    if (!mayGo(way, hello.role, this.local.role)) return this.#handleStray(message);
    this.#dispatcher.dispatch(message, this.#refusalOf(message.type));
  }

  handleFault(fault: FrameFault): void {
    const error = new P2pfsError(fault.code, fault.message);
    if (fault.fatal || this.#greeting.hello === undefined || ++this.#faults > FAULTS_MAX) return this.close(error);
    this.#queue.pushControl(encodeFrame(errorMessage(error, fault.request)));
  }

  /** A message that the other side's role may not send to this side's role. */
  #handleStray(message: Message): void {
    const request = isRequest(message.type) && "request" in message ? message.request : null;
    const text = `${message.type} is not for a ${this.hello.role} to send to a ${this.local.role}`;
    this.handleFault({ fatal: false, code: "unknown_message", message: text, request });
  }

  #greet(): void {
    this.#queue.pushControl(encodeFrame({ type: "HELLO", version: PROTOCOL_VERSION, ...this.local }));
  }

  #handleHello(message: Message): void {
    if (message.type === "ERROR") return this.#handleError({ ...message, request: null });
    const fault = this.#greeting.take(message);
    if (fault !== undefined) return this.close(fault);
    this.#greeted(this);
  }

  /** The other side refused one request, or closes the connection (no request id). */
  #handleError(message: Message<"ERROR">): void {
    const error = errorFrom(message);
    if (message.request === null) this.#closeCause = error;
    else this.#pending.refuse(message.request, error);
  }

  /** Why the other side may not send this message now. */
  #refusalOf(type: MessageName): P2pfsError | undefined {
    const { stage } = messageTable[type];
    if (this.#greeting.isOutsider && stage !== "greeted")
      return new P2pfsError("unauthorised", `${type} is for members of the swarm`);
    if (!this.isStranger || stage !== "registered") return undefined;
    return new P2pfsError("unauthorised", `${type} needs a registered session`, { hint: "register first" });
  }

  #endWhenSent(): void {
    if (this.#closing && !this.#closed && this.#queue.isEmpty) this.#transport.end();
  }

  #abort(cause: P2pfsError | undefined): void {
    if (this.#closed) return;
    this.#closeCause ??= cause;
    this.#transport.terminate();
    this.handleClosed();
  }
}
