/**
 * What a role does with the messages that come in on a connection, as maps from name to handler: one handler for each
 * message that the other side's role may send to this one, so that a message without a handler does not compile.
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

/** A message before the connection has given it its request id. */
export type Outgoing<Name extends MessageName = MessageName> = {
  [N in Name]: { readonly type: N } & Omit<Fields<N>, "request">;
}[Name];

/** The reply; `undefined` where it follows by `reply`, `replyWithPayload` or `refuse` of the connection. */
export type Answer<Name extends RequestName> = Outgoing<ReplyName<Name>> | undefined;

/** A thrown P2pfsError becomes the ERROR that the request is answered with. */
export type RequestHandler<Name extends RequestName> = (message: Message<Name>) => Promise<Answer<Name>> | Answer<Name>;

/** Answered alike by every role that may be asked. */
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

/** What happens on a connection beside messages. */
export interface ConnectionEvents {
  /** The error to send for what a handler threw; a role logs its defects there. */
  readonly reportableError?: (thrown: unknown, during: string) => P2pfsError;
  /** A handler has dealt with a request, or has refused it; its answer may still follow. */
  readonly handled?: (name: RequestName, durationMs: number, granted: boolean) => void;
  /** Called once, when the connection is gone, by whoever's doing. */
  readonly closed?: (cause: P2pfsError | undefined) => void;
  /** The send queue moved on: more payload frames may fit. */
  readonly sent?: () => void;
  /** The send queue stands still, since the other side does not read as fast. */
  readonly blocked?: () => void;
}

/** For a connection over which one role sends to another. */
export interface ConnectionHandlers<From extends Role, To extends Role> extends ConnectionEvents {
  readonly requests: RequestHandlers<From, To>;
  readonly notices: NoticeHandlers<From, To>;
}
