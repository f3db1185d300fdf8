/** A peer that serves a copy of a content, and others that are connected to it and ask for chunks. */
import { type ChunkRanges, NO_CHUNKS } from "../../src/core/bitfield.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import type { Connection } from "../../src/net/connection.ts";
import type { Neighbour } from "../../src/peer/neighbour.ts";
import { Room } from "../support/room.ts";
import { Actor, CHUNK, contentOf, fileName, Parts } from "./parts.ts";

export const content = contentOf(6 * CHUNK - 7);
export const { contentId } = content;
export const unheld = contentOf(CHUNK, 9);

/** A peer that serves a copy of the content, and others that are connected to it. */
export function serving(requesterCount = 1) {
  const room = new Room();
  const parts = new Parts(room);
  parts.listen();
  const copy = parts.addCopy(content);
  /** The requesters, as this side sees them. */
  const sides: Neighbour[] = [];
  const handlersOf = parts.sharing.handlersOf.bind(parts.sharing);
  parts.sharing.handlersOf = (neighbour) => {
    sides.push(neighbour);
    return handlersOf(neighbour);
  };
  const requesters = Array.from({ length: requesterCount }, (_, index) => {
    const actor = new Actor(room, "peer", `10.0.2.${index + 1}`);
    return { actor, connection: actor.dial(parts.address) };
  });
  const connection = requesters[0]!.connection;
  return { room, parts, copy, requesters, sides, connection, actor: requesters[0]!.actor };
}

export const joinRequest = (chunks: ChunkRanges = NO_CHUNKS, id: ContentId = contentId) =>
  ({ type: "REQUEST_JOIN_SWARM", content_id: id, chunks }) as const;
export const join = (room: Room, connection: Connection, chunks?: ChunkRanges) =>
  room.wait(connection.request(joinRequest(chunks)));

/** Asks for any of these chunks. */
export function askFor(connection: Connection, chunks: ChunkRanges, id: ContentId = contentId) {
  const openPayload = (_message: unknown, bytes: number) => new Uint8Array(bytes);
  const request = { type: "PEER_REQUEST_CHUNK", filename: fileName("mine"), content_id: id, chunknum: chunks } as const;
  return connection.ask(request, { openPayload });
}
