/**
 * What holds of a FetchState between any two of its operations, recounted in the most naive way from what it lets others
 * see. Each invariant has a name, so that a canary can show that it notices a broken state.
 */
import type { Bitfield } from "../../src/core/bitfield.ts";
import { hasBit } from "../../src/swarm/chunk-bits.ts";
import type { FetchState } from "../../src/swarm/fetch-state.ts";
import type { Request, Source } from "../../src/swarm/source.ts";

/** A state, and what its test knows of it from outside. */
export interface Watched {
  readonly state: FetchState;
  readonly have: Bitfield;
  readonly windowSize: number;
  readonly releasedMax: number;
  /** By source: the chunks that it announced and did not take back. */
  readonly announced: ReadonlyMap<string, ReadonlySet<number>>;
  /** By source: the chunks that were bad from there and that another source has had ever since. */
  readonly avoided: ReadonlyMap<string, ReadonlySet<number>>;
  /** Every request that was ever made. */
  readonly issued: readonly Request[];
}

const LITERALS: readonly unknown[] = ["missing", "writing", "held", "doubtful"];

export function chunksOf({ chunkCount }: FetchState): number[] {
  return Array.from({ length: chunkCount }, (_, chunk) => chunk);
}

function sourcesOf(state: FetchState): Source[] {
  return [...state.sources.values()];
}

export function pendingOf(state: FetchState): Request[] {
  return sourcesOf(state).flatMap(({ requests }) => [...requests]);
}

export function releasedOf(state: FetchState): Request[] {
  return sourcesOf(state).flatMap(({ released }) => [...released]);
}

function holders(state: FetchState, chunk: number): number {
  return sourcesOf(state).filter((source) => source.has(chunk)).length;
}

function missing(state: FetchState): number[] {
  return chunksOf(state).filter((chunk) => state.chunkState(chunk) === "missing");
}

function useful(state: FetchState, source: Source): number {
  return missing(state).filter((chunk) => source.has(chunk)).length;
}

function choices({ requests }: Source): number {
  return requests.filter(({ isChoice, state }) => isChoice && state === "waiting").length;
}

function isEqualSet<T>(a: Iterable<T>, b: Iterable<T>): boolean {
  const [left, right] = [new Set(a), new Set(b)];
  return left.size === right.size && [...left].every((each) => right.has(each));
}

export const INVARIANTS: Record<string, (watched: Watched) => boolean> = {
  "each chunk has exactly one state, a literal or a pending request": ({ state }) => {
    const pending: readonly unknown[] = pendingOf(state);
    return chunksOf(state).every((chunk) => {
      const own = state.chunkState(chunk);
      return LITERALS.includes(own) || pending.includes(own);
    });
  },
  "the bitfield has the held chunks": ({ state, have }) =>
    chunksOf(state).every((chunk) => have.has(chunk) === (state.chunkState(chunk) === "held")),
  "the picker wants the missing chunks": ({ state }) => {
    const { picker } = state;
    return (
      picker.wantedCount === missing(state).length &&
      chunksOf(state).every((chunk) => {
        const isMissing = state.chunkState(chunk) === "missing";
        return picker.isWanted(chunk) === isMissing && hasBit(picker.wanted, chunk) === isMissing;
      })
    );
  },
  "the picker counts the holders of each chunk": ({ state }) =>
    chunksOf(state).every((chunk) => state.picker.holders(chunk) === holders(state, chunk)),
  "the picker knows the missing chunks without a holder": ({ state }) =>
    isEqualSet(
      state.picker.orphans(),
      missing(state).filter((chunk) => holders(state, chunk) === 0),
    ),
  "a source has the chunks that it announced, but for bad ones that others have": ({ avoided, state, announced }) =>
    sourcesOf(state).every((source) =>
      chunksOf(state).every(
        (chunk) =>
          source.has(chunk) === (announced.get(source.id)!.has(chunk) && avoided.get(source.id)?.has(chunk) !== true),
      ),
    ),
  "the useful chunks of each source are counted": ({ state }) =>
    sourcesOf(state).every((source) => state.usefulCount(source) === useful(state, source)),
  "the open choices of each source are counted": ({ state }) =>
    sourcesOf(state).every((source) => source.openChoices === choices(source)),
  "over-asked are the sources with more choices than useful chunks": ({ state }) =>
    isEqualSet(
      state.overAsked,
      sourcesOf(state).filter((source) => choices(source) > useful(state, source)),
    ),
  "unanswered are the pending requests, at most a window of them": ({ state, windowSize }) =>
    state.unanswered === pendingOf(state).length &&
    state.unanswered <= windowSize &&
    isEqualSet(state.unansweredRequests(), pendingOf(state)),
  "no request is both pending and released": ({ state }) =>
    pendingOf(state).every((request) => request.state !== "released") &&
    releasedOf(state).every((request) => request.state === "released") &&
    new Set([...pendingOf(state), ...releasedOf(state)]).size === pendingOf(state).length + releasedOf(state).length,
  "pending and released requests are known by their id, at their own source, and no others are": ({ issued, state }) =>
    sourcesOf(state).every((source) =>
      [...source.requests, ...source.released].every(
        (request) => request.source === source && state.request(request.id, source.id) === request,
      ),
    ) &&
    isEqualSet(
      issued.filter(({ id, source }) => state.request(id, source.id) !== undefined),
      [...pendingOf(state), ...releasedOf(state)],
    ),
  "a bounded number of released requests is remembered": ({ state, releasedMax }) =>
    sourcesOf(state).every(({ released }) => released.length <= releasedMax),
  "claimed chunks and claims match one to one": ({ state }) => {
    const claimed = chunksOf(state).filter((chunk) => typeof state.chunkState(chunk) === "object");
    const claims = pendingOf(state).flatMap((request) => state.claimOf(request) ?? []);
    return (
      isEqualSet(claimed, claims) &&
      claims.length === claimed.length &&
      releasedOf(state).every((request) => state.claimOf(request) === undefined)
    );
  },
  "a request has the fields of its state": ({ state }) =>
    [...pendingOf(state), ...releasedOf(state)].every((request) => {
      if (request.state === "released") return request.chunk === undefined && request.openedAt === undefined;
      if (request.state === "opened") return typeof request.chunk === "number" && typeof request.openedAt === "number";
      return (request.chunk === undefined) === request.isChoice && request.openedAt === undefined;
    }),
  "an exact or opened request claims its chunk, unless that came from elsewhere": ({ state }) =>
    pendingOf(state).every(
      (request) =>
        request.chunk === undefined ||
        state.claimOf(request) === request.chunk ||
        state.chunkState(request.chunk) === "held",
    ),
  "a source receives the answer of a request of its own": ({ state }) =>
    sourcesOf(state).every(
      ({ receiving, released, requests }) =>
        receiving === undefined || requests.includes(receiving) || released.includes(receiving),
    ),
  "the sources that have answered are counted": ({ state }) =>
    state.answeredSources === sourcesOf(state).filter(({ waitedMs }) => waitedMs !== undefined).length,
  "every source has its record, and none is banned": ({ state }) =>
    sourcesOf(state).every((source) => {
      const record = state.records.get(source.id);
      return record === source.record && record.banned === undefined;
    }),
};

/** The names of the invariants that do not hold. */
export function violations(watched: Watched): string[] {
  return Object.entries(INVARIANTS).flatMap(([name, holds]) => (holds(watched) ? [] : [name]));
}
