/**
 * The page's token. The link that opens the page has a one-time code in its fragment, which is exchanged for a token and
 * removed from the address at once. The token is kept as long as the tab.
 */
import { Store } from "./store.ts";

const TOKEN_KEY = "p2pfs-token";

export type Access = "opening" | "open" | "locked";

export const access = new Store<Access>("opening");
/** Why the page is locked, if known. */
export const lockReason = new Store<string>("");

export function token(): string {
  return sessionStorage.getItem(TOKEN_KEY) ?? "";
}

export function lock(reason: string): void {
  sessionStorage.removeItem(TOKEN_KEY);
  lockReason.set(reason);
  access.set("locked");
}

export function unlock(given: string): void {
  sessionStorage.setItem(TOKEN_KEY, given);
  lockReason.set("");
  access.set("open");
}

/** Exchanges the code of the address for a token, or uses the token of this tab. */
export async function openSession(): Promise<void> {
  const code = /^#code=([\w-]+)$/.exec(location.hash)?.[1];
  if (code !== undefined) {
    history.replaceState(null, "", location.pathname);
    const response = await fetch("/api/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ code }),
    }).catch(() => undefined);
    if (response?.ok) return unlock(((await response.json()) as { token: string }).token);
    if (token() === "") return lock("This link was used already, or is too old. Every link works once.");
  }
  if (token() === "") lock("");
  else access.set("open");
}
