/** What encrypts and identifies the connections of a member; its keys and the check are handed in. */
import type { PeerId } from "../core/model.ts";
import type { Role } from "../wire/messages.ts";
import type { Credentials, ShownCertificate } from "./transport.ts";

/** Who the other side is, as its certificate proves. */
export interface RemoteMember {
  readonly peerId: PeerId;
  readonly role: Role;
  /** Who issued the certificate; null for the authority of the swarm. */
  readonly issuer: PeerId | null;
  /** Milliseconds since 1970. */
  readonly expiresMs: number;
}

/** No member: somebody who may only be asked to join by, or ask to join. */
export type Identification = { readonly member: RemoteMember | undefined } | { readonly fault: string };

export interface Security {
  /** Asked for each connection, since they are renewed. */
  readonly credentials: () => Credentials;
  /** @returns the member, or what is wrong with the certificate */
  readonly identify: (shown: ShownCertificate) => Identification;
  /** Why somebody who was a member is none any more; undefined for a member. */
  readonly lapse: (member: RemoteMember) => string | undefined;
}
