/** Types of the routes of both roles, for the page, which must not import the roles themselves. */
export type {
  FetchEvent,
  FetchProgress,
  PeerStatus,
  Published,
  PublishProgress,
  ShareInfo,
  SourceShare,
} from "../peer/types.ts";
export type { ChunkInfo, InvitationInfo, Invited, MemberInfo, PeerInfo } from "../tracker/types.ts";
