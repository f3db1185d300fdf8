/** A modal dialog: the browser keeps the focus in it and restores it afterwards; Escape closes it. */
import type { Child } from "hono/jsx";
import { useId, useRef } from "hono/jsx/dom";
import { useEffect } from "../view-state.ts";

export interface DialogProps {
  readonly title: Child;
  readonly onClose: () => void;
  readonly wide?: boolean;
  readonly children?: Child;
  readonly footer?: Child;
}

export function Dialog({ title, onClose, wide = false, children, footer }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => {
    const element = dialog.current;
    if (element === null || element.open) return;
    element.showModal();
    return () => element.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      class={wide ? "dialog wide" : "dialog"}
      aria-labelledby={titleId}
      onCancel={(event: Event) => {
        event.preventDefault();
        onClose();
      }}
      onMousedown={(event: Event) => {
        if (event.target === dialog.current) onClose();
      }}
    >
      <div class="dialog-box">
        <header class="dialog-header">
          <h2 id={titleId} class="h5 mb-0">
            {title}
          </h2>
          <button type="button" class="btn-close" aria-label="Close" onClick={onClose} />
        </header>
        <div class="dialog-body">{children}</div>
        {footer !== undefined && <footer class="dialog-footer">{footer}</footer>}
      </div>
    </dialog>
  );
}

/** Asks before an action that cannot be undone. */
export function Confirm({
  title,
  text,
  action,
  onConfirm,
  onClose,
}: {
  title: string;
  text: Child;
  action: string;
  onConfirm: () => void;
  onClose: () => void;
}) {
  return (
    <Dialog
      title={title}
      onClose={onClose}
      footer={
        <>
          <button type="button" class="btn btn-outline-secondary" autofocus onClick={onClose}>
            Keep it as it is
          </button>
          <button
            type="button"
            class="btn btn-danger"
            onClick={() => {
              onClose();
              onConfirm();
            }}
          >
            {action}
          </button>
        </>
      }
    >
      {text}
    </Dialog>
  );
}
