/**
 * Frames that wait to be sent on one socket. Bun's `write` takes what the kernel has room for and buffers nothing, so
 * the rest waits here, within bounds. Control frames overtake queued payload frames, but not one that has begun. A
 * payload is not held in memory: it is read in pieces, the next one while the current one is being sent.
 */
import type { Clock } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { KiB, MiB } from "../core/units.ts";

/** Unsent control bytes; with more the other side does not read, and the connection is closed. */
export const CONTROL_QUEUE_BYTES_MAX = 16 * MiB;
/** Payload frames that may wait; callers check `payloadFramesQueued` first. */
export const PAYLOAD_FRAMES_MAX = 4;
const PIECE_BYTES = 512 * KiB;
/** Small control frames are joined into writes of up to this size. */
const JOIN_BYTES_MAX = 64 * KiB;

/** The payload of one frame: exactly `bytes` bytes, read piece by piece. */
export interface PayloadSource {
  readonly bytes: number;
  /** Fills the target with the bytes from `offset` on. A rejection closes the connection, since the frame has begun. */
  read(offset: number, target: Uint8Array): Promise<void>;
}

/** A payload that is in memory already. */
export function payloadOf(bytes: Uint8Array): PayloadSource {
  return {
    bytes: bytes.length,
    read: async (offset, target) => target.set(bytes.subarray(offset, offset + target.length)),
  };
}

/** Limits when payload bytes may be sent; shared by the queues of many connections. */
export interface Throttle {
  /** Bytes that may be sent now. At 0, `resume` is called once, when the caller should try again. */
  allow(resume: () => void): number;
  /** Records bytes that have been sent. */
  spend(bytes: number): void;
}

export interface PayloadOptions {
  /** Limits the rate of the payload's bytes. */
  readonly throttle?: Throttle | undefined;
  /** Called when the kernel has taken the last byte. */
  readonly sent?: () => void;
}

interface PayloadFrame {
  readonly head: Uint8Array;
  readonly source: PayloadSource;
  readonly throttle: Throttle | undefined;
  /** Called when the kernel has taken the last byte. */
  readonly sent: () => void;
}

/** A buffer; the bytes from `start` to `end` are filled and not yet sent. */
interface Piece {
  readonly buffer: Uint8Array;
  start: number;
  end: number;
}

export interface SendQueueHost {
  readonly clock: Clock;
  /** Returns how many bytes the kernel took: 0 when it is full, −1 after close. */
  write(bytes: Uint8Array): number;
  /** The kernel takes no more; the queue continues with `drain`. */
  blocked(): void;
  /** The queue has failed; the host closes the socket. */
  broken(error: P2pfsError): void;
}

export class SendQueue {
  readonly #host: SendQueueHost;
  #control: Uint8Array[] = [];
  #controlBytes = 0;
  #payloads: PayloadFrame[] = [];
  /** The rest of a write that the kernel took in part. */
  #remainder: Uint8Array | undefined;
  #current: PayloadFrame | undefined;
  #currentRead = 0;
  #currentSent = 0;
  #reading = false;
  #ready: Piece[] = [];
  #spare: Uint8Array[] = [];
  /** Since when the kernel takes nothing, on the clock. */
  #blockedSinceMs: number | undefined;
  /** The throttle will call `#resume`; no payload is sent before. */
  #isThrottled = false;
  #scheduled = false;
  #closed = false;

  constructor(host: SendQueueHost) {
    this.#host = host;
  }

  get isEmpty(): boolean {
    return (
      this.#control.length === 0 &&
      this.#payloads.length === 0 &&
      this.#remainder === undefined &&
      this.#current === undefined
    );
  }

  /** Payload frames that are queued or being sent. */
  get payloadFramesQueued(): number {
    return this.#payloads.length + (this.#current === undefined ? 0 : 1);
  }

  /** Bytes that wait for the kernel, without payload that is not read yet. */
  get bytesQueued(): number {
    return this.#controlBytes + (this.#remainder?.length ?? 0);
  }

  /** Whether the kernel is full. */
  get isBlocked(): boolean {
    return this.#blockedSinceMs !== undefined;
  }

  get blockedSinceMs(): number | undefined {
    return this.#blockedSinceMs;
  }

  pushControl(frame: Uint8Array): void {
    if (this.#closed) return;
    this.#control.push(frame);
    this.#controlBytes += frame.length;
    if (this.#controlBytes > CONTROL_QUEUE_BYTES_MAX)
      return this.#break(new P2pfsError("busy", "the other side does not read what it is sent"));
    this.#schedule();
  }

  pushPayload(frame: PayloadFrame): void {
    if (this.#closed) return;
    if (this.#payloads.length >= PAYLOAD_FRAMES_MAX) throw new RangeError("the queue of payload frames is full");
    this.#payloads.push(frame);
    this.#schedule();
  }

  /** Call when the kernel has room again. */
  drain(): void {
    this.#blockedSinceMs = undefined;
    this.#flush();
  }

  close(): void {
    this.#closed = true;
    this.#control = [];
    this.#payloads = [];
    this.#ready = [];
    this.#spare = [];
    this.#current = undefined;
    this.#remainder = undefined;
  }

  /** In a microtask, so that frames pushed in one go are sent together. */
  #schedule(): void {
    if (this.#scheduled || this.isBlocked) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (!this.#closed && !this.isBlocked) {
      if (this.#remainder !== undefined) this.#sendRemainder(this.#remainder);
      else if (this.#current !== undefined) {
        if (!this.#sendPiece(this.#current)) return;
      } else if (this.#control.length > 0) this.#remainder = this.#joinControl();
      else if (this.#payloads.length > 0) {
        // A payload frame delays control frames until its end, so it begins only when the throttle allows.
        if (this.#allowance(this.#payloads[0]!) === 0) return;
        this.#begin(this.#payloads.shift()!);
      } else return;
    }
  }

  #allowance({ throttle }: PayloadFrame): number {
    if (throttle === undefined) return Number.POSITIVE_INFINITY;
    const bytes = this.#isThrottled ? 0 : throttle.allow(this.#resume);
    this.#isThrottled = bytes === 0;
    return bytes;
  }

  readonly #resume = (): void => {
    this.#isThrottled = false;
    this.#flush();
  };

  #joinControl(): Uint8Array {
    let count = 0;
    let bytes = 0;
    while (count < this.#control.length && (count === 0 || bytes + this.#control[count]!.length <= JOIN_BYTES_MAX)) {
      bytes += this.#control[count++]!.length;
    }
    const frames = this.#control.splice(0, count);
    this.#controlBytes -= bytes;
    if (frames.length === 1) return frames[0]!;
    const joined = new Uint8Array(bytes);
    let offset = 0;
    for (const frame of frames) {
      joined.set(frame, offset);
      offset += frame.length;
    }
    return joined;
  }

  #sendRemainder(bytes: Uint8Array): void {
    const accepted = this.#write(bytes);
    this.#remainder = accepted < bytes.length ? bytes.subarray(accepted) : undefined;
  }

  #begin(frame: PayloadFrame): void {
    this.#remainder = frame.head;
    this.#current = frame;
    this.#currentRead = 0;
    this.#currentSent = 0;
    this.#readAhead(frame);
  }

  /** Sends from the first ready piece; false where none is ready or the throttle allows nothing. */
  #sendPiece(frame: PayloadFrame): boolean {
    if (this.#currentSent === frame.source.bytes) {
      this.#current = undefined;
      frame.sent();
      return true;
    }
    const piece = this.#ready[0];
    if (piece === undefined) return false;
    const allowed = this.#allowance(frame);
    if (allowed === 0) return false;
    const accepted = this.#write(piece.buffer.subarray(piece.start, Math.min(piece.end, piece.start + allowed)));
    frame.throttle?.spend(accepted);
    piece.start += accepted;
    this.#currentSent += accepted;
    if (piece.start === piece.end) {
      this.#ready.shift();
      this.#spare.push(piece.buffer);
      this.#readAhead(frame);
    }
    return true;
  }

  /** Holds at most two pieces: one being sent, one being read. */
  #readAhead(frame: PayloadFrame): void {
    if (this.#reading || this.#ready.length >= 2 || this.#currentRead === frame.source.bytes) return;
    const length = Math.min(PIECE_BYTES, frame.source.bytes - this.#currentRead);
    const spare = this.#spare.pop();
    const buffer = spare !== undefined && spare.length >= length ? spare : new Uint8Array(length);
    const offset = this.#currentRead;
    this.#reading = true;
    this.#currentRead += length;
    frame.source.read(offset, buffer.subarray(0, length)).then(
      () => {
        this.#reading = false;
        if (this.#closed) return;
        this.#ready.push({ buffer, start: 0, end: length });
        this.#readAhead(frame);
        this.#flush();
      },
      (cause) => this.#break(new P2pfsError("disk", "a chunk could not be read while it was being sent", { cause })),
    );
  }

  #write(bytes: Uint8Array): number {
    const accepted = this.#host.write(bytes);
    if (accepted < bytes.length) {
      this.#blockedSinceMs = this.#host.clock.now();
      this.#host.blocked();
    }
    return Math.max(0, accepted);
  }

  #break(error: P2pfsError): void {
    if (this.#closed) return;
    this.close();
    this.#host.broken(error);
  }
}
