/** Work that nobody awaits: its failure is in the log, and never an unhandled rejection. */
import { expect, test } from "bun:test";
import { P2pfsError } from "../../src/core/errors.ts";
import { inBackground } from "../../src/peer/background.ts";
import { Room } from "../support/room.ts";
import { Parts } from "./parts.ts";

test("work that fails is logged with what it was, a defect with its reference; work that succeeds is not", () => {
  const room = new Room();
  const { log, logged } = new Parts(room);
  inBackground("announcing", log, Promise.resolve("done"));
  inBackground("announcing", log, Promise.reject(new P2pfsError("disk", "no space left")));
  room.run(0);
  expect(logged).toEqual(["error: announcing: no space left"]);
  inBackground("announcing", log, Promise.reject(new TypeError("x is undefined")));
  room.run(0);
  expect(logged.slice(1)).toEqual([
    expect.stringMatching(/^error: defect [0-9a-f]{6} during announcing: TypeError: x is undefined/),
  ]);
});
