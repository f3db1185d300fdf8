/** The light or dark theme: that of the system unless the user has chosen one. */
import { Store } from "./store.ts";

export type Choice = "auto" | "light" | "dark";

const KEY = "p2pfs-theme";
const systemDark = matchMedia("(prefers-color-scheme: dark)");

export const choice = new Store<Choice>(readChoice());
/** The theme that is shown. */
export const theme = new Store<"light" | "dark">("light");

function readChoice(): Choice {
  const kept = localStorage.getItem(KEY);
  return kept === "light" || kept === "dark" ? kept : "auto";
}

function apply(): void {
  const chosen = choice.get();
  const shown = chosen === "auto" ? (systemDark.matches ? "dark" : "light") : chosen;
  document.documentElement.dataset.bsTheme = shown;
  theme.set(shown);
}

export function choose(next: Choice): void {
  localStorage.setItem(KEY, next);
  choice.set(next);
  apply();
}

systemDark.addEventListener("change", apply);
apply();
