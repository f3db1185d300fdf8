/** A value that views subscribe to: they are redrawn when it changes. */
import { useEffect, useState } from "./view-state.ts";

export class Store<Value> {
  #value: Value;
  readonly #watchers = new Set<() => void>();

  constructor(value: Value) {
    this.#value = value;
  }

  readonly get = (): Value => this.#value;

  set(value: Value): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const watcher of [...this.#watchers]) watcher();
  }

  update(change: (value: Value) => Value): void {
    this.set(change(this.#value));
  }

  readonly watch = (watcher: () => void): (() => void) => {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  };
}

export function useStore<Value>(store: Store<Value>): Value {
  const value = store.get();
  const [, draw] = useState(0);
  useEffect(() => {
    const drawAnew = () => draw((turn) => turn + 1);
    // The value may have changed since the view was drawn.
    if (!Object.is(store.get(), value)) drawAnew();
    return store.watch(drawAnew);
  }, [store]);
  return value;
}
