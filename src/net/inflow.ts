/**
 * Decodes the bytes that one socket receives, for a bounded time in each turn of the event loop. Without the bound,
 * half a megabyte of small messages from one connection would be handled before any other connection is read.
 */
import type { Clock } from "../core/clock.ts";
import { KiB } from "../core/units.ts";
import { FrameDecoder, type FrameHandler } from "../wire/frame.ts";
import type { LoopTurns } from "./loop-turns.ts";

/** Of a socket that has closed: what is handled at once, since the last frame may say why it was closed. */
export const LAST_BYTES_MAX = 8 * KiB;
/** Time for one connection's frames without payload, before other connections get their turn. */
export const TURN_MS_MAX = 1;

export interface InflowOptions {
  readonly handler: FrameHandler;
  readonly clock: Clock;
  /** Shared by all connections that need more than one turn. */
  readonly turns: LoopTurns;
  /** `pause` stops reading from the socket, `resume` continues. Unread bytes wait in the kernel and slow the sender. */
  pause(): void;
  resume(): void;
  /** A handler threw: a defect. */
  failed(thrown: unknown): void;
}

export class Inflow {
  readonly #options: InflowOptions;
  readonly #decoder: FrameDecoder;
  #bytesReceived = 0;
  #lastReceivedMs: number;
  #partialSinceMs: number | undefined;
  /** Copies of undecoded bytes for the next turns, oldest first. While there are any, the socket is paused. */
  #backlog: Uint8Array[] = [];
  /** In this turn: time spent on frames without payload, and when the last frame ended. */
  #turnMs = 0;
  #frameEndedMs = 0;
  /** The last turn ended before all bytes were decoded: new bytes join the backlog. */
  #isBehind = false;
  #isClosed = false;

  constructor(options: InflowOptions) {
    this.#options = options;
    this.#lastReceivedMs = options.clock.now();
    this.#decoder = new FrameDecoder(options.handler);
  }

  get bytesReceived(): number {
    return this.#bytesReceived;
  }

  get payloadBytesReceived(): number {
    return this.#decoder.payloadBytesReceived;
  }

  /** When bytes last arrived, on the clock. */
  get lastReceivedMs(): number {
    return this.#lastReceivedMs;
  }

  /** When the frame that is being received began, on the same clock; undefined between two frames. */
  get partialSinceMs(): number | undefined {
    return this.#partialSinceMs;
  }

  /** The piece is valid during the call only. */
  push(piece: Uint8Array): void {
    this.#lastReceivedMs = this.#options.clock.now();
    this.#bytesReceived += piece.length;
    if (this.#isClosed) return;
    if (this.#backlog.length > 0) {
      this.#backlog.push(piece.slice());
      return;
    }
    const taken = this.#isBehind ? 0 : this.#decode(piece);
    if (taken === piece.length || this.#isClosed) return;
    this.#isBehind = true;
    this.#backlog.push(piece.slice(taken));
    this.#options.pause();
    this.#options.turns.wait(() => this.#resume());
  }

  /** Stops decoding: no more calls of the handler. */
  close(): void {
    this.#isClosed = true;
    this.#decoder.close();
    this.#backlog = [];
  }

  /** The socket has closed. What waits for its turn is handled now if it is little, and else given up. */
  end(): void {
    const left = Buffer.concat(this.#backlog);
    this.#backlog = [];
    if (left.length > LAST_BYTES_MAX) return;
    for (let taken = 0; taken < left.length && !this.#isClosed; ) taken += this.#decode(left.subarray(taken));
  }

  #resume(): void {
    const piece = this.#backlog[0];
    if (piece === undefined || this.#isClosed) return;
    const taken = this.#decode(piece);
    if (this.#isClosed) return;
    this.#isBehind = taken < piece.length;
    if (this.#isBehind) this.#backlog[0] = piece.subarray(taken);
    else this.#backlog.shift();
    if (this.#backlog.length > 0) this.#options.turns.wait(() => this.#resume());
    else this.#options.resume();
  }

  /** Returns the number of decoded bytes: fewer than all where the turn is over. */
  #decode(piece: Uint8Array): number {
    this.#turnMs = 0;
    this.#frameEndedMs = this.#options.clock.now();
    try {
      const taken = this.#decoder.push(piece, this.#isTurnOver);
      this.#partialSinceMs = this.#decoder.isInFrame ? (this.#partialSinceMs ?? this.#lastReceivedMs) : undefined;
      return taken;
    } catch (thrown) {
      this.#options.failed(thrown);
      return piece.length;
    }
  }

  /** Frames with a payload do not count: this side has asked for them, and bounds them by its request window. */
  readonly #isTurnOver = (hadPayload: boolean): boolean => {
    const now = this.#options.clock.now();
    if (!hadPayload) this.#turnMs += now - this.#frameEndedMs;
    this.#frameEndedMs = now;
    this.#partialSinceMs = undefined;
    return this.#turnMs > TURN_MS_MAX;
  };
}
