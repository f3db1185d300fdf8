/** Logs local copies that are lost or served again, since what changed them was outside of the program. */
import type { Log } from "../core/log.ts";
import type { PeerEvents } from "./events.ts";
import type { Library } from "./library.ts";

export function reportCopies(library: Library, log: Log, events: PeerEvents): void {
  library.events.subscribe((event) => {
    if (event.type !== "copy_regained" && event.type !== "copy_lost") return;
    const { path, contentId: content_id } = event.copy;
    if (event.type === "copy_regained")
      return log("info", "{path} is as it was, and served again", { path, content_id });
    const reason = event.why.message;
    log("warn", "{path} is not served any more: {reason}", { path, content_id, reason });
    events.emit({ type: "share_lost", path, reason });
  });
}
