/** What a membership gives the connections of its machine: keys and certificates for TLS. */
import { issuerWithin, MEMBER_DNS_NAME } from "./certificate.ts";
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
  return {
    key,
    certificates: chain.map(String).join("\n"),
    authority: `${authority}`,
    serverName: MEMBER_DNS_NAME,
  };
}
