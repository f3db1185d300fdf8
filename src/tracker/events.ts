/** Events of the tracker, for the page, the event stream and the metrics. */
import type { Address } from "../core/address.ts";
import { Emitter } from "../core/emitter.ts";
import type { ContentId } from "../core/manifest.ts";

export type TrackerEvent =
  | { readonly type: "listening"; readonly address: Address }
  | { readonly type: "peer_joined"; readonly address: Address; readonly host_name: string }
  | { readonly type: "peer_left"; readonly address: Address; readonly reason: "closed" | "expired" }
  | { readonly type: "published"; readonly key: string; readonly content_id: ContentId; readonly size: number }
  | { readonly type: "unpublished"; readonly key: string }
  | {
      readonly type: "chunks_registered";
      readonly holder: Address;
      readonly content_id: ContentId;
      readonly chunks: string;
    };

export class TrackerEvents extends Emitter<TrackerEvent> {}
