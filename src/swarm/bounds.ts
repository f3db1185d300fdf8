/**
 * The named bounds of the transfer engine, together so that their relations can be seen and are asserted at load.
 * Each can be replaced through the constructors, which the tests and the simulator do.
 *
 * A bound that was tuned names, after "Simulate:", the arguments of a `scripts/simulate` run that shows what it is for,
 * with the bound replaced, and what it gives in place of the result with the bound as it is: the time of the last
 * leecher as a multiple of the theoretical bound ("1.27 instead of 1.01"), unless it says otherwise. A safety limit is
 * not tuned: it says what it limits, and why at that size.
 */
import { CHUNK_RANGES_MAX, CHUNK_SIZE_MIN, NOTICE_MS_MAX, WINDOW_SIZE } from "../core/limits.ts";
import { RATE_LIMIT_MIN } from "../core/rate.ts";
import { MINUTE_MS, SECOND_MS } from "../core/units.ts";

export interface DownloadBounds {
  /**
   * D4: unanswered requests over all sources; the contract fixes the number.
   * Simulate: `leechers=8 bounds.windowSize=4` gives 1.27 instead of 1.01, 8 gives 1.07; from 16 on there is no gain.
   */
  readonly windowSize: number;
  /**
   * The window where sources are crowded. A request that waits long was chosen on old knowledge, and claims a chunk that
   * an idle source may have meanwhile.
   * Simulate: `leechers=100 chunkCount=256 bounds.crowdWindowSize=30` gives 1.27 instead of 1.23 and five times as many
   * chunks asked for again; 7 gives 1.30.
   */
  readonly crowdWindowSize: number;
  /**
   * Sources that must have answered before they can count as crowded, so that a fetch with few sources keeps its window.
   * The number itself makes little difference.
   * Simulate: `leechers=20 chunkCount=200 bounds.crowdSourcesMin=30` (never crowded) gives 1.17 instead of 1.16; 1 gives 1.16.
   */
  readonly crowdSourcesMin: number;
  /**
   * Sources are crowded where so many requests of others are served before one of ours. Any number from 1 to 6 does.
   * Simulate: `leechers=100 chunkCount=256 bounds.crowdedMin=1000` (never crowded) gives 1.28 instead of 1.23 and six
   * times as many chunks asked for again.
   */
  readonly crowdedMin: number;
  /**
   * Requests that a source has at least, so that it is sending one while the next is on its way. The simulator shows no
   * difference, since its lines never idle between two answers: `leechers=20 chunkCount=200 bounds.depthMin=1`.
   */
  readonly depthMin: number;
  /**
   * Work that a source has beyond its round trip, as time at its measured rate.
   * Simulate: `leechers=8 latencyMsMax=50 bounds.queueAheadMs=1000` gives 1.05 instead of 1.03; 0 costs next to nothing.
   */
  readonly queueAheadMs: number;
  /**
   * A source has stalled when it is silent for this multiple of its own time per chunk, within the limits below.
   * No difference in the simulator, where a rate is constant: `leechers=8 chunkCount=16 seederUp=16384 leecherUp=16384
   * bounds.silenceFactor=1` gives 1.44 as well. It is for lines whose rate varies.
   */
  readonly silenceFactor: number;
  /**
   * Nor before this multiple of what sources take for an answer now: in a swarm that is slow, silence is common.
   * Simulate: `leechers=20 chunkCount=64 seederUp=32768 leecherUp=32768 bounds.silenceWaitFactor=0` asks for 40 % of the
   * chunks again instead of 29 %, although it ends a little sooner: 1.20 instead of 1.22.
   */
  readonly silenceWaitFactor: number;
  /**
   * A shorter silence is none, whatever was measured: a pause of the other machine is no fault of the line.
   * The simulator knows no pauses, and shows no gain of a shorter one: `leechers=20 chunkCount=200 stalling=0.2
   * bounds.silenceMsMin=500` gives 1.58 as well.
   */
  readonly silenceMsMin: number;
  /**
   * A longer silence is a stall, whatever was measured.
   * Simulate: `leechers=20 chunkCount=64 seederUp=32768 leecherUp=32768 bounds.silenceMsMax=60000` gives 1.30 instead of
   * 1.22; 2000 gives 1.17, but asks for 56 % of the chunks again instead of 29 %.
   */
  readonly silenceMsMax: number;
  /**
   * The same for a source that has not answered yet.
   * Simulate: `leechers=20 chunkCount=200 stalling=0.2 bounds.silenceFirstMs=2000` gives 1.54 instead of 1.58;
   * `slowLeechers=0.2` in place of `stalling=0.2` shows only the cost.
   */
  readonly silenceFirstMs: number;
  /**
   * A source that owes an answer and says nothing for this long is dropped. A safety limit: shorter than `unprovenMs`, so
   * that a second connection gets its chance, and long enough for a laptop that wakes up.
   * Simulate: `leechers=1 seederUp=65536 chunkCount=256 mute=3 neighboursAim=3 bounds.silenceDropMs=5000` gives 1.05
   * instead of 1.38: until then the mute ones keep the seeder out.
   */
  readonly silenceDropMs: number;
  /**
   * A request is cancelled once more than this many later ones of the same source were answered before it. A safety limit
   * against uploaders that never answer some request: a whole window has passed it. Simulated uploaders answer in order.
   */
  readonly overtakenMax: number;
  /**
   * Pause after a source was busy: doubled each time, from this.
   * Simulate: `leechers=8 chunkCount=256 uploads.requestsPerRequesterMax=4 bounds.backoffMsMin=1000` gives 3.22 instead
   * of 2.42; 10 gives 2.41.
   */
  readonly backoffMsMin: number;
  /**
   * And up to this. A compromise with an uploader that is overloaded, which a swarm of ours does not show.
   * Simulate: `leechers=8 chunkCount=256 uploads.requestsPerRequesterMax=4 bounds.backoffMsMax=100` gives 1.07 instead of
   * 2.42.
   */
  readonly backoffMsMax: number;
  /**
   * A rate measured longer ago than this is forgotten where the source was idle since.
   * Simulate: `leechers=20 chunkCount=200 slowLeechers=0.2 bounds.rateFreshMs=100` gives 2.06 instead of 1.41.
   */
  readonly rateFreshMs: number;
  /**
   * A pace measured this long ago is believed by half, so that a source that was slow gets its chance again. The number
   * makes little difference where rates are constant: `leechers=60 chunkCount=256 bounds.paceFadeMs=10` gives 1.20, like
   * 1000, and asks for half as many chunks again.
   */
  readonly paceFadeMs: number;
  /**
   * Bad chunks after which a source is dropped: a line may flip bits, a liar never sends anything good.
   * Simulate: `leechers=20 chunkCount=200 liars=0.2 bounds.badChunksMax=10` gives 1.37 instead of 1.30, and 727 bad
   * chunks instead of 220.
   */
  readonly badChunksMax: number;
  /**
   * One more bad chunk is allowed for every so many good ones. A safety limit for long fetches over a line that flips
   * bits: a source that wastes less than one chunk in so many is worth keeping. Simulated liars send nothing good.
   */
  readonly goodChunksPerBad: number;
  /**
   * Chunks that were not asked for, or other than asked for, after which a source is dropped. A safety limit: no honest
   * peer sends any, but a late answer to a forgotten request looks the same.
   */
  readonly unrequestedMax: number;
  /**
   * Sources that are gone and whose record is kept. A safety limit of memory, far above the number of connections that a
   * peer has at a time.
   */
  readonly pastRecordsMax: number;
  /**
   * Released requests remembered per source, so that late answers are used. A safety limit of memory: two windows, more
   * than a source of ours ever has. `leechers=20 chunkCount=200 slowLeechers=0.2 bounds.releasedMax=0` makes no difference.
   */
  readonly releasedMax: number;
  /**
   * A chunk with at most this many holders is asked for as one of many, so that the uploader chooses (see STATE.md).
   * Simulate: `leechers=60 chunkCount=256 bounds.scarceHoldersMax=0` gives 1.93 instead of 1.20, and 1.87 copies from the
   * seeder instead of 1.09; 2 gives 1.19, with three times as many duplicates.
   */
  readonly scarceHoldersMax: number;
  /**
   * Ranges named in one request. Simulate: `leechers=20 bounds.requestRangesMax=1` gives 1.04 instead of 1.03; 4 is
   * enough. The rest is for swarms whose missing chunks are more scattered; a request stays below a kilobyte.
   */
  readonly requestRangesMax: number;
  /**
   * Chunks looked at to find these ranges. Simulate: `leechers=20 bounds.requestCandidatesMax=32` gives 1.05 instead of
   * 1.03, 1 gives 1.07. More than this would cost more than it brings: see `--cost`.
   */
  readonly requestCandidatesMax: number;
  /**
   * Duplicates among its own choices after which a source is asked for single chunks only. A safety limit against an
   * uploader that ignores what we have; ours never comes so far: `leechers=60 chunkCount=256 bounds.duplicatesMax=100`.
   */
  readonly duplicatesMax: number;
  /**
   * Pending haves before they are entered. A safety limit of memory, and of the time that it takes to enter them.
   * `leechers=100 chunkCount=256 bounds.pendingHavesMax=1` (each at once) gives 1.22, like 1.23.
   */
  readonly pendingHavesMax: number;
  /**
   * How long a pending have may wait for the next decision. In a running fetch that comes sooner:
   * `leechers=100 chunkCount=256 bounds.pendingHavesMs=5000` makes no difference. It is for a fetch that waits for nothing
   * but a chunk that nobody has yet.
   */
  readonly pendingHavesMs: number;
  /**
   * How often a full window is searched for a request that another source should rather have.
   * Simulate: `leechers=20 chunkCount=200 bounds.roomCheckMs=5000` gives 1.77 instead of 1.16; below 500 there is no gain.
   */
  readonly roomCheckMs: number;
  /**
   * Requests beyond those that keep a source busy from which on one that claims a chunk is taken from it.
   * Simulate: `leechers=60 chunkCount=256 bounds.pileMin=1` gives 1.24 instead of 1.20, and asks for twelve times as many
   * chunks again; above 3 there is no difference.
   */
  readonly pileMin: number;
  /**
   * In the endgame, a request that waits moves to an idle source that needs that many times less for it.
   * Simulate: `leechers=8 chunkCount=256 leecherUp=262144,4194304 bounds.stealFactor=1000` (never) gives 1.18 instead of
   * 1.12.
   */
  readonly stealFactor: number;
  /** And at least so much less. Simulate: the same with `bounds.stealMsMin=1000` gives 1.19 instead of 1.12; 0 gives 1.08. */
  readonly stealMsMin: number;
  /**
   * A request moves that needs that many times what a source with room needs from scratch.
   * Simulate: `leechers=20 chunkCount=200 slowLeechers=0.2 bounds.stealSlowFactor=64` gives 1.58 instead of 1.41; 2 gives
   * 1.49.
   */
  readonly stealSlowFactor: number;
  /** And so much more, in the endgame. Simulate: the same with `bounds.stealSlowMsMin=8000` gives 1.45 instead of 1.41. */
  readonly stealSlowMsMin: number;
  /**
   * And so much more, before the endgame. Simulate: the same with `bounds.stealEarlyMsMin=8000` gives 1.53 instead of
   * 1.41, 0 gives 1.49. In a larger swarm less would be better: `leechers=60 chunkCount=256 slowLeechers=0.2
   * bounds.stealEarlyMsMin=0` gives 2.36 instead of 2.85.
   */
  readonly stealEarlyMsMin: number;
  /**
   * How often slow requests are looked for, and how old a request is before it is moved.
   * Simulate: `leechers=1 seederUp=6291456 chunkCount=48 slow=10 bounds.stealCheckMs=500` gives 2.26 instead of 1.26; 10
   * gives 1.15.
   */
  readonly stealCheckMs: number;
  /**
   * Moves of one chunk. A safety limit against a chunk that goes from one slow source to the next for ever: more than the
   * liars that a fetch has by chance. Simulate: `leechers=1 seederUp=6291456 chunkCount=48 trickle=35 neighboursAim=50
   * bounds.movesMax=1` is not done in ten minutes instead of 0.74 s; 4 is enough there.
   */
  readonly movesMax: number;
  /**
   * After so many moves, each next one has to gain twice as much. A safety limit for the same: no simulated fetch moves a
   * chunk so often.
   */
  readonly movesFree: number;
  /**
   * A rate, or a silence, is judged after this time. Simulate: `leechers=1 seederUp=6291456 chunkCount=48 slow=10
   * bounds.judgeMs=500` gives 1.96 instead of 1.26; less makes no difference, since progress is told ten times a second.
   */
  readonly judgeMs: number;
  /**
   * A source that takes that many times what the fastest one takes for a chunk is asked for one at a time.
   * Simulate: `leechers=20 chunkCount=200 slowLeechers=0.2 bounds.slowFactor=1000` (never) gives 1.56 instead of 1.41; any
   * number from 2 to 32 does.
   */
  readonly slowFactor: number;
  /** And so long at least. Simulate: the same with `bounds.slowMsMin=4000` gives 1.56 instead of 1.41, 100 gives 1.61. */
  readonly slowMsMin: number;
  /**
   * A source that lost a place in the window to a faster one gets none for this long.
   * Simulate: `leechers=20 chunkCount=200 slowLeechers=0.2 bounds.displacedMs=10000` gives 1.80 instead of 1.41. With 1 it
   * gives 1.39: the simulator does not show what the pause is for, that the two do not swap places again and again.
   */
  readonly displacedMs: number;
  /**
   * Pause between two calls for more holders, from this: at least two calls before `noHolderMs` is over.
   * Simulate: `leechers=20 chunkCount=200 resetsPerSecond=100 neighboursAim=3 bounds.findHoldersMsMin=700` gives 1.49
   * instead of 1.34.
   */
  readonly findHoldersMsMin: number;
  /** And up to this. A safety limit of the load on the tracker: the same with `bounds.findHoldersMsMax=500` gives 1.32. */
  readonly findHoldersMsMax: number;
  /**
   * D7: how long a chunk may be without a holder if it never had one. R5 fixes it: the notice has to be out in time.
   * `leechers=20 chunkCount=200 seeders=0` ends every fetch with it.
   */
  readonly noHolderMs: number;
  /**
   * D7: the same if its holders left and may come back.
   * Simulate: `leechers=12 chunkCount=200 resetsPerSecond=200 neighboursAim=1 neighboursMax=2 bounds.holderLeftMs=500` ends
   * all 12 fetches without success instead of 8.
   */
  readonly holderLeftMs: number;
  /**
   * How long no chunk may be verified although there are holders; see proof-watch.ts for what is waited for longer. A
   * safety limit: the smallest chunk comes in time at the lowest rate.
   * Simulate: `leechers=4 seeders=0 slow=1 slowUp=2048 chunkCount=8 bounds.unprovenMs=20000` fails all four fetches, which
   * are done in 288 s otherwise.
   */
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
  /**
   * Requests of one requester that wait at a time; several fetches of one peer share it. A safety limit of memory: eight
   * fetches with a whole window each. Less than one window slows a fetch down.
   * Simulate: `leechers=8 chunkCount=256 uploads.requestsPerRequesterMax=4` gives 2.42 instead of 1.05.
   */
  readonly requestsPerRequesterMax: number;
  /**
   * Requests of all requesters that wait. A safety limit of memory, above what a thousand leechers have at one uploader.
   * Simulate: `leechers=40 chunkCount=128 uploads.requestsMax=100` gives 2.22 instead of 1.32.
   */
  readonly requestsMax: number;
  /**
   * Requesters with something waiting. A safety limit of the time that a turn takes, which looks at each.
   * Simulate: `leechers=40 chunkCount=128 uploads.requestersMax=5` asks for 48 % of the chunks again instead of 0.6 %.
   */
  readonly requestersMax: number;
  /**
   * Numbers in all waiting ranges together. A safety limit of memory: 8 MiB at 8 bytes each.
   * Simulate: `leechers=40 chunkCount=128 uploads.rangeNumbersMax=500` gives 1.70 instead of 1.32.
   */
  readonly rangeNumbersMax: number;
  /**
   * Pending haves before they are entered. A safety limit of memory. When they are entered makes no difference:
   * `leechers=40 chunkCount=128 uploads.pendingHavesMax=1`.
   */
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
  /**
   * Time between two turns. Simulate: `leechers=100 chunkCount=256 gossip.turnMs=50` gives 1.28 instead of 1.23; 1 gives
   * 1.27, and twice as many chunks asked for again.
   */
  readonly turnMs: number;
  /**
   * Turns in which all members are told. Simulate: `leechers=100 chunkCount=256 gossip.turnsPerRound=10` gives 1.26
   * instead of 1.23. All at once (1) gives 1.22 there and 1.17 instead of 1.19 with `leechers=300 chunkCount=512`, but
   * 1.24 instead of 1.20 with `leechers=60`: between 1 and 5 such runs do not decide.
   */
  readonly turnsPerRound: number;
  /**
   * Members told in one turn at least, so that a small swarm is told at once. `leechers=8 chunkCount=256
   * gossip.membersPerTurnMin=1` and 50 make no difference.
   */
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
