/**
 * One fetch, from its open part file to the finished file: chunks of an earlier attempt are verified, chunks of a local
 * copy are copied, the rest is transferred while the verification runs. A fetch that ends without its file keeps the
 * part file for the next attempt, unless it was cancelled.
 */
import { type Bitfield, formatRanges } from "../core/bitfield.ts";
import type { Clock, Random } from "../core/clock.ts";
import { reportableError } from "../core/defects.ts";
import { asP2pfsError, errorBody, P2pfsError } from "../core/errors.ts";
import type { FileName } from "../core/file-name.ts";
import { NOTICE_MS_MAX } from "../core/limits.ts";
import type { Log } from "../core/log.ts";
import { type ContentId, chunkCountOf, type Manifest } from "../core/manifest.ts";
import { SECOND_MS } from "../core/units.ts";
import { isChunk } from "../disk/blake3.ts";
import type { BufferPool } from "../disk/buffer-pool.ts";
import type { ChunkChecker } from "../disk/chunk-checker.ts";
import { ContentLayout } from "../disk/content-layout.ts";
import type { Part } from "../disk/content-store.ts";
import type { FileStamp } from "../disk/file-stamp.ts";
import type { DownloadBounds } from "../swarm/bounds.ts";
import type { Holder } from "./directory.ts";
import type { Library } from "./library.ts";
import type { Neighbours } from "./neighbours.ts";
import type { Refundable } from "./rate-limiter.ts";
import { RateMeter } from "./rate-meter.ts";
import type { Swarms } from "./swarms.ts";
import { Transfer } from "./transfer.ts";
import type { FetchDetail, FetchProgress, FetchReceipt, SourceShare } from "./types.ts";

/** R5: what is left of the time of a notice when a transfer gives up for want of holders. */
const REPORT_MS = 100;

export type FetchState = FetchProgress["state"];

export interface FetchJobOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly id: string;
  readonly fname: FileName;
  readonly contentId: ContentId;
  /** Absolute path of the finished file. */
  readonly destination: string;
  readonly manifest: Manifest;
  readonly part: Part;
  /** When the user gave the command, on the clock. */
  readonly startedMs: number;
  /**
   * An earlier fetch of the same content. This one waits for its end, to copy the file instead of fetching it again.
   */
  readonly predecessor: Promise<unknown> | undefined;
  readonly library: Library;
  readonly log: Log;
  readonly neighbours: Neighbours;
  readonly swarms: Swarms;
  readonly buffers: BufferPool;
  readonly checker: ChunkChecker;
  readonly downThrottle: Refundable;
  /** Overrides of the engine's bounds. */
  readonly bounds?: Partial<DownloadBounds> | undefined;
  readonly findHolders: () => Promise<readonly Holder[]>;
  /** The part file can be served from now on. */
  readonly began: () => void;
  readonly gained: (chunk: number) => void;
  /** The file has its final name and can be served from there. */
  readonly finished: (stamp: FileStamp) => void;
  /** The fetch ends without its file: the part file must not be served any more. */
  readonly abandoned: () => void;
}

export class FetchJob {
  readonly id: string;
  readonly fname: FileName;
  readonly contentId: ContentId;
  readonly destination: string;
  /** Rejects with the reason of the failure; `cancelled` where `stop` or `cancel` ended the fetch. */
  readonly done: Promise<FetchReceipt>;
  readonly #options: FetchJobOptions;
  readonly #layout: ContentLayout;
  readonly #chunkCount: number;
  readonly #rate: RateMeter;
  #bytesResumed = 0;
  #bytesCopied = 0;
  #bytesFetched = 0;
  #transfer: Transfer | undefined;
  #state: FetchState = "running";
  #error: P2pfsError | undefined;
  #stopped: P2pfsError | undefined;
  readonly #stopSignal = Promise.withResolvers<void>();
  #discarding = false;

  /** Starts the fetch. */
  constructor(options: FetchJobOptions, holders: readonly Holder[]) {
    this.#options = options;
    this.id = options.id;
    this.fname = options.fname;
    this.contentId = options.contentId;
    this.destination = options.destination;
    this.#layout = new ContentLayout(options.manifest);
    this.#chunkCount = chunkCountOf(options.manifest);
    this.#rate = new RateMeter(options.startedMs);
    this.done = this.#run(holders);
    // Callers that await `done` get the error; without any, it must not be an unhandled rejection.
    this.done.catch(() => {});
  }

  progress(): FetchProgress {
    return {
      event: "progress",
      ...this.#identity(),
      state: this.#state,
      bytes: this.#layout.bytesOf(this.have),
      chunks: this.#options.part.have.count,
      bytes_per_second: this.#state === "running" ? this.#rate.bytesPerSecond(this.#options.clock.now()) : 0,
      sources: this.#state === "running" ? (this.#transfer?.sourceCount ?? 0) : 0,
      error: this.#error === undefined ? null : errorBody(this.#error).error,
    };
  }

  detail(): FetchDetail {
    const { have } = this.#options.part;
    return {
      ...this.progress(),
      chunks_held: formatRanges(have.toRanges()),
      source_shares: this.shares(),
    };
  }

  /** Bytes and chunks received from each source so far. */
  shares(): SourceShare[] {
    return this.#transfer?.shares() ?? [];
  }

  /** The verified chunks; updated while the fetch runs. */
  get have(): Bitfield {
    return this.#options.part.have;
  }

  /** Whether the fetch has ended or was stopped. */
  get isEnding(): boolean {
    return this.#state !== "running" || this.#stopped !== undefined;
  }

  /** Ends the fetch and keeps the part file. */
  stop(reason = new P2pfsError("cancelled", `the fetch of ${this.fname} was stopped`)): void {
    if (this.#state !== "running") return;
    this.#stopped ??= reason;
    this.#stopSignal.resolve();
    this.#transfer?.stop(reason);
  }

  /** Ends the fetch and deletes the part file. */
  cancel(): void {
    if (this.#state !== "running") return;
    this.#discarding = true;
    const hint = "what had arrived was deleted";
    this.stop(new P2pfsError("cancelled", `the fetch of ${this.fname} was cancelled`, { hint }));
  }

  async #run(holders: readonly Holder[]): Promise<FetchReceipt> {
    const { part, finished } = this.#options;
    try {
      await this.#awaitPredecessor();
      await this.#gather(holders);
      await part.finish({ placed: finished });
      this.#state = "done";
      return this.#receipt();
    } catch (thrown) {
      const error = reportableError(thrown, `the fetch of ${this.fname}`, this.#options.log);
      this.#state = endStateOf(error, this.#discarding);
      this.#error = error;
      this.#transfer?.stop(error);
      this.#options.abandoned();
      await (this.#discarding ? part.discard() : part.close());
      throw error;
    }
  }

  /** What an earlier fetch could not get from anybody is not waited for all over again. */
  async #awaitPredecessor(): Promise<void> {
    const { part, predecessor = Promise.resolve() } = this.#options;
    const ended = predecessor.catch((thrown: unknown) => {
      const { code } = asP2pfsError(thrown);
      if ((code === "no_holder" || code === "integrity") && !part.isNoneMissing) throw thrown;
    });
    await Promise.race([ended, this.#stopSignal.promise]);
  }

  /** Resolves when every chunk is verified, those of an earlier process included. */
  async #gather(holders: readonly Holder[]): Promise<void> {
    const { part, library, contentId, began } = this.#options;
    const isCopied = library.copyOf(contentId) !== undefined;
    if (!isCopied && !part.have.isFull) began();
    const check = this.#check();
    // Awaited below; it may reject before that.
    check.catch(() => {});
    if (isCopied || part.isNoneMissing) await Promise.race([check, this.#stopSignal.promise]);
    if (isCopied) {
      await this.#copyLocally();
      if (!part.have.isFull) began();
    }
    if (!part.have.isFull) await Promise.all([this.#runTransfer(holders), check]);
  }

  #check(): Promise<void> {
    const { part, checker, gained } = this.#options;
    return part.check(checker, {
      proven: (chunk) => {
        this.#bytesResumed += this.#layout.lengthOf(chunk);
        gained(chunk);
        this.#transfer?.noteChecked(chunk, true);
      },
      lost: (chunk) => this.#transfer?.noteChecked(chunk, false),
    });
  }

  /** Copies and verifies chunks of a local copy. Where the copy is lost or changed, the rest is fetched from others. */
  async #copyLocally(): Promise<void> {
    const { library, contentId, part, manifest, buffers } = this.#options;
    for (let chunk = 0; chunk < this.#chunkCount; chunk++) {
      if (this.#stopped !== undefined) throw this.#stopped;
      if (part.have.has(chunk)) continue;
      if (library.copyOf(contentId) === undefined) return;
      const buffer = buffers.acquire(this.#layout.lengthOf(chunk));
      try {
        const isRead = await library.read(contentId, chunk, 0, buffer).then(() => true, asCopyLost);
        if (!isRead || !isChunk(buffer, manifest, chunk)) return;
        await part.write(chunk, buffer);
        this.#bytesCopied += buffer.length;
        this.#rate.add(buffer.length, this.#options.clock.now());
      } finally {
        buffers.release(buffer);
      }
    }
  }

  async #runTransfer(holders: readonly Holder[]): Promise<void> {
    const { gained, startedMs } = this.#options;
    if (this.#stopped !== undefined) throw this.#stopped;
    this.#transfer = new Transfer({
      ...this.#options,
      noticeAt: startedMs + NOTICE_MS_MAX - REPORT_MS,
      gained: (chunk) => {
        const bytes = this.#layout.lengthOf(chunk);
        this.#bytesFetched += bytes;
        this.#rate.add(bytes, this.#options.clock.now());
        gained(chunk);
      },
    });
    await this.#transfer.run(holders);
  }

  #receipt(): FetchReceipt {
    const counters = this.#transfer?.counters;
    const durationMs = Math.max(1, this.#options.clock.now() - this.#options.startedMs);
    return {
      event: "receipt",
      ...this.#identity(),
      bytes_fetched: this.#bytesFetched,
      bytes_copied: this.#bytesCopied,
      bytes_resumed: this.#bytesResumed,
      sources: this.#transfer?.shares() ?? [],
      rerequests: counters?.rerequests ?? 0,
      rejected: counters?.chunksRejected ?? 0,
      duration_ms: Math.round(durationMs),
      bytes_per_second: Math.round(((this.#bytesFetched + this.#bytesCopied) * SECOND_MS) / durationMs),
    };
  }

  #identity() {
    return {
      id: this.id,
      fname: this.fname,
      content_id: this.contentId,
      destination: this.destination,
      size: this.#layout.size,
      total_chunknum: this.#chunkCount,
    };
  }
}

/** False for a copy that was deleted or changed, as the library has just noticed. */
function asCopyLost(thrown: unknown): false {
  if (thrown instanceof P2pfsError) return false;
  throw thrown;
}

function endStateOf(error: P2pfsError, discarding: boolean): FetchState {
  if (discarding) return "cancelled";
  return error.code === "cancelled" ? "stopped" : "failed";
}
