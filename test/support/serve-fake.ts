/** One end of a connection that a test plays: it deals with messages as the test wants, complete and typed or not. */
import type { Connection } from "../../src/net/connection.ts";
import type { ConnectionEvents, ConnectionHandlers, Outgoing } from "../../src/net/handlers.ts";
import {
  isRequest,
  type Message,
  type MessageName,
  messageTable,
  type RequestName,
  type Role,
} from "../../src/wire/messages.ts";

export interface FakeHandlers extends ConnectionEvents {
  /** Every request, those that each role answers alike as well. Without it only those are answered. */
  readonly request?: (message: Message<RequestName>) => Promise<Outgoing | undefined> | Outgoing | undefined;
  readonly notice?: (message: Message) => void;
}

export function serveFake(connection: Connection, { request, notice, ...events }: FakeHandlers): void {
  const names = Object.keys(messageTable) as MessageName[];
  const mapOf = (handler: unknown, of: readonly MessageName[]) =>
    handler === undefined ? {} : Object.fromEntries(of.map((name) => [name, handler]));
  const handlers = {
    requests: mapOf(request, names.filter(isRequest)),
    notices: mapOf(
      notice,
      names.filter((name) => messageTable[name].kind === "notice" && name !== "HELLO"),
    ),
    ...events,
  };
  connection.serve(handlers as unknown as ConnectionHandlers<Role, Role>);
}
