/**
 * The FetchState under random operations: after each, every count equals a naive recount, and the result says what
 * happened. Canaries break a state by force and show that each invariant notices.
 */
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { Bitfield } from "../../src/core/bitfield.ts";
import { DOWNLOAD_BOUNDS } from "../../src/swarm/bounds.ts";
import { type BindResult, type ChunkState, FetchState } from "../../src/swarm/fetch-state.ts";
import type { RarestFirst } from "../../src/swarm/picker.ts";
import type { Request, Source } from "../../src/swarm/source.ts";
import type { SourceState } from "../../src/swarm/source-state.ts";
import { chunksOf, INVARIANTS, pendingOf, releasedOf, violations, type Watched } from "./fetch-invariants.ts";
import { allOf, CHUNK_BYTES, chunksIn, rangesOf, seededRandom } from "./support.ts";

const SOURCES = ["a", "b", "c", "d"];
const CHUNKS_MAX = 40;
const WINDOW = 4;
const RELEASED_MAX = 2;

const operation = fc.record({
  kind: fc.constantFrom(
    ...["join", "joinFull", "announce", "refuse", "leave", "ban", "exact", "exact", "choice", "choice", "choice"],
    ...["open", "open", "open", "report", "release", "move", "write", "write", "bad", "busy", "overtake"],
    ...["elsewhere", "check", "damage", "cancelSurplus", "stall", "hear"],
  ),
  /** Picks the source, the request, the chunk among those that there are. */
  pick: fc.nat(1_000_000),
  chunks: fc.uniqueArray(fc.nat(CHUNKS_MAX - 1), { maxLength: CHUNKS_MAX, size: "max" }),
});
type Operation = typeof operation extends fc.Arbitrary<infer O> ? O : never;

/** Without a size, sequences would be short: about ten operations. */
const operations = fc.array(operation, { maxLength: 120, size: "max" });

const setting = fc.record({
  chunkCount: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: CHUNKS_MAX })),
  held: fc.uniqueArray(fc.nat(CHUNKS_MAX - 1), { maxLength: 8 }),
  doubtful: fc.uniqueArray(fc.nat(CHUNKS_MAX - 1), { maxLength: 8 }),
  seed: fc.nat(),
});
type Setting = typeof setting extends fc.Arbitrary<infer S> ? S : never;

/** Does to a state what a download manager may do, and compares each result with the state before. */
class Operator implements Watched {
  readonly state: FetchState;
  readonly have: Bitfield;
  readonly windowSize = WINDOW;
  readonly releasedMax = RELEASED_MAX;
  readonly announced = new Map<string, Set<number>>();
  readonly avoided = new Map<string, Set<number>>();
  readonly issued: Request[] = [];
  /** How often each operation was carried out: the generator must reach all of them. */
  readonly done = new Map<string, number>();
  now = 0;

  constructor({ chunkCount, doubtful, held, seed }: Setting) {
    const within = (chunks: readonly number[]) => rangesOf(chunks.filter((chunk) => chunk < chunkCount));
    this.have = Bitfield.fromRanges(chunkCount, within(held));
    const bounds = {
      ...DOWNLOAD_BOUNDS,
      windowSize: WINDOW,
      releasedMax: RELEASED_MAX,
      overtakenMax: 3,
      pastRecordsMax: 1,
    };
    const unchecked = Bitfield.fromRanges(chunkCount, within(doubtful));
    this.state = new FetchState(chunkCount, this.have, unchecked, seededRandom(seed), bounds);
  }

  apply({ chunks, kind, pick }: Operation): void {
    this.now += pick % 50;
    const id = SOURCES[pick % SOURCES.length]!;
    const own = chunks.filter((chunk) => chunk < this.state.chunkCount);
    const source = this.state.sources.get(id);
    if (kind === "join" || kind === "joinFull") {
      this.join(id, kind === "join" ? own : chunksOf(this.state));
    } else if (["elsewhere", "check", "damage"].includes(kind)) {
      this.changeChunk(kind, pick % this.state.chunkCount);
    } else if (kind === "cancelSurplus") {
      this.cancelSurplus();
    } else if (["open", "report", "release", "move", "write", "bad", "busy", "overtake"].includes(kind)) {
      const requests = [...pendingOf(this.state), ...releasedOf(this.state)];
      const request = requests[pick % Math.max(requests.length, 1)];
      if (request !== undefined) this.changeRequest(kind, request, pick);
    } else if (source !== undefined) {
      this.changeSource(kind, source, own, pick);
    }
    this.retryAvoided();
    this.done.set(kind, (this.done.get(kind) ?? 0) + 1);
  }

  /** A chunk that no source has any more is asked for again where it was bad. */
  retryAvoided(): void {
    for (const chunk of chunksOf(this.state)) {
      const isAvoided = (id: string) => this.avoided.get(id)?.has(chunk) === true;
      if ([...this.announced].some(([id, announced]) => announced.has(chunk) && !isAvoided(id))) continue;
      for (const avoided of this.avoided.values()) avoided.delete(chunk);
    }
  }

  join(id: string, chunks: readonly number[]): void {
    const banned = this.state.records.get(id)?.banned;
    const isKnown = this.state.sources.has(id);
    const ranges = chunks.length === this.state.chunkCount ? allOf(chunks.length) : rangesOf(chunks);
    expect(this.state.join(id, ranges, this.now)).toBe(banned ?? (isKnown ? "joined_before" : "joined"));
    if (banned === undefined) this.announce(id, chunks);
  }

  announce(id: string, chunks: readonly number[]): void {
    this.announced.set(id, new Set([...(this.announced.get(id) ?? []), ...chunks]));
  }

  forget(source: Source): void {
    const lost: number[] = [];
    const expected = chunksOf(this.state).filter((chunk) => source.has(chunk) && !this.have.has(chunk));
    this.state.removeSource(source, (chunk) => lost.push(chunk));
    expect(lost).toEqual(expected);
    this.announced.delete(source.id);
    this.avoided.delete(source.id);
    expect(this.state.sources.has(source.id)).toBe(false);
    const { banned, chunks, rejected } = source.record;
    if (banned === undefined && chunks + rejected === 0) expect(this.state.records.has(source.id)).toBe(false);
    expect(this.state.records.size).toBeLessThanOrEqual(this.state.sources.size + 1);
  }

  changeSource(kind: string, source: Source, chunks: readonly number[], pick: number): void {
    const wanted = chunksOf(this.state).filter((chunk) => this.state.picker.isWanted(chunk) && source.has(chunk));
    const hasRoom = this.state.unanswered < WINDOW && wanted.length > 0;
    if (kind === "announce") {
      const before = chunks.filter((chunk) => source.has(chunk)).length;
      const result = this.state.addChunks(source, rangesOf(chunks));
      this.announce(source.id, chunks);
      expect(result).toBe(chunks.filter((chunk) => source.has(chunk)).length > before ? "gained" : "nothing_new");
    } else if (kind === "refuse") {
      const chunk = pick % this.state.chunkCount;
      const expected = source.has(chunk) ? "removed" : "not_held";
      expect(this.state.removeChunk(source, chunk)).toBe(expected);
      this.announced.get(source.id)!.delete(chunk);
      this.avoided.get(source.id)?.delete(chunk);
    } else if (kind === "leave") {
      this.forget(source);
    } else if (kind === "ban") {
      this.state.ban(source, "protocol");
      expect(this.state.records.get(source.id)!.banned).toBe("protocol");
      this.forget(source);
    } else if (kind === "exact" && hasRoom) {
      const chunk = wanted[pick % wanted.length]!;
      const request = this.issue(this.state.requestExact(source, chunk, this.now));
      expect(this.state.chunkState(chunk)).toBe(request);
      expect(() => this.state.requestExact(source, chunk, this.now)).toThrow(RangeError);
    } else if (kind === "choice" && hasRoom) {
      const request = this.issue(this.state.requestChoice(source, rangesOf(wanted), this.now));
      expect(this.state.claimOf(request)).toBeUndefined();
    } else if (kind === "stall") {
      this.state.noteStall(source, this.now);
      expect(source.isStalled).toBe(true);
    } else if (kind === "hear") {
      this.state.noteHeard(source, this.now);
      expect(source.isStalled).toBe(false);
    }
  }

  issue(request: Request): Request {
    this.issued.push(request);
    return request;
  }

  changeRequest(kind: string, request: Request, pick: number): void {
    const named = chunksIn(request.chunks);
    const chunk = request.chunk ?? named[pick % named.length]!;
    if (kind === "open") {
      this.open(request, chunk, pick % 2 === 0);
    } else if (kind === "report") {
      this.state.noteProgress(request, pick % (2 * CHUNK_BYTES), this.now);
    } else if (kind === "release" || kind === "move") {
      const expected = request.state === "released" ? "released_before" : "released";
      if (kind === "move") this.state.countMove(request);
      expect(this.state.release(request)).toBe(expected);
    } else if (kind === "overtake") {
      const expected = request.overtaken < 3 ? "tolerated" : "too_often";
      expect(this.state.noteOvertaken(request)).toBe(expected);
    } else if (kind === "busy") {
      this.state.finish(request);
      this.state.noteBusy(request.source, this.now, 0.5);
    } else {
      this.arrive(request, named[pick % named.length]!, kind === "write");
    }
  }

  open(request: Request, chunk: number, isRivalCancelled: boolean): void {
    this.state.noteHeader(request, CHUNK_BYTES, this.now);
    const before = this.state.chunkState(chunk);
    const expected = this.expectedBind(request, before);
    expect(this.state.bind(request, chunk, this.now)).toBe(expected);
    if (expected === "claimed_elsewhere" && isRivalCancelled) {
      this.state.release(before as Request);
      expect(this.state.bind(request, chunk, this.now)).toBe("bound");
    }
    if (expected === "bound") expect(this.state.claimOf(request)).toBe(chunk);
  }

  expectedBind(request: Request, before: ChunkState | undefined): BindResult {
    if (request.state === "opened") return "bound_before";
    if (before !== "missing" && typeof before !== "object") return "not_needed";
    if (typeof before === "object" && before !== request)
      return before.state === "opened" ? "not_needed" : "claimed_elsewhere";
    return request.state === "released" && this.state.unanswered >= WINDOW ? "window_full" : "bound";
  }

  arrive(request: Request, chunk: number, isGood: boolean): void {
    const { source } = request;
    if (isGood) {
      const before = this.state.chunkState(chunk);
      const goodBefore = source.record.chunks;
      const isClaimed = typeof before === "object" && before !== request;
      const isHere = before === "held" || before === "writing";
      const expected = isHere ? "duplicate" : isClaimed ? "claimed_elsewhere" : "writing";
      expect(this.state.startWriting(request, chunk, CHUNK_BYTES)).toBe(expected);
      expect(source.record.chunks - goodBefore).toBe(expected === "writing" ? 1 : 0);
    }
    this.state.noteAnswer(request, this.now);
    this.state.finish(request);
    expect(this.state.request(request.id, source.id)).toBeUndefined();
    if (!isGood) this.reject(source, chunk);
  }

  reject(source: Source, chunk: number): void {
    const holders = [...this.state.sources.values()].filter((each) => each.has(chunk));
    const isSpare = source.has(chunk) && holders.length > 1;
    const result = this.state.rejectChunk(source, chunk);
    if (result === "too_many") return this.forget(source);
    expect(result).toBe(isSpare ? "avoided" : source.has(chunk) ? "kept" : "not_held");
    if (result !== "avoided") return;
    this.avoided.set(source.id, new Set([...(this.avoided.get(source.id) ?? []), chunk]));
  }

  changeChunk(kind: string, chunk: number): void {
    const before = this.state.chunkState(chunk);
    if (kind === "damage") {
      expect(this.state.markDamaged(chunk)).toBe(before === "doubtful" ? "missing" : "not_doubtful");
      return;
    }
    const isPlain = before === "writing" || before === "doubtful" || before === "held";
    if (kind === "check" && !isPlain) return;
    const results = { writing: "written", doubtful: "checked", held: "held_before" } as const;
    expect(this.state.markHeld(chunk)).toBe(isPlain ? results[before] : "from_elsewhere");
    expect(this.state.chunkState(chunk)).toBe("held");
  }

  /** As the scheduler does at the start of a decision. */
  cancelSurplus(): void {
    for (const source of this.state.overAsked) {
      while (source.openChoices > this.state.usefulCount(source)) {
        this.state.release(source.requests.findLast(({ isChoice, state }) => isChoice && state === "waiting")!);
      }
    }
    expect(this.state.overAsked.size).toBe(0);
  }
}

const does = (kind: string, pick = 0, chunks: number[] = []) => ({ kind, pick, chunks }) as Operation;

/** Sequences that went wrong once. */
const examples: [Setting, Operation[]][] = [
  // All sources that have a chunk sent it damaged: when the last other holder is gone, each of them may be asked again.
  [
    { chunkCount: 4, held: [], doubtful: [], seed: 0 },
    [
      does("elsewhere"),
      does("join", 0, [3]),
      does("joinFull", 307251),
      does("joinFull", 101813),
      does("choice", 674365),
      does("open"),
      does("exact", 118027),
      does("bad"),
      does("bad", 324434),
      does("ban"),
    ],
  ],
  // The answer of a released request comes in, and the release of its rival forgets the oldest released one.
  [
    { chunkCount: 1, held: [], doubtful: [], seed: 0 },
    [
      does("joinFull", 864734),
      does("exact", 364646),
      does("move"),
      does("choice", 814806),
      does("exact", 57682),
      does("move"),
      does("open", 286396),
    ],
  ],
];

test("after any sequence of operations every counter equals a recount, and every result is right", () => {
  const reached = new Map<string, number>();
  fc.assert(
    fc.property(setting, operations, (setting, operations) => {
      const operator = new Operator(setting);
      expect(violations(operator)).toEqual([]);
      for (const each of operations) {
        operator.apply(each);
        expect(violations(operator)).toEqual([]);
      }
      for (const [kind, count] of operator.done) reached.set(kind, (reached.get(kind) ?? 0) + count);
    }),
    { numRuns: 300, examples },
  );
  expect(Math.min(...reached.values())).toBeGreaterThan(0);
});

test("a held chunk stays held under any later operation", () => {
  fc.assert(
    fc.property(setting, operations, (setting, operations) => {
      const operator = new Operator(setting);
      let held: number[] = [];
      for (const each of operations) {
        operator.apply(each);
        for (const chunk of held) expect(operator.state.chunkState(chunk)).toBe("held");
        held = chunksOf(operator.state).filter((chunk) => operator.have.has(chunk));
      }
    }),
    { numRuns: 50 },
  );
});

test("a chunk that was bad from a source is requested there again once nobody else has it, but not if the source refused it", () => {
  for (const isRefused of [false, true]) {
    const { state } = new Operator({ chunkCount: 2, held: [], doubtful: [], seed: 1 });
    for (const id of ["a", "b"]) state.join(id, allOf(2), 0);
    const [a, b] = [...state.sources.values()];
    expect(state.rejectChunk(a!, 1)).toBe("avoided");
    if (isRefused) expect(state.removeChunk(a!, 1)).toBe("not_held");
    expect(a!.has(1)).toBe(false);
    state.removeSource(b!, () => {});
    expect(a!.has(1)).toBe(!isRefused);
  }
});

test("among many released requests the one whose answer is arriving is kept", () => {
  const operator = new Operator({ chunkCount: 10, held: [], doubtful: [], seed: 1 });
  const { state } = operator;
  operator.join("a", chunksOf(state));
  const source = state.sources.get("a")!;
  const requests = [0, 1, 2].map((chunk) => operator.issue(state.requestExact(source, chunk, 0)));
  state.noteHeader(requests[0]!, CHUNK_BYTES, 0);
  expect(source.receiving).toBe(requests[0]);
  for (const request of requests) state.release(request);
  expect(source.receiving).toBe(requests[0]);
  expect(source.released).toEqual([requests[0]!, requests[2]!]);
  expect(violations(operator)).toEqual([]);
});

/** A state with one of each: two sources, an exact, an opened and a released request, and two choices. */
function oneOfEach() {
  const operator = new Operator({ chunkCount: 20, held: [0], doubtful: [1], seed: 1 });
  const { state } = operator;
  operator.join("a", [2, 3, 4, 5, 6, 7]);
  operator.join("b", [2, 3, 8, 9]);
  const [a, b] = ["a", "b"].map((id) => state.sources.get(id) as SourceState);
  const exact = operator.issue(state.requestExact(a!, 4, 0));
  const opened = operator.issue(state.requestExact(b!, 8, 0));
  operator.open(opened, 8, false);
  const released = operator.issue(state.requestExact(a!, 5, 0));
  state.release(released);
  operator.issue(state.requestChoice(a!, rangesOf([2, 3, 5, 6, 7]), 0));
  operator.issue(state.requestChoice(a!, rangesOf([2, 3, 5, 6, 7]), 0));
  return { operator, a: a!, b: b!, exact, opened, released, picker: state.picker as RarestFirst };
}

type Broken = ReturnType<typeof oneOfEach>;

/** By the invariant that has to notice: how to break it, past the types and the operations. */
const CANARIES: Record<string, (broken: Broken) => void> = {
  "each chunk has exactly one state, a literal or a pending request": ({ a, exact }) =>
    a.requests.splice(a.requests.indexOf(exact), 1),
  "the bitfield has the held chunks": ({ operator }) => operator.have.add(2),
  "the picker wants the missing chunks": ({ picker }) => picker.unwant(2),
  "the picker counts the holders of each chunk": ({ picker }) => picker.addHolder(2),
  "the picker knows the missing chunks without a holder": ({ picker }) => picker.addHolder(10),
  "a source has the chunks that it announced, but for bad ones that others have": ({ operator }) =>
    operator.announced.get("b")!.add(15),
  "the useful chunks of each source are counted": ({ a }) => a.usefulCount++,
  "the open choices of each source are counted": ({ a }) => a.openChoices++,
  "over-asked are the sources with more choices than useful chunks": ({ b, operator }) =>
    (operator.state.overAsked as Set<Source>).add(b),
  "unanswered are the pending requests, at most a window of them": ({ a }) => a.requests.pop(),
  "no request is both pending and released": ({ b, opened }) => b.released.push(opened),
  "pending and released requests are known by their id, at their own source, and no others are": ({ exact }) =>
    Object.assign(exact, { id: 999 }),
  "a bounded number of released requests is remembered": ({ a, released }) =>
    a.released.push(...Array<Request>(RELEASED_MAX).fill(released)),
  "claimed chunks and claims match one to one": ({ exact }) => Object.assign(exact, { chunk: 3 }),
  "a request has the fields of its state": ({ opened }) => Object.assign(opened, { openedAt: undefined }),
  "an exact or opened request claims its chunk, unless that came from elsewhere": ({ exact }) =>
    Object.assign(exact, { chunk: 3 }),
  "a source receives the answer of a request of its own": ({ a, opened }) => {
    a.receiving = opened;
  },
  "the sources that have answered are counted": ({ a, exact }) => a.noteAnswer(exact, 5),
  "every source has its record, and none is banned": ({ a }) => Object.assign(a.record, { banned: "protocol" }),
};

test("every invariant has a canary", () => {
  expect(Object.keys(CANARIES).sort()).toEqual(Object.keys(INVARIANTS).sort());
  expect(violations(oneOfEach().operator)).toEqual([]);
});

test.each(Object.entries(CANARIES))("a broken state is noticed: %s", (name, breakIt) => {
  const broken = oneOfEach();
  breakIt(broken);
  expect(violations(broken.operator)).toContain(name);
});
