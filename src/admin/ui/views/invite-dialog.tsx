/** Makes an invitation, and shows the line to run on the other machine, also as a QR code. */
import { useId } from "hono/jsx/dom";
import type { Invited } from "../../types.ts";
import { answerOf, trackerApi } from "../api.ts";
import { plural } from "../format.ts";
import { useAction } from "../hooks.ts";
import { CopyButton, InlineFailure } from "../parts/basics.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { QrCode } from "../parts/qr-code.tsx";
import { useState } from "../view-state.ts";

const HOUR_MS = 3_600_000;
const DURATIONS = [
  { label: "1 hour", ms: HOUR_MS },
  { label: "1 day", ms: 24 * HOUR_MS },
  { label: "1 week", ms: 7 * 24 * HOUR_MS },
] as const;

export function InviteDialog({ onMade, onClose }: { onMade: () => void; onClose: () => void }) {
  const [invited, setInvited] = useState<Invited | null>(null);
  const made = (invitation: Invited) => {
    setInvited(invitation);
    onMade();
  };
  return invited === null ? (
    <InviteForm onMade={made} onClose={onClose} />
  ) : (
    <InvitationDialog invited={invited} onClose={onClose} />
  );
}

function InviteForm({ onMade, onClose }: { onMade: (invited: Invited) => void; onClose: () => void }) {
  const [uses, setUses] = useState("1");
  const [forMs, setForMs] = useState(String(DURATIONS[1].ms));
  const [label, setLabel] = useState("");
  const [approve, setApprove] = useState(false);
  const { busy, failure, run } = useAction({ inPlace: true });
  const id = useId();
  const invite = (event: Event) => {
    event.preventDefault();
    run(async () => {
      const json = { uses: Number(uses), for_ms: Number(forMs), label: label.trim(), approve };
      onMade(await answerOf(trackerApi.swarm.invitations.$post({ json })));
    });
  };
  return (
    <Dialog
      title="Let machines in"
      onClose={onClose}
      footer={
        <>
          <button type="button" class="btn btn-outline-secondary" onClick={onClose}>
            Not now
          </button>
          <button type="submit" form={`${id}-form`} class="btn btn-primary" disabled={busy}>
            Make the invitation
          </button>
        </>
      }
    >
      <form id={`${id}-form`} onSubmit={invite}>
        <label class="form-label" for={`${id}-uses`}>
          Machines that can join by it
        </label>
        <input
          id={`${id}-uses`}
          class="form-control"
          type="number"
          min="1"
          max="20000"
          required
          autofocus
          value={uses}
          onInput={(event: Event) => setUses((event.target as HTMLInputElement).value)}
        />
        <label class="form-label mt-3" for={`${id}-for`}>
          Within
        </label>
        <select
          id={`${id}-for`}
          class="form-select"
          onChange={(event: Event) => setForMs((event.target as HTMLSelectElement).value)}
        >
          {DURATIONS.map(({ label: text, ms }) => (
            <option value={String(ms)} selected={String(ms) === forMs}>
              {text}
            </option>
          ))}
        </select>
        <label class="form-label mt-3" for={`${id}-label`}>
          Note <span class="text-secondary">for you, in the list of invitations</span>
        </label>
        <input
          id={`${id}-label`}
          class="form-control"
          maxlength={60}
          autocomplete="off"
          value={label}
          onInput={(event: Event) => setLabel((event.target as HTMLInputElement).value)}
        />
        <div class="form-check mt-3">
          <input
            id={`${id}-approve`}
            class="form-check-input"
            type="checkbox"
            checked={approve}
            onChange={(event: Event) => setApprove((event.target as HTMLInputElement).checked)}
          />
          <label class="form-check-label" for={`${id}-approve`}>
            Each machine waits until somebody approves it here
          </label>
        </div>
        <InlineFailure error={failure} />
      </form>
    </Dialog>
  );
}

export function InvitationDialog({ invited, onClose }: { invited: Invited; onClose: () => void }) {
  const { command, uses, expires, approve } = invited;
  return (
    <Dialog
      wide
      title={uses === 1 ? "Run this on the other machine" : `Run this on up to ${plural(uses, "machine", "machines")}`}
      onClose={onClose}
      footer={
        <button type="button" class="btn btn-primary" autofocus onClick={onClose}>
          Done
        </button>
      }
    >
      <div class="invitation">
        <div class="invitation-line">
          <code>{command}</code>
          <CopyButton text={command} label="Copy the line" caption="Copy" />
          <p class="text-secondary mb-0">
            Whoever has this line can join until {new Date(expires).toLocaleString("en")}. It is shown only now.
            {approve && " Each machine then waits until it is approved here."}
          </p>
        </div>
        <QrCode text={command} label="The same line as a QR code" />
      </div>
    </Dialog>
  );
}
