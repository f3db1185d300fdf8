/** The holders of a content with their chunks, for the page's swarm view: this peer and a sample of the others. */
import { formatRanges } from "../core/bitfield.ts";
import type { Deadline } from "../core/deadline.ts";
import type { ContentId } from "../core/manifest.ts";
import type { ContentHolders } from "../core/model.ts";
import type { Library } from "./library.ts";
import type { TrackerLink } from "./tracker-link.ts";

/** Throws `not_found` and `tracker_unreachable`. */
export async function holdersOf(
  contentId: ContentId,
  library: Library,
  link: TrackerLink,
  deadline: Deadline,
): Promise<ContentHolders> {
  const own = library.offer(contentId);
  const query = { type: "REQUEST_FILE_LOCATION", primary_key: null, content_id: contentId } as const;
  const { fileinfo, chunkinfo } = await link.request(query, deadline);
  const others = chunkinfo.map(({ address, chunks }) => ({ address, chunks: formatRanges(chunks) }));
  const mine = own && link.address ? [{ address: link.address, chunks: formatRanges(own.have.toRanges()) }] : [];
  const last = Math.max(-1, ...chunkinfo.map(({ chunks }) => chunks.at(-1) ?? -1));
  return { total_chunknum: own?.have.size ?? fileinfo?.total_chunknum ?? last + 1, holders: [...mine, ...others] };
}
