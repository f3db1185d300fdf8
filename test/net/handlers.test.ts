/** The compiler demands a handler for every message that a role may receive, and only for those. */
import { expect, test } from "bun:test";
import { commonAnswers, type RequestHandlers } from "../../src/net/handlers.ts";
import { isRequest, type MessageName, mayGo, messageTable, type Role } from "../../src/wire/messages.ts";

const names = Object.keys(messageTable) as MessageName[];
const requestsBetween = (from: Role, to: Role) =>
  names.filter((name) => isRequest(name) && !(name in commonAnswers) && mayGo(messageTable[name].way, from, to));

test("a map of handlers has one for each request of the other role, and no other", () => {
  const complete: RequestHandlers<"tracker", "peer"> = {
    REQUEST_PROOF: () => ({ type: "REPLY_PROOF", proof: new Uint8Array(32) }),
  };
  // @ts-expect-error REQUEST_PROOF is missing
  const incomplete: RequestHandlers<"tracker", "peer"> = {};
  // @ts-expect-error a tracker does not publish
  const other: RequestHandlers<"tracker", "peer"> = { ...complete, REQUEST_PUBLISH: () => undefined };
  // @ts-expect-error this is the reply to another request
  const wrong: RequestHandlers<"tracker", "peer"> = { REQUEST_PROOF: () => ({ type: "REPLY_ANNOUNCED" }) };
  expect([complete, incomplete, other, wrong].map((map) => Object.keys(map).length)).toEqual([1, 0, 2, 1]);
  expect(requestsBetween("tracker", "peer")).toEqual(["REQUEST_PROOF"]);
});

test("a tracker answers only registered peers, except those that register and machines that join or leave", () => {
  const open = requestsBetween("peer", "tracker").filter((name) => messageTable[name].stage !== "registered");
  expect(open).toEqual(["REQUEST_REGISTER", "REQUEST_JOIN", "REQUEST_RENEW", "REQUEST_LEAVE"]);
});
