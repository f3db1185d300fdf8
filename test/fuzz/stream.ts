/** Streams of frames: what a connection carries, as valid messages and changed frame by frame. */
import fc from "fast-check";
import { encodeFrame, FRAME_PREFIX_BYTES } from "../../src/wire/frame.ts";
import { type Message, type MessageName, messageTable } from "../../src/wire/messages.ts";
import { messageNames, messageOf } from "../wire/arbitraries.ts";
import { mutated, oneOf } from "./mutation.ts";
import type { Mutation } from "./target.ts";

const CHANGES_MAX = 4;
const PAYLOAD_BYTES_MAX = 64;

const arbitraries = new Map(messageNames.map((name) => [name, messageOf(name)]));
const requestNames = messageNames.filter((name) => messageTable[name].kind === "request");

/** A valid message of this type. */
export function messageFor(name: MessageName, random: () => number): Message {
  return fc.sample(arbitraries.get(name)!, { seed: Math.floor(2 ** 31 * random()), numRuns: 1 })[0]!;
}

/** Of each type of message some frames, those with a payload included. */
export function sampleFrames(): Uint8Array[] {
  return messageNames.flatMap((name, index) =>
    fc
      .sample(arbitraries.get(name)!, { seed: index, numRuns: 2 })
      .map((message) => frameWithPayload(message, messageTable[name].payloadBytesMax > 0 ? 8 : 0)),
  );
}

export function frameWithPayload(message: Message, payloadBytes: number): Uint8Array {
  const head = encodeFrame(message, payloadBytes);
  const frame = new Uint8Array(head.length + payloadBytes);
  frame.set(head);
  return frame;
}

/** What looks like frames by its lengths, and what is left. */
export function splitFrames(stream: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  let start = 0;
  while (start + FRAME_PREFIX_BYTES <= stream.length) {
    const bodyBytes = new DataView(stream.buffer, stream.byteOffset + start).getUint32(0);
    const end = start + FRAME_PREFIX_BYTES + bodyBytes;
    if (end > stream.length) break;
    frames.push(stream.subarray(start, end));
    start = end;
  }
  if (start < stream.length) frames.push(stream.subarray(start));
  return frames;
}

/** What fields of messages may be given, so that they are about something that there is. */
export interface Known {
  readonly [field: string]: readonly unknown[];
}

/** The stream with some frames changed, added, repeated, left out or in another order. */
export function mutatedStream(stream: Uint8Array, mutation: Mutation, known: Known = {}): Uint8Array {
  const frames = splitFrames(stream);
  const { random } = mutation;
  const below = (count: number) => Math.floor(count * random());
  const fresh = () => {
    const name = oneOf(random() < 0.6 ? requestNames : messageNames, random);
    const hasPayload = messageTable[name].payloadBytesMax > 0;
    return frameWithPayload(
      aboutKnown(messageFor(name, random), known, random),
      hasPayload ? below(PAYLOAD_BYTES_MAX) : 0,
    );
  };
  const changes: readonly (() => void)[] = [
    () => void frames.splice(below(frames.length + 1), 0, fresh()),
    () => void frames.splice(below(frames.length + 1), 0, fresh(), fresh(), fresh()),
    () => {
      if (frames.length > 0) frames.splice(below(frames.length + 1), 0, oneOf(frames, random));
    },
    () => void frames.splice(below(frames.length), 1),
    () => void frames.splice(below(frames.length + 1), 0, ...splitFrames(oneOf(mutation.others, random)).slice(0, 3)),
    () => {
      if (frames.length === 0) return;
      const at = below(frames.length);
      frames[at] = withRightLengths(mutated(frames[at]!, mutation));
    },
  ];
  for (let count = 1 + below(CHANGES_MAX); count > 0; count--) oneOf(changes, random)();
  return Uint8Array.from(Buffer.concat(frames));
}

function aboutKnown(message: Message, known: Known, random: () => number): Message {
  const fields: Record<string, unknown> = { ...message };
  for (const [field, values] of Object.entries(known))
    if (field in fields && random() < 0.7) fields[field] = oneOf(values, random);
  return fields as Message;
}

/** So that the change is one of the header, and the stream goes on behind it. */
function withRightLengths(frame: Uint8Array): Uint8Array {
  if (frame.length <= FRAME_PREFIX_BYTES) return frame;
  const view = new DataView(frame.buffer, frame.byteOffset);
  const bodyBytes = frame.length - FRAME_PREFIX_BYTES;
  const headerBytes = Math.min(view.getUint32(4) & 0xff_ffff, bodyBytes) || bodyBytes;
  view.setUint32(0, bodyBytes);
  view.setUint32(4, ((frame[4]! << 24) | headerBytes) >>> 0);
  return frame;
}
