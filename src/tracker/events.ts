/** What happens at the tracker, as it happens, for whoever shows or counts it. */
import type { Address } from "../core/address.ts";
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

export type TrackerListener = (event: TrackerEvent) => void;

export class TrackerEvents {
  readonly #listeners = new Set<TrackerListener>();

  /** Calls the listener for every event from now on; returns what ends that. */
  subscribe(listener: TrackerListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  emit(event: TrackerEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
