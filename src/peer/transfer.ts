/**
 * Runs the download engine over real connections: turns replies, gossip and closed connections into the engine's
 * events, and carries out its effects. Buffers, sockets and the part file are here; every decision is the engine's.
 */
import type { Address } from "../core/address.ts";
import { Bitfield, type ChunkRanges } from "../core/bitfield.ts";
import type { Clock, Random, Timer } from "../core/clock.ts";
import { asP2pfsError, errorTable, P2pfsError } from "../core/errors.ts";
import type { FileName } from "../core/file-name.ts";
import type { Log } from "../core/log.ts";
import { type ContentId, chunkCountOf, type Manifest } from "../core/manifest.ts";
import { MiB, SECOND_MS } from "../core/units.ts";
import { isChunk } from "../disk/blake3.ts";
import type { BufferPool } from "../disk/buffer-pool.ts";
import { ContentLayout } from "../disk/content-layout.ts";
import type { Part } from "../disk/content-store.ts";
import type { Reply } from "../net/pending-requests.ts";
import type { DownloadBounds } from "../swarm/bounds.ts";
import { rangesInclude } from "../swarm/chunk-bits.ts";
import { DownloadManager } from "../swarm/download-manager.ts";
import type { DownloadCounters, DownloadEffect, DownloadEvent } from "../swarm/types.ts";
import type { Message } from "../wire/messages.ts";
import { BannedOrigins } from "./banned-origins.ts";
import type { Holder } from "./directory.ts";
import { HolderSearch } from "./holder-search.ts";
import type { Neighbour } from "./neighbour.ts";
import type { Neighbours } from "./neighbours.ts";
import type { Refundable } from "./rate-limiter.ts";
import { RequestGate } from "./request-gate.ts";
import { SourceShares } from "./source-shares.ts";
import type { SwarmListener, Swarms } from "./swarms.ts";
import type { SourceShare } from "./types.ts";

/** Chunks that wait for the disk; beyond this, requests stop and the sources' connections are not read. */
const UNWRITTEN_BYTES_MAX = 24 * MiB;
/** Interval of `chunk_progress`, from which the engine estimates when a chunk will be complete. */
const PROGRESS_MS = 100;
/** When the fetch ends, a connection whose current chunk would take longer than this, at its rate so far, is closed. */
const REST_MS_MAX = 10 * SECOND_MS;

export interface TransferOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly contentId: ContentId;
  readonly fname: FileName;
  readonly manifest: Manifest;
  readonly part: Part;
  readonly log: Log;
  readonly neighbours: Neighbours;
  readonly swarms: Swarms;
  readonly buffers: BufferPool;
  /** The limits on receiving. */
  readonly downThrottle: Refundable;
  /** Overrides of the engine's bounds. */
  readonly bounds?: Partial<DownloadBounds> | undefined;
  /** R5: by then the user hears that nobody has a chunk, on the clock. */
  readonly noticeAt?: number | undefined;
  /** Holders, this peer's own left out; empty where the tracker does not answer. */
  readonly findHolders: () => Promise<readonly Holder[]>;
  /** A chunk is on disk and can be served. */
  readonly gained: (chunk: number) => void;
}

type DropReason = Extract<DownloadEffect, { type: "drop" }>["reason"];

interface PendingChunk {
  readonly source: Neighbour;
  readonly wireRequest: number;
  readonly chunks: ChunkRanges;
  buffer: Uint8Array | undefined;
  /** When the header of the reply arrived. */
  openedMs: number;
}

export class Transfer implements SwarmListener {
  readonly #options: TransferOptions;
  readonly #engine: DownloadManager;
  readonly #sources = new Map<string, Neighbour>();
  readonly #shares = new SourceShares();
  readonly #banned: BannedOrigins;
  readonly #pending = new Map<number, PendingChunk>();
  readonly #arrived = new Map<number, Uint8Array>();
  readonly #gate: RequestGate;
  readonly #search: HolderSearch;
  readonly #finished = Promise.withResolvers<void>();
  readonly #layout: ContentLayout;
  #unwrittenBytes = 0;
  #isDiskBehind = false;
  #isGateHolding = false;
  #paused = false;
  #pumping = false;
  #timer: Timer | undefined;
  #progressTimer: Timer | undefined;
  #ended = false;

  constructor(options: TransferOptions) {
    const { manifest, part } = options;
    this.#options = options;
    this.#layout = new ContentLayout(manifest);
    this.#engine = new DownloadManager({
      chunkCount: chunkCountOf(manifest),
      chunkLength: (chunk) => this.#layout.lengthOf(chunk),
      have: new Bitfield(part.have.size, part.have.bytes),
      doubtful: new Bitfield(part.doubtful.size, part.doubtful.bytes),
      random: options.random.number,
      noticeAt: options.noticeAt,
      ...options.bounds,
    });
    this.#banned = new BannedOrigins(options);
    this.#search = new HolderSearch({
      ...options,
      have: part.have,
      sourceCount: () => this.#sources.size,
      delayed: () => this.#handle({ type: "holder_delayed" }),
      isKnown: (address) => this.#banned.has(address) || this.#isSource(address),
    });
    this.#gate = new RequestGate({
      throttle: options.downThrottle,
      holding: (isHolding) => {
        this.#isGateHolding = isHolding;
        this.#updatePaused();
      },
    });
  }

  get counters(): DownloadCounters {
    return this.#engine.counters;
  }

  shares(): SourceShare[] {
    return this.#shares.sum(this.#presentShares());
  }

  *#presentShares() {
    const { bySource } = this.#engine.counters;
    for (const source of this.#sources.values()) {
      const given = bySource.get(source.id);
      if (given !== undefined) yield [source, given] as const;
    }
  }

  get sourceCount(): number {
    return this.#sources.size;
  }

  #isSource(address: Address): boolean {
    for (const source of this.#sources.values()) if (source.address === address) return true;
    return false;
  }

  /** Resolves when every chunk is written; rejects with the reason of the failure, or the error given to `stop`. */
  async run(holders: readonly Holder[]): Promise<void> {
    const { contentId, swarms } = this.#options;
    swarms.listen(contentId, this);
    this.#search.start(holders);
    this.#progressTimer = this.#options.clock.every(PROGRESS_MS, () => this.#reportProgress());
    this.#pump();
    try {
      await this.#finished.promise;
    } finally {
      this.#close();
    }
  }

  /** Ends the transfer; closing the part file waits for pending writes. */
  stop(error: P2pfsError): void {
    this.#ended = true;
    this.#finished.reject(error);
  }

  /** A doubtful chunk was verified: it is held (`isRight`) or has to be fetched. */
  noteChecked(chunk: number, isRight: boolean): void {
    this.#handle({ type: isRight ? "chunk_written" : "chunk_lost", chunk });
  }

  memberJoined(member: Neighbour, chunks: ChunkRanges): void {
    if (this.#ended || this.#banned.has(member.origin)) return;
    this.#sources.set(member.id, member);
    this.#handle({ type: "source_joined", source: member.id, chunks });
  }

  memberHas(member: Neighbour, chunks: ChunkRanges): void {
    if (this.#sources.has(member.id)) this.#handle({ type: "source_has", source: member.id, chunks });
    // It joined before this fetch began, or was banned by its IP before its address was proven.
    else this.memberJoined(member, chunks);
  }

  memberGone(member: Neighbour, gaveUp: boolean): void {
    if (!this.#sources.delete(member.id)) return;
    member.connection.resume(this);
    this.#handle({ type: "source_gone", source: member.id, gaveUp });
    const given = this.#engine.counters.bySource.get(member.id);
    if (given !== undefined) this.#shares.keep(member, given);
  }

  #handle(event: DownloadEvent): void {
    if (this.#ended) return;
    this.#engine.handle(event, this.#options.clock.now());
    this.#pump();
  }

  /** Carries out pending effects and sets the timer for the next. Does not nest, though effects may cause events. */
  #pump(): void {
    if (this.#pumping || this.#ended) return;
    this.#pumping = true;
    try {
      for (let effect = this.#engine.poll(); effect !== undefined && !this.#ended; effect = this.#engine.poll())
        this.#carryOut(effect);
    } catch (thrown) {
      this.stop(asP2pfsError(thrown));
    } finally {
      this.#pumping = false;
    }
    this.#timer?.cancel();
    const deadline = this.#ended ? undefined : this.#engine.deadline();
    if (deadline === undefined) return;
    const { clock } = this.#options;
    this.#timer = clock.after(Math.max(1, deadline - clock.now()), () => this.#handle({ type: "tick" }));
  }

  #carryOut(effect: DownloadEffect): void {
    switch (effect.type) {
      case "request":
        return this.#request(effect.source, effect.request, effect.chunks);
      case "cancel":
        return this.#cancel(effect.source, effect.request);
      case "drop":
        return this.#drop(effect.source, effect.reason);
      case "write":
        return this.#write(effect.request, effect.chunk);
      case "discard":
        return this.#release(effect.request);
      case "find_holders":
        return void this.#search.again();
      case "done":
        this.#ended = true;
        return this.#finished.resolve();
      case "failed":
        return this.stop(this.#failure(effect.code, effect.chunk));
    }
  }

  #request(sourceId: string, request: number, chunks: ChunkRanges): void {
    const send = () => this.#send(sourceId, request, chunks);
    this.#gate.pass(request, this.#layout.lengthOf(chunks[0]!), send);
  }

  #send(sourceId: string, request: number, chunks: ChunkRanges): void {
    const source = this.#sources.get(sourceId);
    if (source === undefined) return;
    const { contentId, fname } = this.#options;
    const { id, reply } = source.connection.ask(
      { type: "PEER_REQUEST_CHUNK", filename: fname, content_id: contentId, chunknum: chunks },
      { openPayload: (message, bytes) => this.#openChunk(request, message, bytes) },
    );
    this.#pending.set(request, { source, wireRequest: id, chunks, buffer: undefined, openedMs: 0 });
    reply.then(
      (answer) => this.#handleReply(request, answer),
      (error: unknown) => this.#handleRefusal(request, asP2pfsError(error)),
    );
  }

  /** Called for the header of a reply. Only a requested chunk of the right length gets a buffer. */
  #openChunk(request: number, message: Message, bytes: number): Uint8Array | undefined {
    const pending = this.#pending.get(request);
    if (pending === undefined || this.#ended || message.type !== "PEER_REPLY_CHUNK") return undefined;
    const { chunknum, content_id } = message;
    if (content_id !== this.#options.contentId || !rangesInclude(pending.chunks, chunknum)) return undefined;
    if (bytes !== this.#layout.lengthOf(chunknum)) return undefined;
    pending.buffer = this.#options.buffers.acquire(bytes);
    pending.openedMs = this.#options.clock.now();
    this.#handle({ type: "chunk_opened", source: pending.source.id, request, chunk: chunknum });
    return pending.buffer;
  }

  #reportProgress(): void {
    for (const [request, { source, buffer }] of this.#pending) {
      const bytes = source.connection.payloadBytesReceived;
      if (buffer !== undefined) this.#handle({ type: "chunk_progress", source: source.id, request, bytes });
    }
  }

  #handleReply(request: number, { message, payload }: Reply<"PEER_REPLY_CHUNK">): void {
    const pending = this.#pending.get(request);
    this.#pending.delete(request);
    if (pending === undefined) return;
    if (payload !== undefined) this.#arrived.set(request, payload);
    const chunk = message.chunknum;
    const valid = payload !== undefined && !this.#ended && isChunk(payload, this.#options.manifest, chunk);
    const bytes = payload?.length ?? 0;
    if (this.#ended) return this.#release(request);
    if (valid) pending.source.noteUse();
    this.#handle({ type: "chunk_arrived", source: pending.source.id, request, chunk, bytes, valid });
  }

  #handleRefusal(request: number, error: P2pfsError): void {
    const pending = this.#pending.get(request);
    this.#pending.delete(request);
    if (pending === undefined) return;
    this.#options.downThrottle.refund(this.#layout.lengthOf(pending.chunks[0]!));
    if (pending.buffer !== undefined) this.#options.buffers.release(pending.buffer);
    if (this.#ended || !pending.source.connection.isOpen) return;
    const { retryable } = errorTable[error.code];
    this.#handle({ type: "request_refused", source: pending.source.id, request, retryable });
  }

  /** A request that was not sent yet is refused here, as its source would refuse it. */
  #cancel(source: string, request: number): void {
    if (this.#gate.withdraw(request)) this.#handle({ type: "request_refused", source, request, retryable: true });
    else this.#sendCancel(request);
  }

  #sendCancel(request: number): void {
    const pending = this.#pending.get(request);
    pending?.source.connection.send({ type: "CANCEL", request: pending.wireRequest });
  }

  /** A stalled source may reconnect; one that sent wrong data is banned for the rest of this fetch. */
  #drop(sourceId: string, reason: DropReason): void {
    const source = this.#sources.get(sourceId);
    if (source === undefined) return;
    if (reason === "stalled")
      return source.connection.close(new P2pfsError("unreachable", "this peer does not answer"));
    this.#banned.add(source, reason);
    source.connection.close(new P2pfsError(reason, "what this peer sent is not what it was asked for"));
  }

  #write(request: number, chunk: number): void {
    const bytes = this.#arrived.get(request);
    if (bytes === undefined) throw new Error(`no bytes arrived for request ${request}`);
    this.#arrived.delete(request);
    this.#changeUnwritten(bytes.length);
    const written = this.#options.part.write(chunk, bytes).finally(() => this.#options.buffers.release(bytes));
    written.then(
      () => {
        this.#changeUnwritten(-bytes.length);
        this.#options.gained(chunk);
        this.#handle({ type: "chunk_written", chunk });
      },
      (error: unknown) => this.stop(asP2pfsError(error)),
    );
  }

  #changeUnwritten(bytes: number): void {
    this.#unwrittenBytes += bytes;
    const isBehind = this.#unwrittenBytes > (this.#isDiskBehind ? UNWRITTEN_BYTES_MAX / 2 : UNWRITTEN_BYTES_MAX);
    if (isBehind === this.#isDiskBehind) return;
    this.#isDiskBehind = isBehind;
    for (const { connection } of this.#sources.values()) connection[isBehind ? "pause" : "resume"](this);
    this.#updatePaused();
  }

  #updatePaused(): void {
    const paused = this.#isDiskBehind || this.#isGateHolding;
    if (paused === this.#paused) return;
    this.#paused = paused;
    this.#handle({ type: "paused", paused });
  }

  #release(request: number): void {
    const bytes = this.#arrived.get(request);
    this.#arrived.delete(request);
    if (bytes !== undefined) this.#options.buffers.release(bytes);
  }

  #close(): void {
    const { contentId, swarms } = this.#options;
    this.#ended = true;
    this.#timer?.cancel();
    this.#search.close();
    this.#progressTimer?.cancel();
    this.#gate.clear();
    for (const { connection } of this.#sources.values()) connection.resume(this);
    for (const request of [...this.#arrived.keys()]) this.#release(request);
    for (const [request, pending] of this.#pending) this.#leave(request, pending);
    swarms.unlisten(contentId);
  }

  /**
   * Nobody waits for an answer that has not begun, or its source would keep its place for ever. One that has begun cannot
   * be aborted: its rest delays all else on the connection. Where that would take long, a new connection is cheaper.
   */
  #leave(request: number, { buffer, openedMs, wireRequest, source: { connection } }: PendingChunk): void {
    this.#sendCancel(request);
    if (buffer === undefined) return connection.giveUp(wireRequest, new P2pfsError("cancelled", "the fetch has ended"));
    if (connection.payloadFramesQueued > 0) return;
    const received = connection.payloadBytesReceived;
    const elapsedMs = this.#options.clock.now() - openedMs;
    if ((elapsedMs * (buffer.length - received)) / Math.max(received, 1) > REST_MS_MAX)
      connection.close(new P2pfsError("unreachable", "the rest of a chunk would take too long"));
  }

  #failure(code: "no_holder" | "integrity", chunk: number): P2pfsError {
    const total = chunkCountOf(this.#options.manifest);
    const which = `chunk ${chunk} of ${total} of ${this.#options.fname}`;
    return code === "no_holder"
      ? new P2pfsError(code, `no reachable peer holds ${which}`)
      : new P2pfsError(code, `every holder of ${which} sent damaged data`);
  }
}
