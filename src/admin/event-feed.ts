/**
 * The stream of a role's events. Recorded events are numbered, and the latest are kept, so that a reader who was away can
 * go on where it stopped. Transient events (progress) are sent at most once a tick for each key and are not kept. Memory
 * is bounded by the number of kept events, of keys in one tick and of readers.
 */
import { randomBytes } from "node:crypto";
import { P2pfsError } from "../core/errors.ts";

/** Recorded events that are kept. */
export const EVENTS_KEPT_MAX = 1024;
export const READERS_MAX = 256;
/** Transient events in one tick; a reader that needs the others loads the state. */
const TRANSIENT_PER_TICK_MAX = 512;
/** So at most 10 transient events a second for one key. */
export const TICK_MS = 100;

export interface FeedEvent {
  /** Null for a transient event. */
  readonly id: string | null;
  readonly data: EventData;
}

export interface EventData {
  readonly type: string;
  /** ISO 8601; on recorded events only. */
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
  /** Called every tick while there are readers; transient events that it emits go out with that tick. */
  readonly sample?: () => void;
}

export class EventFeed {
  /** Distinguishes this run of the role from others, which had their own numbers. */
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

  /** Id of the last recorded event; before the first, an id that it will follow. */
  get lastId(): string {
    return this.#idOf(this.#lastNumber);
  }

  /** Records an event and sends it to all readers. */
  emit(data: EventData): void {
    const number = ++this.#lastNumber;
    const event = { id: this.#idOf(number), data: { ...data, at: new Date().toISOString() } };
    this.#kept.push({ number, event });
    if (this.#kept.length > EVENTS_KEPT_MAX) this.#kept.shift();
    for (const reader of [...this.#readers]) reader.event(event);
  }

  /** Sends a transient event with the next tick, joined with the one that waits under the same key. */
  emitTransient<Data extends EventData>(key: string, data: Data, join: (waiting: Data) => Data = () => data): void {
    if (this.#readers.size === 0) return;
    const waiting = this.#transient.get(key) as Data | undefined;
    if (waiting === undefined && this.#transient.size >= TRANSIENT_PER_TICK_MAX) return;
    this.#transient.set(key, waiting === undefined ? data : join(waiting));
  }

  /**
   * The recorded events after this one; undefined if some of them are not kept any more, or if the id is of another run:
   * then the reader has to load the state anew.
   */
  since(id: string): readonly FeedEvent[] | undefined {
    const [run, number] = id.split("-");
    const after = Number(number);
    if (run !== this.#run || !Number.isSafeInteger(after) || after > this.#lastNumber) return undefined;
    const oldest = this.#kept[0]?.number ?? this.#lastNumber + 1;
    if (after + 1 < oldest) return undefined;
    return this.#kept.slice(after + 1 - oldest).map(({ event }) => event);
  }

  /** The latest recorded events, at most `max`. */
  latest(max: number): readonly FeedEvent[] {
    return this.#kept.slice(-max).map(({ event }) => event);
  }

  /** Adds a reader and returns a function that removes it. Throws `busy` if there are READERS_MAX. */
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
