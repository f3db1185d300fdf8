/**
 * Tickets: `p2pfs://TRACKER_HOST:PORT/FNAME?id=CONTENT_ID`, one line of text that names the tracker to ask and the file,
 * and pins its bytes, so that a fetch by ticket need not trust tracker or holders.
 */
import * as v from "valibot";
import { formatHostPort, type HostPort, parseHostPort } from "./address.ts";
import { P2pfsError } from "./errors.ts";
import { type FileName, FileNameSchema } from "./file-name.ts";
import { type ContentId, ContentIdSchema } from "./manifest.ts";

export interface Ticket {
  readonly tracker: HostPort;
  readonly fname: FileName;
  readonly contentId: ContentId;
}

const SCHEME = "p2pfs://";
const TICKET_FORM = /^p2pfs:\/\/(?<tracker>[^/?#]+)\/(?<fname>[^/?#]+)\?id=(?<contentId>[^&#]+)$/i;

const TicketPartsSchema = v.object({
  tracker: v.pipe(
    v.string(),
    v.transform(parseHostPort),
    v.check((tracker) => tracker !== undefined && tracker.port > 0, "expected HOST:PORT of the tracker"),
    v.transform((tracker) => tracker!),
  ),
  fname: v.pipe(v.string(), v.transform(percentDecode), FileNameSchema),
  contentId: v.pipe(v.string(), v.toLowerCase(), ContentIdSchema),
});

/** Whether the text is a ticket and not a name, which cannot contain a colon. */
export function looksLikeTicket(text: string): boolean {
  return text.slice(0, SCHEME.length).toLowerCase() === SCHEME;
}

/** Throws `usage` with the reason if the text is not a ticket. */
export function parseTicket(text: string): Ticket {
  const form = TICKET_FORM.exec(text);
  if (form === null) throw ticketFault("expected p2pfs://TRACKER_HOST:PORT/FNAME?id=CONTENT_ID");
  const parts = v.safeParse(TicketPartsSchema, form.groups, { abortEarly: true });
  if (!parts.success) throw ticketFault(parts.issues[0].message);
  return parts.output;
}

export function formatTicket({ tracker, fname, contentId }: Ticket): string {
  return `${SCHEME}${formatHostPort(tracker)}/${percentEncode(fname)}?id=${contentId}`;
}

/** Also encodes the characters that are special to a shell and that encodeURIComponent leaves. */
function percentEncode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}

function percentDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw ticketFault("the name is not percent-encoded UTF-8", error);
  }
}

function ticketFault(why: string, cause?: unknown): P2pfsError {
  return new P2pfsError("usage", `this is not a ticket: ${why}`, {
    hint: "copy the whole line that publish printed",
    cause,
  });
}
