/**
 * Time, timers and chance as values. The composition root of a role hands in the real ones; a simulation hands in its
 * own, so that a whole role runs in virtual time and each run can be repeated to the event.
 */

export interface Timer {
  cancel(): void;
}

export interface TimerOptions {
  /** Nobody waits for it: it does not keep the process running. */
  readonly isBackground?: boolean;
}

export interface Clock {
  /** Milliseconds on a monotonic clock; only differences mean something. */
  now(): number;
  /** Milliseconds since 1970. */
  wallTime(): number;
  /** Calls once, after so many milliseconds. */
  after(ms: number, action: () => void, options?: TimerOptions): Timer;
  /** Calls again and again, first after so many milliseconds. */
  every(ms: number, action: () => void, options?: TimerOptions): Timer;
  /** Calls in a later turn of the event loop, after what has come in meanwhile was handled. */
  nextTurn(action: () => void): void;
}

export interface Random {
  /** From 0 to below 1. */
  number(): number;
  /** Unpredictable to others where the source is real. */
  bytes(count: number): Uint8Array;
}
