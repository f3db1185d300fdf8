/** Tells whoever listens what happened, at once and in order. Roles emit typed events; what becomes of them is not theirs. */

export type Listener<Event> = (event: Event) => void;

export class Emitter<Event> {
  readonly #listeners = new Set<Listener<Event>>();

  /** Calls the listener for every event from now on; returns what ends that. */
  subscribe(listener: Listener<Event>): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  emit(event: Event): void {
    for (const listener of this.#listeners) listener(event);
  }
}
