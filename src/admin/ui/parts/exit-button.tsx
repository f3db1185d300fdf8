/** The button that ends the role, after asking. */

import { useAction } from "../hooks.ts";
import { role } from "../role.ts";
import { useState } from "../view-state.ts";
import { Confirm } from "./dialog.tsx";
import { Icon } from "./icons.tsx";
import { toast } from "./toasts.tsx";

export function ExitButton({ text, exit }: { text: string; exit: () => Promise<unknown> }) {
  const [isAsking, setAsking] = useState(false);
  const { busy, run } = useAction();
  const confirm = () =>
    run(async () => {
      await exit();
      toast.done(`The ${role} is ending.`);
    });
  return (
    <div>
      <button type="button" class="btn btn-outline-danger btn-sm" disabled={busy} onClick={() => setAsking(true)}>
        <Icon name="power" /> Exit
      </button>
      {isAsking && (
        <Confirm
          title={`End this ${role}?`}
          text={<p class="mb-0">{text}</p>}
          action={`End the ${role}`}
          onConfirm={confirm}
          onClose={() => setAsking(false)}
        />
      )}
    </div>
  );
}
