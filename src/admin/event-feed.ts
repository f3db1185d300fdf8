/**
 * What happens at a role, numbered, with the last of it kept so that a reader who was away can go on where it stopped.
 * Two kinds: events of record, which are numbered and kept; and passing ones (progress), of which only the sum since the
 * last tick counts, so that they are told at most once a tick for each key and are never kept. Memory is bounded by the
 * ring, by the keys of one tick and by the number of readers.
 */
import { randomBytes } from "node:crypto";
import { P2pfsError } from "../core/errors.ts";

/** Events of record that are kept. */
export const EVENTS_KEPT_MAX = 1024;
export const READERS_MAX = 256;
/** Passing events told in one tick; whoever needs the rest asks for the state. */
const TRANSIENT_PER_TICK_MAX = 512;
/** At most 10 a second for one key. */
export const TICK_MS = 100;

export interface FeedEvent {
  /** Null for a passing event. */
  readonly id: string | null;
  readonly data: EventData;
}

export interface EventData {
  readonly type: string;
  /** When, in ISO 8601; on events of record. */
  readonly at?: string;
  readonly [field: string]: unknown;
}

export interface FeedReader {
  /** Must not throw and must not block. */
  event(event: FeedEvent): void;
}

interface Kept {
  readonly number: number;
  readonly event: FeedEvent;
}

export interface EventFeedOptions {
  /** Called every tick while somebody reads; what it passes is told with that tick. */
  readonly sample?: () => void;
}

export class EventFeed {
  /** Tells this run of the role from others, whose numbers mean nothing here. */
  readonly #run = randomBytes(6).toString("hex");
  readonly #kept: Kept[] = [];
  readonly #readers = new Set<FeedReader>();
  readonly #transient = new Map<string, EventData>();
  readonly #sample: () => void;
  #lastNumber = 0;
  #timer: Timer | undefined;

  constructor({ sample = () => undefined }: EventFeedOptions = {}) {
    this.#sample = sample;
  }

  get readerCount(): number {
    return this.#readers.size;
  }

  /** Id of the last event of record, or of the moment before the first. */
  get lastId(): string {
    return this.#idOf(this.#lastNumber);
  }

  /** Tells an event of record. */
  emit(data: EventData): void {
    const number = ++this.#lastNumber;
    const event = { id: this.#idOf(number), data: { ...data, at: new Date().toISOString() } };
    this.#kept.push({ number, event });
    if (this.#kept.length > EVENTS_KEPT_MAX) this.#kept.shift();
    for (const reader of [...this.#readers]) reader.event(event);
  }

  /** Tells a passing event with the next tick, joined with what waits under its key. */
  emitTransient<Data extends EventData>(key: string, data: Data, join: (waiting: Data) => Data = () => data): void {
    if (this.#readers.size === 0) return;
    const waiting = this.#transient.get(key) as Data | undefined;
    if (waiting === undefined && this.#transient.size >= TRANSIENT_PER_TICK_MAX) return;
    this.#transient.set(key, waiting === undefined ? data : join(waiting));
  }

  /**
   * The kept events after this one; undefined where they are not all there any more, or the id is of another run: then
   * the reader has to ask for the state anew.
   */
  since(id: string): readonly FeedEvent[] | undefined {
    const [run, number] = id.split("-");
    const after = Number(number);
    if (run !== this.#run || !Number.isSafeInteger(after) || after > this.#lastNumber) return undefined;
    const oldest = this.#kept[0]?.number ?? this.#lastNumber + 1;
    if (after + 1 < oldest) return undefined;
    return this.#kept.slice(after + 1 - oldest).map(({ event }) => event);
  }

  /** The last kept events, at most so many. */
  latest(max: number): readonly FeedEvent[] {
    return this.#kept.slice(-max).map(({ event }) => event);
  }

  /** Reads from now on; returns what ends that. Throws `busy` where there are as many readers as can be served. */
  read(reader: FeedReader): () => void {
    if (this.#readers.size >= READERS_MAX)
      throw new P2pfsError("busy", `${READERS_MAX} streams of events are open already`);
    this.#readers.add(reader);
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
    return () => {
      this.#readers.delete(reader);
      if (this.#readers.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.#transient.clear();
    };
  }

  #tick(): void {
    this.#sample();
    for (const data of this.#transient.values()) {
      for (const reader of [...this.#readers]) reader.event({ id: null, data });
    }
    this.#transient.clear();
  }

  #idOf(number: number): string {
    return `${this.#run}-${number}`;
  }
}
