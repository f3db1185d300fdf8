/**
 * What comes in on one socket: pieces of the stream go through the decoder, a bounded time's worth in each turn of the
 * event loop. Somebody who sends small messages as fast as the line takes them would otherwise have half a megabyte of
 * them handled before anybody else is heard.
 */
import type { Clock } from "../core/clock.ts";
import { FrameDecoder, type FrameHandler } from "../wire/frame.ts";
import type { LoopTurns } from "./loop-turns.ts";

/** Work on frames without a payload for one connection before the others have their turn. */
export const TURN_MS_MAX = 1;

export interface InflowOptions {
  readonly handler: FrameHandler;
  readonly clock: Clock;
  /** Of all connections that cannot handle what they were sent in one turn. */
  readonly turns: LoopTurns;
  /** Stops and goes on reading from the socket; what is not read waits in the kernel, and the sender feels it. */
  pause(): void;
  resume(): void;
  /** A frame could not be handled because of a defect. */
  failed(thrown: unknown): void;
}

export class Inflow {
  readonly #options: InflowOptions;
  readonly #decoder: FrameDecoder;
  #bytesReceived = 0;
  #lastReceivedMs: number;
  #partialSinceMs: number | undefined;
  /** Copies of what is left for the next turns, oldest first. While there are any, the socket is paused. */
  #backlog: Uint8Array[] = [];
  /** In this turn: the time that frames without a payload took, and when the last frame ended. */
  #turnMs = 0;
  #frameEndedMs = 0;
  /** It did not fit its last turn: what comes next waits for the turn of all such. */
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

  /** When the last bytes came, on the clock. */
  get lastReceivedMs(): number {
    return this.#lastReceivedMs;
  }

  /** Since when the rest of a frame is awaited, on the same clock; undefined between two frames. */
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
    this.#options.turns.wait(() => this.#goOn());
  }

  /** Nothing more is delivered. */
  close(): void {
    this.#isClosed = true;
    this.#decoder.close();
    this.#backlog = [];
  }

  #goOn(): void {
    const piece = this.#backlog[0];
    if (piece === undefined || this.#isClosed) return;
    const taken = this.#decode(piece);
    if (this.#isClosed) return;
    this.#isBehind = taken < piece.length;
    if (this.#isBehind) this.#backlog[0] = piece.subarray(taken);
    else this.#backlog.shift();
    if (this.#backlog.length > 0) this.#options.turns.wait(() => this.#goOn());
    else this.#options.resume();
  }

  /** Returns how many bytes were taken: fewer than all where the turn is over. */
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

  /** Payloads are what connections are for: their bytes are counted by those who asked for them. */
  readonly #isTurnOver = (hadPayload: boolean): boolean => {
    const now = this.#options.clock.now();
    if (!hadPayload) this.#turnMs += now - this.#frameEndedMs;
    this.#frameEndedMs = now;
    this.#partialSinceMs = undefined;
    return this.#turnMs > TURN_MS_MAX;
  };
}
