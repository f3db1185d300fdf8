/** What a data folder keeps of its role's swarm: small files, each replaced as a whole, which only their owner can read. */
import { join } from "node:path";
import { type PrivateKeyPem, parsePrivateKey } from "../identity/keys.ts";
import { formatMembership, type Membership, parseAuthorityKey, parseMembership } from "../identity/membership.ts";
import { readSecretFile, removeFile, replaceFile } from "./small-file.ts";

const MEMBERSHIP_FILE = "swarm.json";
const AUTHORITY_KEY_FILE = "swarm-authority.pem";
const PENDING_KEY_FILE = "swarm-pending.pem";

export class MembershipFiles {
  readonly #folder: string;

  /** @param folder the data folder's path; reading needs no lock, writing does */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Undefined where the role of this folder is of no swarm. Throws `disk` for a damaged file, and one that others can read. */
  read(): Membership | undefined {
    const path = join(this.#folder, MEMBERSHIP_FILE);
    const text = readSecretFile(path);
    return text === undefined ? undefined : parseMembership(text, path);
  }

  write(membership: Membership): void {
    this.#replace(MEMBERSHIP_FILE, formatMembership(membership));
  }

  /** The key of the swarm's authority, where the tracker of this folder has made the swarm. Throws `disk` for another one. */
  readAuthorityKey(membership: Membership): PrivateKeyPem | undefined {
    const path = join(this.#folder, AUTHORITY_KEY_FILE);
    const text = readSecretFile(path);
    return text === undefined ? undefined : parseAuthorityKey(text, membership, path);
  }

  writeAuthorityKey(key: PrivateKeyPem): void {
    this.#replace(AUTHORITY_KEY_FILE, key);
  }

  /** The key of a machine that has asked to join and is no member yet. A damaged one is none: it has proved nothing. */
  readPendingKey(): PrivateKeyPem | undefined {
    return parsePrivateKey(readSecretFile(join(this.#folder, PENDING_KEY_FILE)) ?? "");
  }

  writePendingKey(key: PrivateKeyPem): void {
    this.#replace(PENDING_KEY_FILE, key);
  }

  removePendingKey(): void {
    removeFile(join(this.#folder, PENDING_KEY_FILE));
  }

  /** The role is of no swarm any more. */
  remove(): void {
    for (const name of [MEMBERSHIP_FILE, AUTHORITY_KEY_FILE, PENDING_KEY_FILE]) removeFile(join(this.#folder, name));
  }

  #replace(name: string, text: string): void {
    replaceFile(join(this.#folder, name), text, { durable: true });
  }
}
