/**
 * All fetches of this peer, many at once. Finds the content and its holders, opens the part file and starts a FetchJob.
 * A second fetch of the same content to the same destination returns the running one.
 */
import type { Clock, Timer } from "../core/clock.ts";
import { type Deadline, msLeft, noticeDeadline } from "../core/deadline.ts";
import { reportableError } from "../core/defects.ts";
import { asP2pfsError, errorTable, P2pfsError } from "../core/errors.ts";
import { type Log, messageOf } from "../core/log.ts";
import { type ContentId, decodeManifest, type Manifest, totalSizeOf } from "../core/manifest.ts";
import type { RateLimit } from "../core/rate.ts";
import { MiB, SECOND_MS } from "../core/units.ts";
import { BufferPool } from "../disk/buffer-pool.ts";
import { ChunkChecker } from "../disk/chunk-checker.ts";
import type { ContentStore, Part } from "../disk/content-store.ts";
import { Backoff } from "../net/backoff.ts";
import { type System, sleep } from "../net/system.ts";
import type { DownloadBounds } from "../swarm/bounds.ts";
import { type FetchSubject, type FetchTarget, findTarget } from "./candidates.ts";
import type { Directory, Holder } from "./directory.ts";
import type { PeerEvents } from "./events.ts";
import { FetchJob } from "./fetch-job.ts";
import type { Library } from "./library.ts";
import { fetchManifest } from "./manifest-source.ts";
import type { Neighbours } from "./neighbours.ts";
import { inSeries, RateLimiter } from "./rate-limiter.ts";
import type { Repository, UnfinishedFetch } from "./repository.ts";
import type { Sharing } from "./sharing.ts";
import type { Swarms } from "./swarms.ts";
import type { FetchProgress, RateLimitsChange } from "./types.ts";

export const FETCHES_MAX = 256;
/** Ended fetches that are still listed. */
const ENDED_SHOWN_MAX = 50;
const IDLE_BUFFER_BYTES_MAX = 24 * MiB;
/** Longer than the tracker reuses a sample of holders. */
const HOLDERS_RETRY_MS = 200;
const RESUME_FIRST_MS = SECOND_MS;
const RESUME_MS_MAX = 30 * SECOND_MS;

export interface FetchRequest extends FetchSubject {
  /** Absolute path of the file, or of an existing folder to put it in; without it, the repository folder. */
  readonly destination?: string | undefined;
  /** Limits on receiving this fetch and on sending its content meanwhile, within the peer's limits. */
  readonly limits?: RateLimitsChange | undefined;
}

export interface FetchesOptions {
  readonly store: ContentStore;
  readonly directory: Directory;
  readonly library: Library;
  readonly repository: Repository;
  readonly neighbours: Neighbours;
  readonly swarms: Swarms;
  readonly sharing: Pick<Sharing, "limitContent">;
  /** Shared by all fetches. */
  readonly downLimiter: RateLimiter;
  /** Overrides of the engine's bounds. */
  readonly bounds?: Partial<DownloadBounds> | undefined;
  /** The repository folder; created when first needed. */
  readonly filesFolder: string;
  readonly system: System;
  readonly events: PeerEvents;
  readonly log: Log;
}

export class Fetches {
  readonly #options: FetchesOptions;
  readonly #clock: Clock;
  readonly #buffers = new BufferPool(IDLE_BUFFER_BYTES_MAX);
  readonly #checker: ChunkChecker;
  readonly #running = new Map<string, FetchJob>();
  readonly #ended: FetchJob[] = [];
  /** Fetches being prepared, by destination, so that two simultaneous commands start one fetch. */
  readonly #preparing = new Map<string, Promise<FetchJob>>();
  readonly #resumeTimers = new Set<Timer>();
  #nextId = 1;
  #closed = false;

  constructor(options: FetchesOptions) {
    this.#options = options;
    this.#clock = options.system.clock;
    this.#checker = new ChunkChecker(this.#buffers, this.#clock);
  }

  /** Bytes of chunk buffers in use. */
  get bufferBytesTaken(): number {
    return this.#buffers.takenBytes;
  }

  get runningCount(): number {
    return this.#running.size;
  }

  get running(): Iterable<FetchJob> {
    return this.#running.values();
  }

  list(): FetchProgress[] {
    return [...this.#ended, ...this.#running.values()].map((job) => job.progress());
  }

  find(id: string): FetchJob | undefined {
    return [...this.#running.values(), ...this.#ended].find((job) => job.id === id);
  }

  /** Resolves when the fetch runs; rejects within NOTICE_MS_MAX of `startedMs` where it cannot (R5). */
  async start(request: FetchRequest, startedMs: number): Promise<FetchJob> {
    const { directory, store, system, filesFolder } = this.#options;
    const target = await findTarget(directory, request, noticeDeadline(startedMs), system);
    const destination = store.destinationOf(target.fname, request.destination, filesFolder);
    return this.#startTarget(target, destination, startedMs, request.limits);
  }

  /** Starts an ended fetch again from its part file. */
  async retry(job: FetchJob): Promise<FetchJob> {
    const { fname, contentId, destination } = job;
    return this.#startTarget({ fname, contentId }, destination, this.#clock.now());
  }

  /** Resumes the unfinished fetches of earlier processes, and retries until they end. */
  resume(): void {
    for (const fetch of this.#options.repository.unfinished()) {
      const { random } = this.#options.system;
      this.#resumeOne(fetch, new Backoff({ firstMs: RESUME_FIRST_MS, maxMs: RESUME_MS_MAX, random }));
    }
  }

  /** Stops every fetch; the next start of this peer resumes them. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#resumeTimers) timer.cancel();
    const jobs = [...this.#running.values()];
    for (const job of jobs) job.stop(new P2pfsError("cancelled", `the peer ended during the fetch of ${job.fname}`));
    await Promise.allSettled(jobs.map((job) => job.done));
  }

  async #startTarget(
    target: FetchTarget,
    destination: string,
    startedMs: number,
    limits: RateLimitsChange = {},
  ): Promise<FetchJob> {
    const before = this.#running.get(destination);
    // A fetch that is being stopped must close its part file before another one opens it.
    if (before?.isEnding) await before.done.catch(() => {});
    const underWay = this.#running.get(destination) ?? this.#preparing.get(destination);
    if (underWay !== undefined) {
      const same = await underWay;
      if (same.contentId === target.contentId) return same;
      throw new P2pfsError("refused", `another fetch writes to ${destination}`, { hint: "choose another destination" });
    }
    if (this.#running.size + this.#preparing.size >= FETCHES_MAX)
      throw new P2pfsError("busy", `${FETCHES_MAX} fetches are under way already`);
    const preparing = this.#prepare(target, destination, startedMs, limits);
    this.#preparing.set(destination, preparing);
    try {
      return await preparing;
    } finally {
      this.#preparing.delete(destination);
    }
  }

  async #prepare(
    target: FetchTarget,
    destination: string,
    startedMs: number,
    limits: RateLimitsChange,
  ): Promise<FetchJob> {
    const { store, library, repository } = this.#options;
    const deadline = noticeDeadline(startedMs);
    const left = store.left(destination, target.contentId);
    // Without chunks to fetch, no holder is needed.
    const isHere = library.copyOf(target.contentId) !== undefined || left?.isWhole === true;
    const holders = isHere ? [] : await this.#holdersOf(target.contentId, deadline);
    const manifestBytes =
      library.manifestBytes(target.contentId) ??
      left?.manifestBytes ??
      (await this.#manifestFrom(holders, target.contentId, deadline));
    const manifest = decodeManifest(manifestBytes);
    const part = await store.openPart({ destination, contentId: target.contentId, manifest });
    try {
      if (this.#closed) throw new P2pfsError("cancelled", "the peer is ending");
      repository.addUnfinished({ ...target, destination });
    } catch (thrown) {
      await (part.doubtful.count > 0 ? part.close() : part.discard());
      throw thrown;
    }
    const { up_limit: upLimit = null, down_limit: downLimit = null } = limits;
    const job = this.#newJob(target, destination, manifest, part, holders, startedMs, downLimit);
    this.#running.set(destination, job);
    const limiter = upLimit === null ? undefined : new RateLimiter(this.#clock, upLimit);
    const endLimit = limiter && this.#options.sharing.limitContent(target.contentId, limiter);
    const { events, log } = this.#options;
    log("debug", "fetching {fname} to {destination}", { ...fieldsOf(job), id: job.id });
    events.emit({ type: "fetch_started", fetch: job.progress() });
    const end = () => {
      endLimit?.();
      this.#end(job);
    };
    job.done.then(end, end);
    return job;
  }

  /**
   * Holders join and leave all the time, so the tracker is asked again until the deadline while no holder gives the
   * manifest, or only wrong ones come.
   */
  async #manifestFrom(named: readonly Holder[], contentId: ContentId, deadline: Deadline): Promise<Uint8Array> {
    const { neighbours } = this.#options;
    for (let holders = named; ; holders = await this.#holdersOf(contentId, deadline)) {
      try {
        return await fetchManifest(contentId, holders, neighbours, deadline, this.#clock);
      } catch (thrown) {
        const { code } = asP2pfsError(thrown);
        const mayChange = code === "no_holder" || code === "integrity";
        if (!mayChange || msLeft(deadline, this.#clock.now()) < HOLDERS_RETRY_MS) throw thrown;
        await sleep(this.#clock, HOLDERS_RETRY_MS);
      }
    }
  }

  /** A content that another fetch is getting is awaited and then copied, not fetched twice. */
  #predecessorOf(contentId: ContentId): Promise<unknown> | undefined {
    return [...this.#running.values()].findLast((job) => job.contentId === contentId)?.done;
  }

  #newJob(
    { fname, contentId }: FetchTarget,
    destination: string,
    manifest: Manifest,
    part: Part,
    holders: readonly Holder[],
    startedMs: number,
    downLimit: RateLimit,
  ): FetchJob {
    const { library, neighbours, swarms, repository, downLimiter, log } = this.#options;
    const size = totalSizeOf(manifest);
    const removePart = () => library.removePart(contentId, part);
    return new FetchJob(
      {
        clock: this.#clock,
        random: this.#options.system.random,
        id: String(this.#nextId++),
        fname,
        contentId,
        destination,
        manifest,
        part,
        startedMs,
        predecessor: this.#predecessorOf(contentId),
        library,
        log,
        neighbours,
        swarms,
        buffers: this.#buffers,
        bounds: this.#options.bounds,
        checker: this.#checker,
        downThrottle: inSeries(downLimiter, ...(downLimit === null ? [] : [new RateLimiter(this.#clock, downLimit)])),
        findHolders: () => this.#holdersOf(contentId, noticeDeadline(this.#clock.now())).catch(() => []),
        began: () => library.addPart(contentId, part),
        gained: (chunk) => library.gain(contentId, part, chunk),
        finished: ({ mtimeNs }) => {
          this.#remember("the file {destination}, which is not served", { fname, contentId, destination }, () => {
            const copy = { contentId, path: this.#options.store.realPath(destination), size, mtimeNs };
            repository.addFetched(copy, part.manifestBytes);
            library.addCopy(copy);
          });
          removePart();
        },
        abandoned: removePart,
      },
      holders,
    );
  }

  #end(job: FetchJob): void {
    this.#running.delete(job.destination);
    // A fetch that ends because the peer closes stays in the repository, to be resumed.
    if (!this.#closed) this.#forgetUnfinished(job);
    this.#ended.push(job);
    if (this.#ended.length > ENDED_SHOWN_MAX) this.#ended.shift();
    const { events, log } = this.#options;
    const fetch = job.progress();
    const fields = { ...fieldsOf(job), id: job.id, state: fetch.state };
    const sentence = "the fetch of {fname} to {destination} is {state}";
    if (fetch.error === null) log("debug", sentence, fields);
    else log("debug", `${sentence}: {reason}`, { ...fields, reason: fetch.error.message });
    events.emit({ type: "fetch_ended", fetch });
  }

  #forgetUnfinished(fetch: UnfinishedFetch): void {
    this.#remember("that the fetch of {fname} to {destination} has ended", fetch, () =>
      this.#options.repository.removeUnfinished(fetch.destination),
    );
  }

  /** Writes to the repository; a failure is logged and does not change how the fetch ends. */
  #remember(what: string, fetch: UnfinishedFetch, change: () => void): void {
    const { log } = this.#options;
    try {
      change();
    } catch (thrown) {
      const reason = reportableError(thrown, "remembering a fetch", log).message;
      log("warn", `cannot remember ${what}: {reason}`, { ...fieldsOf(fetch), reason });
    }
  }

  async #holdersOf(contentId: ContentId, deadline: Deadline): Promise<readonly Holder[]> {
    const { holders } = await this.#options.directory.locate(contentId, deadline);
    return holders;
  }

  async #resumeOne(fetch: UnfinishedFetch, backoff: Backoff): Promise<void> {
    const { log, repository } = this.#options;
    const fields = fieldsOf(fetch);
    const name = "the unfinished fetch of {fname} to {destination}";
    try {
      const job = await this.#startTarget(fetch, fetch.destination, this.#clock.now());
      log("info", `going on with ${name}`, { ...fields, id: job.id });
      await job.done;
    } catch (thrown) {
      const error = reportableError(thrown, messageOf(name, fields), log);
      if (this.#closed || error.code === "cancelled") return;
      if (!errorTable[error.code].retryable && error.code !== "not_found") {
        log("warn", `gave up ${name}: {reason}`, { ...fields, reason: error.message });
        return this.#forgetUnfinished(fetch);
      }
      this.#remember(name, fetch, () => repository.addUnfinished(fetch));
      const timer = this.#clock.after(backoff.next(), () => {
        this.#resumeTimers.delete(timer);
        this.#resumeOne(fetch, backoff);
      });
      this.#resumeTimers.add(timer);
    }
  }
}

/** For the log. */
function fieldsOf({ fname, contentId, destination }: UnfinishedFetch) {
  return { fname, content_id: contentId, destination };
}
