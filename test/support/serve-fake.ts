/** One end of a connection that a test plays: it deals with messages as the test wants, complete and typed or not. */
import type { Connection } from "../../src/net/connection.ts";
import {
  type ConnectionEvents,
  type ConnectionHandlers,
  commonAnswers,
  type Outgoing,
} from "../../src/net/handlers.ts";
import {
  isRequest,
  type Message,
  type MessageName,
  messageTable,
  type RequestName,
  type Role,
} from "../../src/wire/messages.ts";

/** What a request is answered with; undefined for silence, or for an answer that comes later. */
type FakeAnswer = Outgoing | undefined;

/** By request. One without an entry is met with silence, but for those that each role answers alike. */
export type Answers = {
  readonly [Name in RequestName]?: (message: Message<Name>) => Promise<FakeAnswer> | FakeAnswer;
};

export interface FakeHandlers extends ConnectionEvents {
  readonly answers?: Answers;
  /** In place of `answers`: every request, those that each role answers alike as well. */
  readonly request?: (message: Message<RequestName>) => Promise<FakeAnswer> | FakeAnswer;
  readonly notice?: (message: Message) => void;
}

export function serveFake(connection: Connection, { answers, request, notice, ...events }: FakeHandlers): void {
  const names = Object.keys(messageTable) as MessageName[];
  const requestNames = names.filter(isRequest);
  const noticeNames = names.filter((name) => messageTable[name].kind === "notice" && name !== "HELLO");
  const toEach = (handler: unknown, of: readonly MessageName[]) =>
    Object.fromEntries(of.map((name) => [name, handler]));
  const byName = answers && { ...toEach(() => undefined, requestNames), ...commonAnswers, ...answers };
  const handlers = {
    requests: (request && toEach(request, requestNames)) ?? byName ?? {},
    notices: notice === undefined ? {} : toEach(notice, noticeNames),
    ...events,
  };
  connection.serve(handlers as unknown as ConnectionHandlers<Role, Role>);
}
