/**
 * Types of a role's handlers, as maps from message name to handler: one handler for each message that the other side's
 * role may send to this one, so that a missing handler does not compile.
 */
import type { P2pfsError } from "../core/errors.ts";
import type {
  Fields,
  Message,
  MessageName,
  NoticeName,
  ReplyName,
  RequestName,
  Role,
  Sendable,
} from "../wire/messages.ts";

/** A message without its request id, which the connection adds. */
export type Outgoing<Name extends MessageName = MessageName> = {
  [N in Name]: { readonly type: N } & Omit<Fields<N>, "request">;
}[Name];

/** The reply; `undefined` where the handler answers later, by `reply`, `replyWithPayload` or `refuse`. */
export type Answer<Name extends RequestName> = Outgoing<ReplyName<Name>> | undefined;

/** A thrown P2pfsError is sent as the request's ERROR. */
export type RequestHandler<Name extends RequestName> = (message: Message<Name>) => Promise<Answer<Name>> | Answer<Name>;

/** Handlers that are the same in every role. */
export const commonAnswers = {
  REQUEST_PING_PONG: () => ({ type: "REPLY_PING_PONG", response: "pong" }),
  HEARTBEAT: () => ({ type: "REPLY_HEARTBEAT" }),
} as const satisfies { readonly [Name in RequestName]?: RequestHandler<Name> };

export type RequestHandlers<From extends Role, To extends Role> = {
  readonly [Name in Exclude<Sendable<RequestName, From, To>, keyof typeof commonAnswers>]: RequestHandler<Name>;
};

export type NoticeHandlers<From extends Role, To extends Role> = {
  readonly [Name in Sendable<NoticeName, From, To>]: (message: Message<Name>) => void;
};

/** Callbacks of a connection beside those for messages. */
export interface ConnectionEvents {
  /** Converts what a handler threw into the error to send; the role logs defects here. */
  readonly reportableError?: (thrown: unknown, during: string) => P2pfsError;
  /** A handler has returned (`granted`) or refused the request; the answer may follow later. */
  readonly handled?: (name: RequestName, durationMs: number, granted: boolean) => void;
  /** Called once when the connection has closed, by either side. */
  readonly closed?: (cause: P2pfsError | undefined) => void;
  /** A payload frame has been sent, so the send queue has room for another. */
  readonly sent?: () => void;
  /** The send queue is blocked, since the other side reads too slowly. */
  readonly blocked?: () => void;
}

/** All that role `To` handles on a connection from role `From`. */
export interface ConnectionHandlers<From extends Role, To extends Role> extends ConnectionEvents {
  readonly requests: RequestHandlers<From, To>;
  readonly notices: NoticeHandlers<From, To>;
}
