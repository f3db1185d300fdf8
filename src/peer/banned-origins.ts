/** Origins of the sources that sent wrong data in one fetch, which takes nothing from them any more. */
import type { ErrorCode } from "../core/errors.ts";
import type { FileName } from "../core/file-name.ts";
import type { Log } from "../core/log.ts";
import type { ContentId } from "../core/manifest.ts";
import type { Neighbour } from "./neighbour.ts";

/** Beyond this number the oldest are dropped. */
const BANNED_MAX = 1024;

export interface BannedOriginsOptions {
  readonly contentId: ContentId;
  readonly fname: FileName;
  readonly log: Log;
}

export class BannedOrigins {
  readonly #options: BannedOriginsOptions;
  readonly #origins = new Set<string>();

  constructor(options: BannedOriginsOptions) {
    this.#options = options;
  }

  has(origin: string): boolean {
    return this.#origins.has(origin);
  }

  add({ origin, end }: Neighbour, code: ErrorCode): void {
    this.#origins.add(origin);
    if (this.#origins.size > BANNED_MAX) this.#origins.delete(this.#origins.values().next().value!);
    const { contentId, fname, log } = this.#options;
    const fields = { address: end, fname, content_id: contentId, code };
    log("debug", "{address} is banned from the fetch of {fname}: {code}", fields);
  }
}
