/** Short messages at the edge of the page about success and failure. Screen readers read them out. */

import { printable } from "../../../core/human.ts";
import { ApiError } from "../api.ts";
import { Store, useStore } from "../store.ts";
import { useEffect } from "../view-state.ts";
import { Icon } from "./icons.tsx";

const SHOWN_MS = 4000;
const FAILURE_SHOWN_MS = 15_000;
const TOASTS_MAX = 3;

interface Toast {
  readonly id: number;
  readonly kind: "done" | "failure";
  readonly text: string;
  readonly hint: string;
}

const toasts = new Store<readonly Toast[]>([]);
let nextId = 1;

function show(kind: Toast["kind"], text: string, hint = ""): void {
  const shown = { id: nextId++, kind, text: printable(text), hint: printable(hint) };
  toasts.update((all) => [...all, shown].slice(-TOASTS_MAX));
}

function dismiss(id: number): void {
  toasts.update((all) => all.filter((each) => each.id !== id));
}

export const toast = {
  done: (text: string) => show("done", text),
  failure: (thrown: unknown) => {
    if (thrown instanceof ApiError) show("failure", thrown.message, thrown.hint);
    else show("failure", thrown instanceof Error ? thrown.message : String(thrown));
  },
};

export function Toasts() {
  const all = useStore(toasts);
  return (
    <section class="toasts" aria-label="Messages" role="status" aria-live="polite">
      {all.map((each) => (
        <ToastView key={each.id} {...each} />
      ))}
    </section>
  );
}

function ToastView({ id, kind, text, hint }: Toast) {
  useEffect(() => {
    const timer = setTimeout(() => dismiss(id), kind === "done" ? SHOWN_MS : FAILURE_SHOWN_MS);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div class={`toast-card ${kind}`}>
      <Icon name={kind === "done" ? "check" : "alert"} />
      <div class="flex-grow-1">
        <div>{text}</div>
        {hint !== "" && <div class="small text-secondary">{hint}</div>}
      </div>
      <button type="button" class="btn-close" aria-label="Dismiss" onClick={() => dismiss(id)} />
    </div>
  );
}
