/** Shown while the page has no token: how to get one. */
import { useId } from "hono/jsx/dom";
import { CopyButton } from "./parts/basics.tsx";
import { Icon } from "./parts/icons.tsx";
import { role } from "./role.ts";
import { lockReason, unlock } from "./session.ts";
import { useStore } from "./store.ts";
import { useState } from "./view-state.ts";

export function Locked() {
  const reason = useStore(lockReason);
  const [typed, setTyped] = useState("");
  const [isWrong, setWrong] = useState(false);
  const inputId = useId();
  const command = `p2pfs ${role} dashboard`;
  const enter = async (event: Event) => {
    event.preventDefault();
    const headers = { Authorization: `Bearer ${typed.trim()}` };
    const response = await fetch("/api/status", { headers }).catch(() => undefined);
    setWrong(!response?.ok);
    if (response?.ok) unlock(typed.trim());
  };
  return (
    <main class="locked">
      <div class="card locked-card">
        <div class="card-body">
          <span class="state-icon">
            <Icon name="lock" />
          </span>
          <h1 class="h4">This {role} is locked</h1>
          {reason !== "" && <p role="status">{reason}</p>}
          <p class="text-secondary">
            Open this page by its own link. On the machine where the {role} runs, type this and follow what it prints:
          </p>
          <div class="command-line">
            <code>{command}</code>
            <CopyButton text={command} label="Copy the command" />
          </div>
          <details class="mt-3">
            <summary>I have the token</summary>
            <form class="mt-2" onSubmit={enter}>
              <label class="form-label" for={inputId}>
                Token from <code>admin.json</code> of the data folder
              </label>
              <input
                id={inputId}
                type="password"
                autocomplete="off"
                class={isWrong ? "form-control is-invalid" : "form-control"}
                value={typed}
                aria-describedby={`${inputId}-fault`}
                onInput={(event: Event) => setTyped((event.target as HTMLInputElement).value)}
              />
              <div id={`${inputId}-fault`} class="invalid-feedback">
                {isWrong ? `This is not the token of this ${role}.` : ""}
              </div>
              <button type="submit" class="btn btn-primary mt-2">
                Unlock
              </button>
            </form>
          </details>
        </div>
      </div>
    </main>
  );
}
