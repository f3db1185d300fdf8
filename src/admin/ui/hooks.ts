/** Hooks of several views: loading, actions, size of an element, time, address. */
import { useRef } from "hono/jsx/dom";
import { type LiveEvent, onEvent } from "./live.ts";
import { oneAtATime } from "./one-at-a-time.ts";
import { toast } from "./parts/toasts.tsx";
import { useEffect, useState } from "./view-state.ts";

export interface Loaded<Value> {
  readonly value: Value | undefined;
  readonly error: unknown;
  readonly reload: () => void;
}

/** Loads at first, then every `everyMs` while the page is visible, and when `reload` is called. */
export function useLoaded<Value>(
  load: () => Promise<Value>,
  deps: readonly unknown[],
  everyMs?: number,
): Loaded<Value> {
  const [state, setState] = useState<{ value: Value | undefined; error: unknown }>({
    value: undefined,
    error: undefined,
  });
  const request = useRef(() => {});
  useEffect(() => {
    let isOver = false;
    request.current = oneAtATime(() =>
      load().then(
        (value) => {
          if (!isOver) setState({ value, error: undefined });
        },
        (error: unknown) => {
          if (!isOver) setState((before) => ({ value: before.value, error }));
        },
      ),
    );
    request.current();
    const timer =
      everyMs === undefined
        ? undefined
        : setInterval(() => document.visibilityState === "visible" && request.current!(), everyMs);
    return () => {
      isOver = true;
      clearInterval(timer);
    };
  }, deps);
  return { ...state, reload: () => request.current!() };
}

/** Calls back `calmMs` after the first of several events of these types, also if they do not stop coming. */
export function useEvents(types: readonly string[], handle: (event: LiveEvent) => void, calmMs = 0): void {
  const latest = useRef(handle);
  latest.current = handle;
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = onEvent((event) => {
      if (!types.includes(event.type)) return;
      if (calmMs === 0) return latest.current!(event);
      timer ??= setTimeout(() => {
        timer = undefined;
        latest.current!(event);
      }, calmMs);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, []);
}

export interface Action {
  readonly busy: boolean;
  /** The last failure, for views that show it themselves. */
  readonly failure: unknown;
  /** Resolves to whether it succeeded. */
  run(work: () => Promise<void>): Promise<boolean>;
}

/**
 * An action that takes a moment and may fail: `run` starts it, `busy` is true while it lasts. A failure becomes a toast,
 * unless the view shows it itself, as dialogs do, which cover the toasts.
 */
export function useAction({ inPlace = false } = {}): Action {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<unknown>(undefined);
  const run = async (work: () => Promise<void>) => {
    setBusy(true);
    setFailure(undefined);
    try {
      await work();
      return true;
    } catch (thrown) {
      if (inPlace) setFailure(thrown);
      else toast.failure(thrown);
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, failure, run };
}

/** The part of the address after `#/`. */
export function useRoute(): string {
  const read = () => /^#\/([\w-]*)/.exec(location.hash)?.[1] ?? "";
  const [route, setRoute] = useState(read());
  useEffect(() => {
    const follow = () => setRoute(read());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return route;
}

/** The present time; redraws the view every second, for ages and times left. */
export function useNow(everyMs = 1000): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, []);
  return now;
}
