/** Small components that all views use. */
import type { Child } from "hono/jsx";
import { printable } from "../../../core/human.ts";
import { ApiError } from "../api.ts";
import { useState } from "../view-state.ts";
import { Icon, type IconName } from "./icons.tsx";
import { toast } from "./toasts.tsx";

/** Control, format (bidi, zero-width) and separator characters, one at a time. */
const MISLEADING_ONE = /([\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}])/u;

/**
 * A text of others. A character that could reverse the line or hide in it is shown as its code, and the text's direction
 * does not affect what follows.
 */
export function Name({ text }: { text: string }) {
  const parts = text.split(MISLEADING_ONE);
  return (
    <bdi class="name" title={parts.length > 1 ? "This name has invisible characters; they are shown as codes" : text}>
      {parts.map((part, index) =>
        index % 2 === 0 ? (
          part
        ) : (
          <span class="hidden-sign">{`U+${part.codePointAt(0)!.toString(16).toUpperCase()}`}</span>
        ),
      )}
    </bdi>
  );
}

/** A name as plain text, for labels and titles. */
export const plainName = printable;

export function Empty({ icon, title, children }: { icon: IconName; title: string; children?: Child }) {
  return (
    <div class="state-box">
      <span class="state-icon">
        <Icon name={icon} />
      </span>
      <p class="h6 mb-1">{title}</p>
      <div class="text-secondary">{children}</div>
    </div>
  );
}

export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const hint = error instanceof ApiError ? error.hint : "";
  return (
    <div class="state-box" role="alert">
      <span class="state-icon failure">
        <Icon name="alert" />
      </span>
      <p class="h6 mb-1">{printable(error instanceof Error ? error.message : String(error))}</p>
      {hint !== "" && <p class="text-secondary mb-2">{printable(hint)}</p>}
      {retry !== undefined && (
        <button type="button" class="btn btn-outline-secondary btn-sm" onClick={retry}>
          <Icon name="retry" /> Try again
        </button>
      )}
    </div>
  );
}

/** A failure, shown beside its cause; nothing without one. */
export function InlineFailure({ error }: { error: unknown }) {
  if (error === undefined) return null;
  return (
    <div class="inline-failure" role="alert">
      <Icon name="alert" />
      <div>
        {printable(error instanceof Error ? error.message : String(error))}
        {error instanceof ApiError && <div class="small">{printable(error.hint)}</div>}
      </div>
    </div>
  );
}

/** Placeholder bars while text is loading. */
export function Loading({ lines = 4 }: { lines?: number }) {
  return (
    <div class="loading" role="status">
      <span class="visually-hidden">Loading…</span>
      {Array.from({ length: lines }, (_, index) => (
        <div class={`loading-line w-${[100, 75, 100, 50][index % 4]}`} aria-hidden="true" />
      ))}
    </div>
  );
}

export function Card({
  title,
  aside,
  children,
  flush,
}: {
  title?: Child;
  aside?: Child;
  children?: Child;
  flush?: boolean;
}) {
  return (
    <section class="card">
      {title !== undefined && (
        <header class="card-header">
          <h2 class="card-title">{title}</h2>
          <div class="card-aside">{aside}</div>
        </header>
      )}
      <div class={flush ? "card-flush" : "card-body"}>{children}</div>
    </section>
  );
}

export function Tile({ label, value, detail }: { label: string; value: Child; detail?: Child }) {
  return (
    <div class="tile">
      <dt>{label}</dt>
      <dd>
        <span class="tile-value">{value}</span>
        {detail !== undefined && <span class="tile-detail">{detail}</span>}
      </dd>
    </div>
  );
}

/** @param caption shows beside the icon */
export function CopyButton({ text, label, caption }: { text: string; label: string; caption?: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
      setTimeout(() => setCopied(false), 1500);
    } catch {
      toast.failure(new Error(`The browser does not let this page copy. Here it is: ${text}`));
    }
  };
  return (
    <button
      type="button"
      class={caption === undefined ? "btn btn-icon" : "btn btn-outline-secondary btn-sm"}
      aria-label={copied ? "Copied" : label}
      title={label}
      onClick={copy}
    >
      <Icon name={copied ? "check" : "copy"} /> {caption}
    </button>
  );
}

/** A progress bar. @param label for screen readers */
export function Bar({ value, label, tone = "accent" }: { value: number; label: string; tone?: string }) {
  const percent = Math.max(0, Math.min(100, value * 100));
  return (
    <div
      class="bar"
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.floor(percent)}
    >
      <div class={`bar-fill ${tone}`} style={{ width: `${percent}%` }} />
    </div>
  );
}
