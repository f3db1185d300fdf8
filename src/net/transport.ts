/**
 * What a connection needs of the stream of bytes below it, and what a role needs of the network: Bun's TCP is one
 * implementation, a network in memory for simulations another.
 */
import type { Address } from "../core/address.ts";

export interface RemoteEnd {
  /** In its canonical form. */
  readonly ip: string;
  readonly port: number;
}

/** A stream of bytes to another process. */
export interface Transport {
  readonly remote: RemoteEnd;
  /** Takes what there is room for and keeps nothing else: how many of the bytes, 0 when it is full, −1 after its close. */
  write(bytes: Uint8Array): number;
  /** Stops reading: the other side feels it as backpressure. */
  pause(): void;
  resume(): void;
  /** Closes when what was written has gone. */
  end(): void;
  /** Closes at once. */
  terminate(): void;
}

export interface TransportEvents {
  /** The piece is valid during the call only. */
  data(piece: Uint8Array): void;
  /** There is room again after a `write` that took less than it was given. */
  drain(): void;
  /** Called once. */
  closed(error?: Error | null): void;
}

/** Takes a new transport and says who handles what happens on it; undefined where it was terminated instead. */
export type Accept = (transport: Transport) => TransportEvents | undefined;

export interface TransportListener {
  /** As given by the system, where any was asked for. */
  readonly port: number;
  /** Takes no new transports; those that are open stay. */
  stop(): void;
}

export interface Network {
  /** Port 0 asks for any free port. Throws the system's error where it cannot listen there. */
  listen(ip: string, port: number, accept: Accept): TransportListener;
  /** Resolves when `accept` was called; rejects where nobody answers. */
  connect(address: Address, accept: Accept): Promise<void>;
}
