/** The holders of a content with their chunks, for the page's swarm view: this peer and a sample of the others. */
import { formatRanges } from "../core/bitfield.ts";
import type { Deadline } from "../core/deadline.ts";
import type { ContentId } from "../core/manifest.ts";
import type { ContentHolders } from "../core/model.ts";
import type { Directory } from "./directory.ts";
import type { Library } from "./library.ts";

/** Throws `not_found` and `tracker_unreachable`. */
export async function holdersOf(
  contentId: ContentId,
  library: Library,
  directory: Directory,
  deadline: Deadline,
): Promise<ContentHolders> {
  const own = library.offer(contentId);
  const { fileInfo, holders } = await directory.locate(contentId, deadline);
  const others = holders.map(({ address, chunks }) => ({ address, chunks: formatRanges(chunks) }));
  const { address } = directory;
  const mine = own && address ? [{ address, chunks: formatRanges(own.have.toRanges()) }] : [];
  const last = Math.max(-1, ...holders.map(({ chunks }) => chunks.at(-1) ?? -1));
  return { total_chunknum: own?.have.size ?? fileInfo?.total_chunknum ?? last + 1, holders: [...mine, ...others] };
}
