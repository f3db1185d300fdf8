/**
 * Frames: how messages lie on a byte stream. The layout is specified in README.md. The decoder is pushed whatever
 * pieces arrive; it never joins them. Headers are small and collected, payload bytes are copied once, straight into
 * the buffer that the handler names for them.
 */
import { Packr, Unpackr } from "msgpackr";
import * as v from "valibot";
import type { ErrorCode } from "../core/errors.ts";
import { type Message, type MessageName, messageNameById, messageTable } from "./messages.ts";

/** u32 length of header and payload together, u8 message id, u24 length of the header; all big-endian. */
export const FRAME_PREFIX_BYTES = 8;
/** Frames of unknown types are skipped up to this length; it is the largest that any known type allows. */
export const FRAME_BODY_BYTES_MAX = Math.max(
  ...Object.values(messageTable).map((row) => row.headerBytesMax + row.payloadBytesMax),
);

const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, copyBuffers: true, int64AsType: "number" });

/** Prefix and header of a frame; exactly `payloadBytes` bytes of payload must follow it on the stream. */
export function encodeFrame(message: Message, payloadBytes = 0): Uint8Array {
  const { type, ...fields } = message;
  const row = messageTable[type];
  const header = packr.pack(fields);
  if (header.length > row.headerBytesMax || payloadBytes > row.payloadBytesMax)
    throw new RangeError(`${type} exceeds its limits: header ${header.length}, payload ${payloadBytes} bytes`);
  const frame = new Uint8Array(FRAME_PREFIX_BYTES + header.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, header.length + payloadBytes);
  view.setUint32(4, (row.id << 24) | header.length);
  frame.set(header, FRAME_PREFIX_BYTES);
  return frame;
}

/** Something on the stream that is not a valid frame. After a fatal one the stream cannot be read any further. */
export interface FrameFault {
  readonly fatal: boolean;
  readonly code: ErrorCode;
  readonly message: string;
  /** The id of the request in the faulty frame, where one could be read. */
  readonly request: number | null;
}

export interface FrameHandler {
  /**
   * The header of a frame with a payload has arrived. Returns the buffer of exactly `payloadBytes` bytes that the
   * payload is to be copied into, or undefined to have it skipped.
   */
  openPayload(message: Message, payloadBytes: number): Uint8Array | undefined;
  /** A frame is complete. `payload` is the buffer from openPayload; undefined where there was none or it was skipped. */
  handleMessage(message: Message, payload: Uint8Array | undefined): void;
  handleFault(fault: FrameFault): void;
}

export class FrameDecoder {
  readonly #handler: FrameHandler;
  readonly #prefix = new Uint8Array(FRAME_PREFIX_BYTES);
  #prefixBytes = 0;
  /** The header being collected; undefined while the prefix is. */
  #header: Uint8Array | undefined;
  #headerBytes = 0;
  #message: Message | undefined;
  #payload: Uint8Array | undefined;
  #payloadBytes = 0;
  #payloadBytesLeft = 0;
  #inPayload = false;
  #closed = false;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** Stops delivering, also in the midst of a push. */
  close(): void {
    this.#closed = true;
  }

  /** Takes the next piece of the stream, of any length. The piece is not kept. */
  push(piece: Uint8Array): void {
    let offset = 0;
    while (offset < piece.length && !this.#closed) {
      if (this.#inPayload) offset = this.#takePayload(piece, offset);
      else if (this.#header !== undefined) offset = this.#takeHeader(piece, offset);
      else offset = this.#takePrefix(piece, offset);
    }
  }

  #takePrefix(piece: Uint8Array, offset: number): number {
    const taken = Math.min(FRAME_PREFIX_BYTES - this.#prefixBytes, piece.length - offset);
    this.#prefix.set(piece.subarray(offset, offset + taken), this.#prefixBytes);
    this.#prefixBytes += taken;
    if (this.#prefixBytes === FRAME_PREFIX_BYTES) this.#openFrame();
    return offset + taken;
  }

  /** Checks the lengths against the limits of the type before anything of that length is allocated. */
  #openFrame(): void {
    const view = new DataView(this.#prefix.buffer);
    const bodyBytes = view.getUint32(0);
    const headerBytes = view.getUint32(4) & 0xff_ffff;
    const id = this.#prefix[4]!;
    this.#prefixBytes = 0;
    if (headerBytes > bodyBytes || headerBytes === 0)
      return this.#fail(`the header of message ${id} has no valid length`);
    const name = messageNameById.get(id);
    if (name === undefined) return this.#openUnknown(id, headerBytes, bodyBytes);
    const row = messageTable[name];
    if (headerBytes > row.headerBytesMax)
      return this.#fail(`the header of ${name} is longer than ${row.headerBytesMax} bytes`);
    const payloadBytes = bodyBytes - headerBytes;
    if (payloadBytes > row.payloadBytesMax)
      return this.#fail(`the payload of ${name} is longer than ${row.payloadBytesMax} bytes`);
    this.#header = new Uint8Array(headerBytes);
    this.#headerBytes = 0;
    this.#payloadBytesLeft = payloadBytes;
  }

  #openUnknown(id: number, headerBytes: number, bodyBytes: number): void {
    if (bodyBytes > FRAME_BODY_BYTES_MAX || headerBytes > UNKNOWN_HEADER_BYTES_MAX)
      return this.#fail(`message ${id} is unknown and too long to skip`);
    this.#header = new Uint8Array(headerBytes);
    this.#headerBytes = 0;
    this.#payloadBytesLeft = bodyBytes - headerBytes;
  }

  #takeHeader(piece: Uint8Array, offset: number): number {
    const header = this.#header!;
    const taken = Math.min(header.length - this.#headerBytes, piece.length - offset);
    header.set(piece.subarray(offset, offset + taken), this.#headerBytes);
    this.#headerBytes += taken;
    if (this.#headerBytes === header.length) this.#closeHeader(header);
    return offset + taken;
  }

  #closeHeader(header: Uint8Array): void {
    this.#header = undefined;
    this.#payloadBytes = this.#payloadBytesLeft;
    const read = readHeader(this.#prefix[4]!, header);
    this.#message = read.message;
    if (read.fault !== undefined) this.#handler.handleFault(read.fault);
    if (this.#payloadBytesLeft === 0) return this.#closeFrame();
    this.#inPayload = true;
    if (this.#message === undefined || this.#closed) return;
    this.#payload = this.#handler.openPayload(this.#message, this.#payloadBytes);
    if (this.#payload !== undefined && this.#payload.length !== this.#payloadBytes)
      throw new RangeError(`a payload of ${this.#payloadBytes} bytes needs a buffer of that length`);
  }

  #takePayload(piece: Uint8Array, offset: number): number {
    const taken = Math.min(this.#payloadBytesLeft, piece.length - offset);
    if (this.#payload !== undefined) {
      const part = taken === piece.length ? piece : piece.subarray(offset, offset + taken);
      this.#payload.set(part, this.#payloadBytes - this.#payloadBytesLeft);
    }
    this.#payloadBytesLeft -= taken;
    if (this.#payloadBytesLeft === 0) this.#closeFrame();
    return offset + taken;
  }

  #closeFrame(): void {
    const message = this.#message;
    const payload = this.#payload;
    this.#message = undefined;
    this.#payload = undefined;
    this.#inPayload = false;
    if (message !== undefined && !this.#closed) this.#handler.handleMessage(message, payload);
  }

  #fail(message: string): void {
    this.#closed = true;
    this.#handler.handleFault({ fatal: true, code: "protocol", message, request: null });
  }
}

const UNKNOWN_HEADER_BYTES_MAX = Math.max(...Object.values(messageTable).map((row) => row.headerBytesMax));
const requestIdSchema = v.object({ request: messageTable.CANCEL.schema.entries.request });

type ReadHeader =
  | { readonly message: Message; readonly fault?: undefined }
  | { readonly message?: undefined; readonly fault: FrameFault };

function readHeader(id: number, header: Uint8Array): ReadHeader {
  let fields: unknown;
  try {
    fields = unpackr.unpack(header);
  } catch (cause) {
    const message = `the header of message ${id} is not MessagePack: ${cause instanceof Error ? cause.message : cause}`;
    return { fault: { fatal: false, code: "protocol", message, request: null } };
  }
  const requestId = v.safeParse(requestIdSchema, fields);
  const request = requestId.success ? requestId.output.request : null;
  const name = messageNameById.get(id);
  if (name === undefined) {
    return { fault: { fatal: false, code: "unknown_message", message: `message ${id} is unknown here`, request } };
  }
  const parsed = v.safeParse(messageTable[name].schema, fields);
  if (!parsed.success) {
    const message = `${name}: ${v.getDotPath(parsed.issues[0]) ?? "header"}: ${parsed.issues[0].message}`;
    return { fault: { fatal: false, code: "protocol", message, request } };
  }
  return { message: { type: name, ...parsed.output } as Message<MessageName> };
}
