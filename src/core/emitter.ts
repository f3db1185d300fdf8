/** Emits typed events to listeners, synchronously and in order. A role does not know its listeners. */

export type Listener<Event> = (event: Event) => void;

export class Emitter<Event> {
  readonly #listeners = new Set<Listener<Event>>();

  /** Calls the listener for every event from now on; returns a function that ends this. */
  subscribe(listener: Listener<Event>): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  emit(event: Event): void {
    for (const listener of this.#listeners) listener(event);
  }
}
