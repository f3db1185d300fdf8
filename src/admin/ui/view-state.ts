/**
 * State and effects of views, in place of the library's own. Those run an effect a frame after a view was drawn: twice
 * where it is drawn again before that, and also where it is gone by then, so that what it started never ends. And a
 * state that is set after its view is gone draws the view into the page again.
 *
 * A view with state has one element at its root: of several, the library takes each out and puts it back whenever the
 * view is drawn anew, and what was typed in goes nowhere, for an element that is taken out loses the focus.
 */
import { useCallback, useLayoutEffect, useState as useLibraryState, useRef } from "hono/jsx/dom";

/** What ends that which an effect began. */
type End = (() => void) | undefined;

/** Begins once the view is in the document, and anew when `deps` change; what `begin` returns is called before that, and when the view is gone. */
export function useEffect(begin: () => End, deps: readonly unknown[]): void {
  useLayoutEffect(() => {
    let end: End;
    let isOver = false;
    // The view is complete by then, and what is around it.
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

/** A value that the view is drawn anew with when it is set. Setting it when the view is gone does nothing. */
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
