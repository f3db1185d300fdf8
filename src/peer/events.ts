/** Events of a peer, for the page, the event stream and the metrics. */
import type { Address } from "../core/address.ts";
import { Emitter } from "../core/emitter.ts";
import type { FileName } from "../core/file-name.ts";
import type { FetchProgress, Published } from "./types.ts";

export type PeerEvent =
  | { readonly type: "tracker_joined"; readonly tracker: string; readonly address: Address }
  | { readonly type: "tracker_lost"; readonly tracker: string; readonly reason: string }
  /** A connection to another peer has opened or closed. */
  | { readonly type: "peer_joined"; readonly address: string }
  | { readonly type: "peer_left"; readonly address: string }
  | ({ readonly type: "published" } & Pick<Published, "key" | "fname" | "size" | "content_id">)
  | { readonly type: "unpublished"; readonly fname: FileName }
  /** A shared file changed or vanished on disk. */
  | { readonly type: "share_lost"; readonly path: string; readonly reason: string }
  | { readonly type: "fetch_started"; readonly fetch: FetchProgress }
  | { readonly type: "fetch_ended"; readonly fetch: FetchProgress };

export class PeerEvents extends Emitter<PeerEvent> {}
