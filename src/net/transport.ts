/**
 * The byte stream below a connection, and the network that makes such streams. Implemented over Bun's TCP, and in
 * memory for simulations.
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
  /** Takes what there is room for and buffers nothing; returns how many bytes: 0 when it is full, −1 after close. */
  write(bytes: Uint8Array): number;
  /** Stops reading: backpressure to the other side. */
  pause(): void;
  resume(): void;
  /** Closes after the written bytes are sent. */
  end(): void;
  /** Closes at once. */
  terminate(): void;
  /** Of an encrypted transport: whether this side has done its part of the handshake. */
  isAnswered?(): boolean;
}

/** What one side of an encrypted transport uses; texts are PEM. Who is no member yet has no key and certificate. */
export interface Credentials {
  readonly key?: string | undefined;
  /** Its own certificate, then that of its issuer if the authority is not the issuer. */
  readonly certificates?: string | undefined;
  /** Whose certificates are trusted. */
  readonly authority?: string | undefined;
  /** The name that every certificate has. */
  readonly serverName: string;
}

/** A certificate whose key the other side has proven to have. */
export interface ShownCertificate {
  readonly der: Uint8Array;
  /** Whether the transport has found its chain and dates right. */
  readonly isTrusted: boolean;
}

export interface TransportEvents {
  /** Of an encrypted transport, once, before anything else: what the other side has shown, if anything. */
  secured?(shown: ShownCertificate | undefined): void;
  /** Of an encrypted transport that ends unsecured: this side has spent its part of the handshake on it already. */
  wasted?(): void;
  /** The piece is valid during the call only. */
  data(piece: Uint8Array): void;
  /** There is room again after a `write` that took only a part. */
  drain(): void;
  /** Called once. */
  closed(error?: Error | null): void;
}

/** Called before the handshake of an encrypted transport. Returns the handlers of a new transport; undefined where it terminated the transport instead. */
export type Accept = (transport: Transport) => TransportEvents | undefined;

export interface TransportListener {
  /** Chosen by the system where port 0 was asked for. */
  readonly port: number;
  /** Accepts no new transports; open ones stay. */
  stop(): void;
}

/** With credentials, transports are encrypted, and each side asks the other for its certificate. */
export interface Network {
  /** Port 0 asks for any free port. Throws the system's error where it cannot listen there. */
  listen(ip: string, port: number, accept: Accept, credentials?: Credentials): TransportListener;
  /** Resolves when `accept` has been called; rejects where the connection fails. */
  connect(address: Address, accept: Accept, credentials?: Credentials): Promise<void>;
}
