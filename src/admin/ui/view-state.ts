/**
 * State and effects of views, to be used instead of the library's. The library runs an effect one frame after the view was
 * drawn: twice if the view is drawn again before, and also if the view is gone by then, so that it is never cleaned up.
 * And setting a state after its view is gone draws the view into the page again.
 *
 * A view with state must have one element at its root. If there are several, the library removes and inserts them at each
 * redraw, and a field that is removed loses the focus while the user types.
 */
import { useCallback, useLayoutEffect, useState as useLibraryState, useRef } from "hono/jsx/dom";

/** Cleans up after an effect. */
type End = (() => void) | undefined;

/** Runs `begin` when the view is in the document and when `deps` change; its clean-up runs before that and at the end. */
export function useEffect(begin: () => End, deps: readonly unknown[]): void {
  useLayoutEffect(() => {
    let end: End;
    let isOver = false;
    // By then the view and its surroundings are complete.
    queueMicrotask(() => {
      if (!isOver) end = begin();
    });
    return () => {
      isOver = true;
      end?.();
    };
  }, deps);
}

type Next<Value> = Value | ((before: Value) => Value);

/** A state: setting it redraws the view. Setting it when the view is gone has no effect. */
export function useState<Value>(initial: Value): [Value, (next: Next<Value>) => void] {
  const [value, setValue] = useLibraryState(initial);
  const isGone = useRef(false);
  useLayoutEffect(
    () => () => {
      isGone.current = true;
    },
    [],
  );
  const set = useCallback((next: Next<Value>) => {
    if (!isGone.current) setValue(next);
  }, []);
  return [value, set];
}
