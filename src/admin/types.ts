/** What the routes of both roles take and answer, for the page: it knows the endpoint, not the roles behind it. */
export type {
  FetchEvent,
  FetchProgress,
  PeerStatus,
  Published,
  PublishProgress,
  ShareInfo,
  SourceShare,
} from "../peer/types.ts";
export type { ChunkInfo, PeerInfo } from "../tracker/types.ts";
