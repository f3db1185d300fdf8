/**
 * Frames: how messages lie on a byte stream. The layout is specified in README.md. The decoder is pushed whatever
 * pieces arrive; it never joins them. Headers are small and collected, payload bytes are copied once, straight into
 * the buffer that the handler names for them.
 */
// This entry has no native part: an optional one is looked for on the disk, where others may have planted it.
import { Packr } from "msgpackr/pack";
import * as v from "valibot";
import type { ErrorCode } from "../core/errors.ts";
import { KiB } from "../core/units.ts";
import { type HeaderBounds, scanHeader } from "./header-scan.ts";
import { readHeaderValues } from "./header-values.ts";
import { isRequest, type Message, type MessageName, messageNameById, messageTable } from "./messages.ts";

/** u32 length of header and payload together, u8 message id, u24 length of the header; all big-endian. */
export const FRAME_PREFIX_BYTES = 8;
/** Frames of unknown types are skipped up to this length; it is the largest that any known type allows. */
export const FRAME_BODY_BYTES_MAX = Math.max(
  ...Object.values(messageTable).map((row) => row.headerBytesMax + row.payloadBytesMax),
);
/** The header of an unknown message is looked at for the id of its request, and for nothing else. */
export const UNKNOWN_HEADER_BYTES_MAX = 64 * KiB;
const UNKNOWN_HEADER: HeaderBounds = { valuesMax: 16 * KiB, containersMax: 1024 };

const packr = new Packr({ useRecords: false });

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
   * The prefix of a frame is here, and its lengths are within the limits of its type; undefined stands for an unknown
   * one. Returns why it is not to be taken at this moment; then the stream ends, before anything is allocated.
   */
  checkFrame(name: MessageName | undefined, headerBytes: number, payloadBytes: number): string | undefined;
  /**
   * The header is here and well-formed. Returns why the message is not to be taken; then the stream ends, before
   * anything is built from the header.
   */
  checkHeader(name: MessageName, request: number | null): string | undefined;
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

  /** Of the payload that is being received; 0 between payloads. */
  get payloadBytesReceived(): number {
    return this.#inPayload ? this.#payloadBytes - this.#payloadBytesLeft : 0;
  }

  /** Stops delivering, also in the midst of a push. */
  close(): void {
    this.#closed = true;
  }

  /** Whether a part of a frame is here and the rest of it is awaited. */
  get isInFrame(): boolean {
    return this.#prefixBytes > 0 || this.#header !== undefined || this.#inPayload;
  }

  /**
   * Takes the next piece of the stream, of any length. The piece is not kept. Returns how many of its bytes were taken:
   * fewer than all where `isTurnOver`, which is asked after each frame and told whether that had a payload, says so.
   */
  push(piece: Uint8Array, isTurnOver?: (hadPayload: boolean) => boolean): number {
    let offset = 0;
    while (offset < piece.length && !this.#closed) {
      const hadPayload = this.#inPayload;
      if (hadPayload) offset = this.#takePayload(piece, offset);
      else if (this.#header !== undefined) offset = this.#takeHeader(piece, offset);
      else offset = this.#takePrefix(piece, offset);
      if (!this.isInFrame && isTurnOver?.(hadPayload)) return offset;
    }
    return piece.length;
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
    this.#awaitHeader(name, headerBytes, payloadBytes);
  }

  #openUnknown(id: number, headerBytes: number, bodyBytes: number): void {
    if (bodyBytes > FRAME_BODY_BYTES_MAX || headerBytes > UNKNOWN_HEADER_BYTES_MAX)
      return this.#fail(`message ${id} is unknown and too long to skip`);
    this.#awaitHeader(undefined, headerBytes, bodyBytes - headerBytes);
  }

  #awaitHeader(name: MessageName | undefined, headerBytes: number, payloadBytes: number): void {
    const refusal = this.#handler.checkFrame(name, headerBytes, payloadBytes);
    if (refusal !== undefined) return this.#fail(refusal);
    this.#header = new Uint8Array(headerBytes);
    this.#headerBytes = 0;
    this.#payloadBytesLeft = payloadBytes;
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
    const read = this.#readHeader(header);
    if (read.refusal !== undefined) return this.#fail(read.refusal);
    this.#message = read.message;
    if (read.fault !== undefined) this.#handler.handleFault(read.fault);
    if (this.#payloadBytesLeft === 0) return this.#closeFrame();
    this.#inPayload = true;
    if (this.#message === undefined || this.#closed) return;
    this.#payload = this.#handler.openPayload(this.#message, this.#payloadBytes);
    if (this.#payload !== undefined && this.#payload.length !== this.#payloadBytes)
      throw new RangeError(`a payload of ${this.#payloadBytes} bytes needs a buffer of that length`);
  }

  /** Nothing is built from a header before it is known to be within the bounds of its type, and welcome. */
  #readHeader(header: Uint8Array): ReadHeader {
    const id = this.#prefix[4]!;
    const name = messageNameById.get(id);
    const { fault, request } = scanHeader(header, name === undefined ? UNKNOWN_HEADER : messageTable[name]);
    if (name === undefined)
      return { fault: { fatal: false, code: "unknown_message", message: `message ${id} is unknown here`, request } };
    const faulty = (what: string): ReadHeader => {
      const message = `the header of ${name} ${what}`;
      // Who sends a reply that cannot be read leaves a request without its answer.
      if (messageTable[name].kind === "reply") return { refusal: message };
      // Only a request has an answer of its own; the id in a CANCEL is that of another.
      return { fault: { fatal: false, code: "protocol", message, request: isRequest(name) ? request : null } };
    };
    if (fault !== undefined) return faulty(fault);
    const refusal = this.#handler.checkHeader(name, request);
    if (refusal !== undefined) return { refusal };
    const parsed = v.safeParse(messageTable[name].schema, readHeaderValues(header), { abortEarly: true });
    if (!parsed.success)
      return faulty(`does not fit: ${v.getDotPath(parsed.issues[0]) ?? "header"}: ${parsed.issues[0].message}`);
    return { message: { type: name, ...parsed.output } as Message<MessageName> };
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

type ReadHeader =
  | { readonly message: Message; readonly fault?: undefined; readonly refusal?: undefined }
  | { readonly message?: undefined; readonly fault: FrameFault; readonly refusal?: undefined }
  /** The stream is to end. */
  | { readonly message?: undefined; readonly fault?: undefined; readonly refusal: string };
