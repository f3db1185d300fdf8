/**
 * A certificate as text, for machines without a network path to the tracker (S5): the member's certificate and that of
 * the authority as PEM, below lines that name the swarm and its trackers. Programs that read PEM skip such lines.
 */
import { X509Certificate } from "node:crypto";
import * as v from "valibot";
import { formatHostPort, type HostPort, parseHostPort } from "../core/address.ts";
import { P2pfsError } from "../core/errors.ts";
import { SIGNED_TEXT_CHARACTERS_MAX, TRACKERS_NAMED_MAX } from "../core/limits.ts";
import { certificateFaults, checkCertificate, type MemberRole, roleOf } from "./certificate.ts";
import { type PrivateKeyPem, peerIdOfKey, publicKeyOf } from "./keys.ts";
import { type Membership, SwarmNameSchema } from "./membership.ts";

const PEM_FORM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

export function formatSigned(
  certificate: Uint8Array,
  { swarm, authority, trackers }: Pick<Membership, "swarm" | "authority" | "trackers">,
): string {
  return [
    `swarm: ${swarm}`,
    `trackers: ${trackers.map(formatHostPort).join(" ")}`,
    new X509Certificate(certificate).toString().trimEnd(),
    authority.toString().trimEnd(),
    "",
  ].join("\n");
}

/** What the certificate makes its machine; undefined where there is none in the text. */
export function roleInSigned(text: string): MemberRole | undefined {
  const [certificate] = certificatesIn(text);
  return certificate && roleOf(certificate);
}

/**
 * The membership of the machine with this key. Throws `refused` for anything else than its certificate.
 *
 * @param nowMs milliseconds since 1970
 */
export function membershipFromSigned(text: string, key: PrivateKeyPem, nowMs: number): Membership {
  const [certificate, authority] = certificatesIn(text);
  const swarm = /^swarm: (.*)$/m.exec(text)?.[1];
  const named =
    /^trackers: (.*)$/m
      .exec(text)?.[1]
      ?.split(" ")
      .filter((each) => each !== "") ?? [];
  const trackers = named.map(parseHostPort).filter((each): each is HostPort => each !== undefined);
  if (certificate === undefined || authority === undefined || !v.is(SwarmNameSchema, swarm))
    throw new P2pfsError("refused", "this is not what `p2pfs swarm sign` prints", {
      hint: "take the whole text: the lines that name the swarm, and both certificates",
    });
  const verdict = checkCertificate(certificate.raw, { authority, isRevoked: () => false }, nowMs);
  if ("fault" in verdict)
    throw new P2pfsError("refused", `the certificate cannot be used: ${certificateFaults[verdict.fault]}`);
  const peerId = peerIdOfKey(publicKeyOf(key));
  if (verdict.member.peerId !== peerId)
    throw new P2pfsError("refused", "the certificate is for another machine", {
      hint: "`p2pfs swarm request` prints the request of this one",
    });
  return { swarm, authority, key, certificate, peerId, trackers: trackers.slice(0, TRACKERS_NAMED_MAX) };
}

function certificatesIn(text: string): (X509Certificate | undefined)[] {
  return text.length > SIGNED_TEXT_CHARACTERS_MAX ? [] : (text.match(PEM_FORM) ?? []).map(parsePem);
}

function parsePem(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

/** DER as PEM. */
export function pemOf(der: Uint8Array, label: string): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

/** The bytes between the lines of a PEM text with this label; undefined where there are none. */
export function derOf(pem: string, label: string): Uint8Array | undefined {
  const body = new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]+)-----END ${label}-----`).exec(pem)?.[1];
  return body === undefined ? undefined : new Uint8Array(Buffer.from(body, "base64"));
}
