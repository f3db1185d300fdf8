/**
 * The tokens that open the endpoint: that of admin.json, and one for each page that was opened by a link. The link's
 * fragment holds a code that works once and for a short time, so that a browser's history or a log of links is of no use
 * to others.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { P2pfsError } from "../core/errors.ts";
import { MINUTE_MS } from "../core/units.ts";

export const CODE_MS_MAX = 5 * MINUTE_MS;
const CODES_MAX = 16;
/** Pages with a token at the same time; beyond that the oldest token ends. */
const PAGES_MAX = 64;
const SECRET_BYTES = 32;

export function newSecret(): string {
  return randomBytes(SECRET_BYTES).toString("base64url");
}

export class Access {
  readonly #token: Buffer;
  readonly #pages: Buffer[] = [];
  readonly #codes: { readonly digest: Buffer; readonly expiresMs: number }[] = [];
  readonly #now: () => number;

  constructor(token: string, now = () => performance.now()) {
    this.#token = digestOf(token);
    this.#now = now;
  }

  /** Whether the token is valid; takes the same time for every token that is not. */
  lets(token: string): boolean {
    const given = digestOf(token);
    let isIn = timingSafeEqual(given, this.#token);
    for (const page of this.#pages) isIn = timingSafeEqual(given, page) || isIn;
    return isIn;
  }

  /** A code for one page, good for CODE_MS_MAX. */
  newCode(): string {
    const code = newSecret();
    this.#codes.push({ digest: digestOf(code), expiresMs: this.#now() + CODE_MS_MAX });
    if (this.#codes.length > CODES_MAX) this.#codes.shift();
    return code;
  }

  /** The token for the page that shows this code. Throws `unauthorised` if the code is used, too old or unknown. */
  redeem(code: string): string {
    const given = digestOf(code);
    const index = this.#codes.findIndex(({ digest }) => timingSafeEqual(digest, given));
    const [found] = index < 0 ? [] : this.#codes.splice(index, 1);
    if (found === undefined || found.expiresMs < this.#now())
      throw new P2pfsError("unauthorised", "this link was used already, or is too old", {
        hint: "run the dashboard command again: every link works once",
      });
    const token = newSecret();
    this.#pages.push(digestOf(token));
    if (this.#pages.length > PAGES_MAX) this.#pages.shift();
    return token;
  }
}

/** Digests have one length, so that comparing them takes the same time for every text. */
function digestOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
