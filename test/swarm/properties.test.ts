/** What holds of the DownloadManager whatever happens to it: any events, in any order, from honest and lying sources. */
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { Bitfield } from "../../src/core/bitfield.ts";
import { DownloadManager } from "../../src/swarm/download-manager.ts";
import type { DownloadEffect, DownloadEvent, RequestId } from "../../src/swarm/types.ts";
import { allOf, CHUNK_BYTES, chunksIn, type RequestEffect, rangesOf, seededRandom } from "./support.ts";

const SOURCES = ["a", "b", "c", "d"];
const CHUNKS_MAX = 64;

const step = fc.record({
  kind: fc.constantFrom(
    "join",
    "join",
    "has",
    "gone",
    "open",
    "arrive",
    "arrive",
    "arrive",
    "bad",
    "wrong",
    "refuse",
    "busy",
    "pause",
    "resume",
    "write",
    "prove",
    "lose",
    "tick",
    "tick",
  ),
  /** Picks the source, the request, the chunk among those that there are. */
  pick: fc.nat(1_000_000),
  chunks: fc.uniqueArray(fc.nat(CHUNKS_MAX - 1), { maxLength: CHUNKS_MAX, size: "max" }),
  elapsedMs: fc.oneof({ weight: 9, arbitrary: fc.nat(200) }, { weight: 1, arbitrary: fc.nat(5000) }),
});
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** A host that checks every effect against its own account of what was asked, answered and written. */
class Auditor {
  readonly manager: DownloadManager;
  readonly chunkCount: number;
  readonly windowSize: number;
  /** Every request that a source may still answer, cancelled ones included. */
  readonly open = new Map<RequestId, RequestEffect>();
  readonly cancelled = new Set<RequestId>();
  readonly seen = new Set<RequestId>();
  readonly writing = new Set<number>();
  readonly written = new Set<number>();
  /** Of an earlier process, not checked yet. */
  readonly doubtful: Set<number>;
  readonly joined = new Map<string, Set<number>>();
  /** The answer that is owed to the chunk_arrived in hand. */
  owed: RequestId | undefined;
  /** The request whose answer begins with the chunk_opened in hand. */
  opening: RequestId | undefined;
  ended: DownloadEffect | undefined;
  now = 0;

  constructor({ chunkCount, windowSize, seed, doubtful }: Setting) {
    this.chunkCount = chunkCount;
    this.windowSize = windowSize;
    this.doubtful = new Set(doubtful.filter((chunk) => chunk < chunkCount));
    this.manager = new DownloadManager({
      chunkCount,
      windowSize,
      chunkLength: () => CHUNK_BYTES,
      have: new Bitfield(chunkCount),
      doubtful: Bitfield.fromRanges(chunkCount, rangesOf(this.doubtful)),
      random: seededRandom(seed),
    });
    this.drain();
  }

  get hasEnded(): boolean {
    return this.ended !== undefined;
  }

  send(event: DownloadEvent): void {
    if (event.type === "chunk_arrived") this.owed = event.request;
    this.manager.handle(event, this.now);
    this.drain();
    expect(this.owed).toBeUndefined();
  }

  drain(): void {
    this.take();
    expect(this.open.size - this.cancelled.size).toBe(this.manager.unanswered);
    expect(this.manager.unanswered).toBeLessThanOrEqual(this.windowSize);
  }

  take(): void {
    for (let taken = 0; taken < 10_000; taken++) {
      const effect = this.manager.poll();
      if (effect === undefined) return;
      this.check(effect);
    }
    throw new Error("effects without end");
  }

  check(effect: DownloadEffect): void {
    expect(this.ended).toBeUndefined();
    switch (effect.type) {
      case "request": {
        expect(this.seen.has(effect.request)).toBe(false);
        this.seen.add(effect.request);
        this.open.set(effect.request, effect);
        const held = this.joined.get(effect.source);
        for (const chunk of chunksIn(effect.chunks)) {
          expect(held?.has(chunk)).toBe(true);
          expect(this.writing.has(chunk) || this.written.has(chunk) || this.doubtful.has(chunk)).toBe(false);
        }
        break;
      }
      case "cancel":
        expect(this.open.has(effect.request)).toBe(true);
        // One whose answer has just begun counts again, and may be moved again at once.
        expect(this.cancelled.has(effect.request) && effect.request !== this.opening).toBe(false);
        this.cancelled.add(effect.request);
        break;
      case "drop":
        this.forget(effect.source);
        break;
      case "write":
        expect(effect.request).toBe(this.owed!);
        this.owed = undefined;
        expect(this.writing.has(effect.chunk) || this.written.has(effect.chunk)).toBe(false);
        this.writing.add(effect.chunk);
        break;
      case "discard":
        expect(effect.request).toBe(this.owed!);
        this.owed = undefined;
        break;
      case "done":
        expect(this.written.size).toBe(this.chunkCount);
        this.ended = effect;
        break;
      case "failed":
        expect(this.written.has(effect.chunk) || this.writing.has(effect.chunk)).toBe(false);
        expect(effect.chunk).toBeLessThan(this.chunkCount);
        this.ended = effect;
        break;
    }
  }

  forget(source: string): void {
    this.joined.delete(source);
    for (const request of [...this.open.values()]) if (request.source === source) this.settle(request.request);
  }

  settle(request: RequestId): void {
    this.open.delete(request);
    this.cancelled.delete(request);
  }

  apply({ kind, pick, chunks, elapsedMs }: Step): void {
    if (this.hasEnded) return;
    const source = SOURCES[pick % SOURCES.length]!;
    const request = [...this.open.values()][pick % Math.max(this.open.size, 1)];
    const own = chunks.filter((chunk) => chunk < this.chunkCount);
    this.now += elapsedMs % 50;
    if (kind === "tick") {
      this.now += elapsedMs;
      this.send({ type: "tick" });
    } else if (kind === "join" && !this.joined.has(source)) {
      this.joined.set(source, new Set(own));
      this.send({ type: "source_joined", source, chunks: rangesOf(own) });
    } else if (kind === "has" && this.joined.has(source)) {
      for (const chunk of own) this.joined.get(source)!.add(chunk);
      this.send({ type: "source_has", source, chunks: rangesOf(own) });
    } else if (kind === "gone") {
      this.forget(source);
      this.send({ type: "source_gone", source });
    } else if (kind === "pause" || kind === "resume") {
      this.send({ type: "paused", paused: kind === "pause" });
    } else if (kind === "write") {
      const [chunk] = this.writing;
      if (chunk !== undefined) this.write(chunk);
    } else if (kind === "prove" || kind === "lose") {
      const chunk = [...this.doubtful][pick % Math.max(this.doubtful.size, 1)];
      if (chunk !== undefined) this.judge(chunk, kind === "prove");
    } else if (kind === "wrong") {
      const ghost = { source, request: 1_000_000, chunk: pick % (this.chunkCount + 1) };
      this.send({ type: "chunk_arrived", ...ghost, bytes: CHUNK_BYTES, valid: true });
    } else if (request !== undefined && ["open", "arrive", "bad", "refuse", "busy"].includes(kind)) {
      this.answer(request, kind, pick);
    }
  }

  answer(request: RequestEffect, kind: string, pick: number): void {
    const named = chunksIn(request.chunks);
    const answer = { source: request.source, request: request.request, chunk: named[pick % named.length]! };
    if (kind === "open") {
      this.opening = request.request;
      this.manager.handle({ type: "chunk_opened", ...answer }, this.now);
      this.take();
      this.opening = undefined;
      // A request that was given up counts again when its bytes flow after all.
      if (this.manager.unanswered > this.open.size - this.cancelled.size) this.cancelled.delete(request.request);
      this.drain();
      return;
    }
    this.settle(request.request);
    if (kind === "refuse" || kind === "busy") {
      this.send({ type: "request_refused", ...answer, retryable: kind === "busy" });
    } else if (kind === "arrive" || kind === "bad") {
      this.send({ type: "chunk_arrived", ...answer, bytes: CHUNK_BYTES, valid: kind === "arrive" });
    }
  }

  write(chunk: number): void {
    this.writing.delete(chunk);
    this.written.add(chunk);
    this.send({ type: "chunk_written", chunk });
  }

  judge(chunk: number, isGood: boolean): void {
    this.doubtful.delete(chunk);
    if (isGood) this.write(chunk);
    else this.send({ type: "chunk_lost", chunk });
  }

  /** Time may have passed since the last event: what is due by now comes first. */
  catchUp(): void {
    if (!this.hasEnded) this.send({ type: "tick" });
  }

  /** An honest source with everything joins; from now on all goes well. */
  finishWell(): void {
    this.joined.set("honest", new Set(Array(this.chunkCount).keys()));
    this.send({ type: "source_joined", source: "honest", chunks: allOf(this.chunkCount) });
    this.send({ type: "paused", paused: false });
    for (const chunk of this.doubtful) if (!this.hasEnded) this.judge(chunk, chunk % 2 === 0);
    for (const source of SOURCES) if (this.joined.has(source)) this.apply(goneOf(source));
    for (let steps = 0; !this.hasEnded && steps < 10_000; steps++) {
      const [request] = this.open.values();
      const [writing] = this.writing;
      if (writing !== undefined) this.write(writing);
      else if (request !== undefined) this.answer(request, "arrive", steps);
      else this.tickWhenDue();
    }
  }

  /** Every source goes and none comes. */
  finishAlone(): void {
    for (const source of SOURCES) if (this.joined.has(source)) this.apply(goneOf(source));
    for (const chunk of this.doubtful) if (!this.hasEnded) this.judge(chunk, chunk % 2 === 0);
    for (const chunk of this.writing) this.write(chunk);
    for (let steps = 0; !this.hasEnded && steps < 100; steps++) this.tickWhenDue();
  }

  tickWhenDue(): void {
    this.now = Math.max(this.now, this.manager.deadline() ?? Number.POSITIVE_INFINITY);
    expect(this.now).toBeLessThan(Number.POSITIVE_INFINITY);
    this.send({ type: "tick" });
  }
}

const setting = fc.record({
  chunkCount: fc.nat(CHUNKS_MAX),
  doubtful: fc.uniqueArray(fc.nat(CHUNKS_MAX - 1), { maxLength: CHUNKS_MAX }),
  windowSize: fc.integer({ min: 1, max: 30 }),
  seed: fc.nat(),
  /** Without a size, sequences would be short: about ten steps. */
  steps: fc.array(step, { maxLength: 150, size: "max" }),
});

type Setting = Omit<typeof setting extends fc.Arbitrary<infer S> ? S : never, "steps">;

function goneOf(source: string): Step {
  return { kind: "gone", pick: SOURCES.indexOf(source), chunks: [], elapsedMs: 0 };
}

/** The check holds after any sequence of events. */
function afterAnyEvents(numRuns: number, check: (auditor: Auditor) => void): void {
  const property = fc.property(setting, ({ steps, ...setting }) => {
    const auditor = new Auditor(setting);
    for (const each of steps) auditor.apply(each);
    check(auditor);
  });
  fc.assert(property, { numRuns });
}

test("the window, the chunk states and the effects are valid under any sequence of events", () =>
  afterAnyEvents(300, () => undefined));

test("N1: after any sequence of events the fetch is done once an honest seeder is there", () =>
  afterAnyEvents(200, (auditor) => {
    auditor.catchUp();
    if (auditor.hasEnded) return;
    auditor.finishWell();
    expect(auditor.ended).toEqual({ type: "done" });
  }));

test("D7: after any sequence of events the fetch fails within seconds once all sources are gone", () =>
  afterAnyEvents(200, (auditor) => {
    auditor.catchUp();
    if (auditor.hasEnded) return;
    const goneAt = auditor.now;
    auditor.finishAlone();
    expect(auditor.ended).toBeDefined();
    expect(auditor.now - goneAt).toBeLessThanOrEqual(5000);
  }));
