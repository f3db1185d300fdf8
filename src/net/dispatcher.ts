/** Hands requests and notices of the other side to the handlers of the role, and sends one answer to each request. */
import type { Clock } from "../core/clock.ts";
import { asP2pfsError, P2pfsError } from "../core/errors.ts";
import { encodeFrame } from "../wire/frame.ts";
import { isRequest, type Message, type MessageName, type RequestName, type Role } from "../wire/messages.ts";
import type { Pausable } from "./allowance.ts";
import { errorMessage } from "./error-message.ts";
import { type ConnectionEvents, type ConnectionHandlers, commonAnswers, type Outgoing } from "./handlers.ts";
import type { PayloadOptions, PayloadSource, SendQueue } from "./send-queue.ts";
import { ServedRequests } from "./served-requests.ts";

/** The handlers of any role, looked up by message name. */
type HandlerOf = Partial<
  Record<MessageName, (message: Message) => Promise<Outgoing | undefined> | Outgoing | undefined>
>;

export interface DispatcherOptions {
  readonly clock: Clock;
  readonly queue: SendQueue;
  /** Held back where the other side asks too much. */
  readonly connection: Pausable;
  /** Whether answers are sent still. */
  readonly isOpen: () => boolean;
  readonly close: (cause: P2pfsError) => void;
}

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #served: ServedRequests;
  #handlers: HandlerOf = commonAnswers;
  #events: ConnectionEvents = {};

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#served = new ServedRequests(options.clock);
  }

  get events(): ConnectionEvents {
    return this.#events;
  }

  /** Requests without an answer yet. */
  get requestsServed(): number {
    return this.#served.size;
  }

  serve<From extends Role, To extends Role>({ requests, notices, ...events }: ConnectionHandlers<From, To>): void {
    this.#handlers = { ...commonAnswers, ...requests, ...notices } as HandlerOf;
    this.#events = events;
  }

  /** @param refusal why this side does not take the message from the other one now */
  dispatch(message: Message, refusal: P2pfsError | undefined): void {
    if (isRequest(message.type)) this.#serve(message as Message<RequestName>, refusal);
    else if (refusal === undefined) this.#handlers[message.type]?.(message);
  }

  reply(request: number, message: Outgoing): void {
    if (this.#end(request)) this.#options.queue.pushControl(encodeFrame({ ...message, request } as unknown as Message));
  }

  replyWithPayload(
    request: number,
    message: Outgoing,
    source: PayloadSource,
    { throttle, sent }: PayloadOptions = {},
  ): boolean {
    if (!this.#end(request)) return false;
    const head = encodeFrame({ ...message, request } as unknown as Message, source.bytes);
    this.#options.queue.pushPayload({
      head,
      source,
      throttle,
      sent: () => {
        sent?.();
        this.#events.sent?.();
      },
    });
    return true;
  }

  refuse(request: number, error: P2pfsError): void {
    if (!this.#end(request)) return;
    if (error.code === "busy") this.#served.refusedAsBusy(this.#options.connection);
    this.#options.queue.pushControl(encodeFrame(errorMessage(error, request)));
  }

  clear(): void {
    this.#served.clear();
  }

  /** Whether the request waits for its answer, which can be sent now. */
  #end(request: number): boolean {
    return this.#options.isOpen() && this.#served.end(request);
  }

  #serve(message: Message<RequestName>, refusal: P2pfsError | undefined): void {
    const { request } = message;
    const begun = this.#served.begin(request);
    if (begun === "in_use") return this.#options.close(new P2pfsError("protocol", `request id ${request} is in use`));
    if (begun === "too_many") return this.refuse(request, new P2pfsError("busy", "too many requests"));
    if (refusal !== undefined) return this.refuse(request, refusal);
    this.#answer(message);
  }

  async #answer(message: Message<RequestName>): Promise<void> {
    const { request, type } = message;
    const { clock } = this.#options;
    const receivedMs = clock.now();
    let granted = false;
    try {
      const handler = this.#handlers[type];
      if (handler === undefined) throw new P2pfsError("unknown_message", `${type} is not served here`);
      const reply = await handler(message);
      granted = true;
      if (reply !== undefined) this.reply(request, reply);
    } catch (thrown) {
      this.refuse(request, this.#events.reportableError?.(thrown, type) ?? asP2pfsError(thrown));
    }
    this.#events.handled?.(type, clock.now() - receivedMs, granted);
  }
}
