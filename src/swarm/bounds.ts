/**
 * The named bounds of the transfer engine, together so that their relations can be seen and are asserted at load.
 * Each can be replaced through the constructors, which the tests and the simulator do.
 */
import { CHUNK_RANGES_MAX, CHUNK_SIZE_MIN, NOTICE_MS_MAX, WINDOW_SIZE } from "../core/limits.ts";
import { RATE_LIMIT_MIN } from "../core/rate.ts";
import { MINUTE_MS, SECOND_MS } from "../core/units.ts";

export interface DownloadBounds {
  /** D4: unanswered requests over all sources. */
  readonly windowSize: number;
  /**
   * Unanswered requests where at least so many sources are useful and each is crowded, i.e. that many requests of others
   * are served before ours: what waits long is chosen early, on old news, and claims chunks that idle sources have.
   */
  readonly crowdWindowSize: number;
  readonly crowdSourcesMin: number;
  readonly crowdedMin: number;
  /** Requests that a source is kept supplied with at least, so that it never waits for the next one. */
  readonly depthMin: number;
  /** Work, as time at its measured rate, that a source is kept supplied with beyond its round trip. */
  readonly queueAheadMs: number;
  /** A source is taken as stalled after multiples of its time per chunk and of all sources' time to answer, within limits. */
  readonly silenceFactor: number;
  readonly silenceWaitFactor: number;
  readonly silenceMsMin: number;
  readonly silenceMsMax: number;
  /** The same for a source that has not delivered yet. */
  readonly silenceFirstMs: number;
  /** A source that holds requests and says nothing for this long is dropped. */
  readonly silenceDropMs: number;
  /** A request is given up once this many later ones of the same source were answered before it. */
  readonly overtakenMax: number;
  /** Wait after a retryable refusal: doubled each time, from and up to. */
  readonly backoffMsMin: number;
  readonly backoffMsMax: number;
  /** A rate measured longer ago than this says nothing about a source that was idle since. */
  readonly rateFreshMs: number;
  /** A pace measured this long ago is believed by half: a source that was slow gets its chance again. */
  readonly paceFadeMs: number;
  /** Bad chunks after which a source is dropped; one more for every so many good ones, for lines that flip bits. */
  readonly badChunksMax: number;
  readonly goodChunksPerBad: number;
  /** Chunks never asked for, or other than asked for, after which a source is dropped. */
  readonly unrequestedMax: number;
  /** Sources that are gone and whose deeds are remembered: more than can come back in the time of a fetch. */
  readonly pastRecordsMax: number;
  /** Released requests remembered per source, so that late answers are known as such. */
  readonly releasedMax: number;
  /** A chunk with at most this many holders is asked for as one of many, so that the uploader chooses (see STATE.md). */
  readonly scarceHoldersMax: number;
  /** Ranges named in one request, and chunks looked at to find them. */
  readonly requestRangesMax: number;
  readonly requestCandidatesMax: number;
  /** Duplicates among its own choices after which a source is told each chunk exactly. */
  readonly duplicatesMax: number;
  /** News of chunks that wait for the next decision, and how long they wait at most. */
  readonly pendingHavesMax: number;
  readonly pendingHavesMs: number;
  /** How often a full window is searched for a request that another source should rather have. */
  readonly roomCheckMs: number;
  /** Requests beyond what keeps a source busy from which on one that claims a chunk is taken back. */
  readonly pileMin: number;
  /** At the end, a request that waits moves to an idle source that needs that many times less for it, and so much less. */
  readonly stealFactor: number;
  readonly stealMsMin: number;
  /** One that still needs that many times what a source with room needs from scratch, and so much more; before the end. */
  readonly stealSlowFactor: number;
  readonly stealSlowMsMin: number;
  readonly stealEarlyMsMin: number;
  readonly stealCheckMs: number;
  /** Moves of one chunk; after so many of them, each next one has to gain twice as much. */
  readonly movesMax: number;
  readonly movesFree: number;
  /** A rate, or a silence, is judged after this time. */
  readonly judgeMs: number;
  /** A source that takes that many times what the fastest one takes for a chunk, and so long, is asked for one at a time. */
  readonly slowFactor: number;
  readonly slowMsMin: number;
  /** A source that lost a place in the window to a faster one gets none for this long. */
  readonly displacedMs: number;
  /** Pause between two calls for more holders: grows from and up to. */
  readonly findHoldersMsMin: number;
  readonly findHoldersMsMax: number;
  /** D7: how long a chunk may be without a holder: if it never had one (R5), and if its holders left. */
  readonly noHolderMs: number;
  readonly holderLeftMs: number;
  /** How long nothing new may be verified although there are holders; see proof-watch.ts for what is waited for longer. */
  readonly unprovenMs: number;
}

export const DOWNLOAD_BOUNDS: DownloadBounds = {
  windowSize: WINDOW_SIZE,
  crowdWindowSize: 14,
  crowdSourcesMin: 10,
  crowdedMin: 3,
  depthMin: 2,
  queueAheadMs: 50,
  silenceFactor: 8,
  silenceWaitFactor: 3,
  silenceMsMin: 2 * SECOND_MS,
  silenceMsMax: 20 * SECOND_MS,
  silenceFirstMs: 4 * SECOND_MS,
  silenceDropMs: 90 * SECOND_MS,
  overtakenMax: WINDOW_SIZE,
  backoffMsMin: 100,
  backoffMsMax: 5 * SECOND_MS,
  rateFreshMs: 2 * SECOND_MS,
  paceFadeMs: SECOND_MS,
  badChunksMax: 3,
  goodChunksPerBad: 64,
  unrequestedMax: 3,
  pastRecordsMax: 256,
  releasedMax: 2 * WINDOW_SIZE,
  scarceHoldersMax: 1,
  requestRangesMax: 64,
  requestCandidatesMax: 1024,
  duplicatesMax: 4,
  pendingHavesMax: 256,
  pendingHavesMs: 50,
  roomCheckMs: 20,
  pileMin: 3,
  stealFactor: 3,
  stealMsMin: 200,
  stealSlowFactor: 8,
  stealSlowMsMin: 500,
  stealEarlyMsMin: 2 * SECOND_MS,
  stealCheckMs: 100,
  movesMax: 16,
  movesFree: 4,
  judgeMs: 100,
  slowFactor: 8,
  slowMsMin: SECOND_MS,
  displacedMs: SECOND_MS,
  findHoldersMsMin: 500,
  findHoldersMsMax: 5 * SECOND_MS,
  noHolderMs: 1500,
  holderLeftMs: 5 * SECOND_MS,
  unprovenMs: 2 * MINUTE_MS,
};

export interface UploadBounds {
  /** Requests of one requester that wait at a time; several fetches of one peer share it. */
  readonly requestsPerRequesterMax: number;
  readonly requestsMax: number;
  /** Requesters with something waiting. */
  readonly requestersMax: number;
  /** Numbers in all waiting ranges together: what bounds the memory of the queue. */
  readonly rangeNumbersMax: number;
  /** News of chunks that wait for the next choice. */
  readonly pendingHavesMax: number;
}

export const UPLOAD_BOUNDS: UploadBounds = {
  requestsPerRequesterMax: 8 * WINDOW_SIZE,
  requestsMax: 16_384,
  requestersMax: 1024,
  rangeNumbersMax: 1 << 20,
  pendingHavesMax: 256,
};

export interface GossipBounds {
  /** Time between two turns. */
  readonly turnMs: number;
  /** Turns in which all members are told; of few members, more have a turn at once. */
  readonly turnsPerRound: number;
  readonly membersPerTurnMin: number;
}

export const GOSSIP_BOUNDS: GossipBounds = {
  turnMs: 10,
  turnsPerRound: 5,
  membersPerTurnMin: 3,
};

function assertRelation(holds: boolean, sentence: string): void {
  if (!holds) throw new RangeError(`swarm bounds: ${sentence}`);
}

assertRelation(DOWNLOAD_BOUNDS.noHolderMs < NOTICE_MS_MAX, "the notice that nobody has a chunk is out in time (R5)");
assertRelation(DOWNLOAD_BOUNDS.findHoldersMsMin * 2 < DOWNLOAD_BOUNDS.noHolderMs, "holders are looked for repeatedly");
assertRelation(DOWNLOAD_BOUNDS.silenceDropMs < DOWNLOAD_BOUNDS.unprovenMs, "a silent source has a second connection");
assertRelation(
  (CHUNK_SIZE_MIN / RATE_LIMIT_MIN) * SECOND_MS < DOWNLOAD_BOUNDS.unprovenMs,
  "the smallest chunk comes in time at the lowest limit",
);
assertRelation(DOWNLOAD_BOUNDS.crowdSourcesMin <= DOWNLOAD_BOUNDS.crowdWindowSize, "no source of few is left out");
assertRelation(DOWNLOAD_BOUNDS.requestRangesMax <= CHUNK_RANGES_MAX, "a request fits into its message");
assertRelation(UPLOAD_BOUNDS.requestsPerRequesterMax >= WINDOW_SIZE, "a whole window may wait at one source");
