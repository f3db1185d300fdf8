/** What a membership gives the connections of its machine: keys and certificates for TLS, and the check of others. */
import type { PeerId } from "../core/model.ts";
import {
  certificateFaults,
  checkCertificate,
  issuerWithin,
  lapseOf,
  MEMBER_DNS_NAME,
  type Member,
} from "./certificate.ts";
import type { Membership } from "./membership.ts";

/** For TLS; texts are PEM. */
export interface Credentials {
  readonly key: string;
  /** The member's certificate, then that of its issuer if the authority is not the issuer. */
  readonly certificates: string;
  readonly authority: string;
  readonly serverName: string;
}

export function credentialsOf({ key, certificate, authority }: Membership): Credentials {
  const issuer = issuerWithin(certificate);
  const chain = issuer === undefined || issuer === "malformed" ? [certificate] : [certificate, issuer];
  return { key, certificates: chain.map(String).join("\n"), authority: `${authority}`, serverName: MEMBER_DNS_NAME };
}

export interface SecurityOptions {
  /** Asked each time, since certificates are renewed. */
  readonly membership: () => Membership;
  readonly isRevoked: (peerId: PeerId) => boolean;
  /** Milliseconds since 1970. */
  readonly wallTime: () => number;
}

/** How the connections of a member are encrypted, and who else is a member. */
export function securityOf({ membership, isRevoked, wallTime }: SecurityOptions) {
  return {
    credentials: () => credentialsOf(membership()),
    /** @param isTrusted whether TLS has found the chain right: two checks have to agree */
    identify({
      der,
      isTrusted,
    }: {
      readonly der: Uint8Array;
      readonly isTrusted: boolean;
    }): { readonly member: Member } | { readonly fault: string } {
      const verdict = checkCertificate(der, { authority: membership().authority, isRevoked }, wallTime());
      if ("fault" in verdict) return { fault: certificateFaults[verdict.fault] };
      return isTrusted ? verdict : { fault: certificateFaults.foreign };
    },
    /** Why somebody who was a member is none any more; undefined for a member. */
    lapse(member: Omit<Member, "role">): string | undefined {
      const fault = lapseOf(member, isRevoked, wallTime());
      return fault && certificateFaults[fault];
    },
  };
}
