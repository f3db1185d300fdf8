/**
 * Publishing and unpublishing (F16, R1–R3). A file is hashed, announced to the tracker, then added to the repository.
 */
import { basename } from "node:path";
import * as v from "valibot";
import type { Clock } from "../core/clock.ts";
import { type Deadline, deadlineIn, msLeft, noticeDeadline } from "../core/deadline.ts";
import { P2pfsError } from "../core/errors.ts";
import { type FileName, FileNameSchema, fileNameFault, foldFileName } from "../core/file-name.ts";
import { chunkCountFor } from "../core/manifest.ts";
import { publicationKey } from "../core/model.ts";
import { formatTicket } from "../core/ticket.ts";
import { SECOND_MS } from "../core/units.ts";
import type { ContentStore } from "../disk/content-store.ts";
import type { HashedFile } from "../disk/hash-file.ts";
import { sleep } from "../net/system.ts";
import type { Directory } from "./directory.ts";
import type { Library } from "./library.ts";
import type { Repository, Share } from "./repository.ts";
import type { Published, Unpublished } from "./types.ts";

/** A publish that its user has stopped ends a moment later; the next one of its name or path waits so long for that. */
const STOPPING_MS_MAX = SECOND_MS;

export interface PublishRequest {
  /** Absolute. */
  readonly path: string;
  /** The path as typed. */
  readonly lname: string;
  /** Defaults to the last part of the path. */
  readonly fname?: string | undefined;
}

export interface PublishOptions {
  /** Bytes hashed so far, and of the whole file. */
  readonly onProgress?: (bytes: number) => void;
  readonly signal?: AbortSignal;
}

export interface PublisherOptions {
  readonly store: ContentStore;
  readonly clock: Clock;
  readonly directory: Directory;
  readonly library: Library;
  readonly repository: Repository;
}

export class Publisher {
  readonly #options: PublisherOptions;
  /**
   * Folded names and paths that are being hashed, each with the end of its publish, so that R2 and R3 hold between
   * publishes at the same time.
   */
  readonly #underWay = new Map<string, Promise<void>>();

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** Throws `refused` (name, R2, R3), `not_found`, `disk`, `tracker_unreachable`, `cancelled`. */
  async publish({ path, lname, fname: asked }: PublishRequest, options: PublishOptions): Promise<Published> {
    const fname = checkedName(asked ?? basename(path));
    const realPath = this.#options.store.realPath(path);
    const marks = [`name ${foldFileName(fname)}`, `path ${realPath}`];
    const { clock } = this.#options;
    const deadline = noticeDeadline(clock.now());
    const othersEnd = deadlineIn(STOPPING_MS_MAX, clock.now());
    // No pause between the last look at the others and the own marks: of two that have waited, one goes on.
    while (this.#othersWith(marks).length > 0 && msLeft(othersEnd, clock.now()) > 0)
      await Promise.race([...this.#othersWith(marks), sleep(clock, msLeft(othersEnd, clock.now()))]);
    this.#expectNew(fname, realPath, marks);
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    for (const mark of marks) this.#underWay.set(mark, ended);
    try {
      // Checked first, since hashing may take long.
      await this.#options.directory.ready(deadline);
      const hashed = await this.#options.store.hash(realPath, options);
      return await this.#announce(fname, lname, realPath, hashed);
    } finally {
      for (const mark of marks) this.#underWay.delete(mark);
      end();
    }
  }

  /** The file stays where it is, and peers that have fetched it continue to serve it. */
  async unpublish(fname: FileName, deadline: Deadline): Promise<Unpublished> {
    const { repository, library, directory } = this.#options;
    const share = repository.shareNamed(fname);
    if (share === undefined) {
      const hint = "list-files shows what is shared, with the address of its publisher";
      throw new P2pfsError("not_found", `this peer shares nothing as ${fname}`, { hint });
    }
    await directory.unpublish(share, deadline);
    repository.removeShare(share.fname);
    if (!repository.fetched().some((copy) => copy.path === share.path)) library.removeCopy(share);
    await directory.settled(share.contentId, deadline);
    return { fname: share.fname };
  }

  /** Those that are under way with one of these marks. */
  #othersWith(marks: readonly string[]): Promise<void>[] {
    return marks.flatMap((mark) => this.#underWay.get(mark) ?? []);
  }

  #expectNew(fname: FileName, path: string, marks: readonly string[]): void {
    const { repository } = this.#options;
    const named = repository.shareNamed(fname);
    if (named !== undefined) {
      const what = named.fname === fname ? fname : `${named.fname}, which differs from ${fname} in case only,`;
      throw new P2pfsError("refused", `this peer shares a file as ${what} already (R2)`, {
        hint: "choose another FNAME, or unpublish that one first",
      });
    }
    const atPath = repository.shareAt(path);
    if (atPath !== undefined)
      throw new P2pfsError("refused", `${path} is shared already, as ${atPath.fname} (R3)`, {
        hint: `unpublish ${atPath.fname} first`,
      });
    if (this.#othersWith(marks).length > 0)
      throw new P2pfsError("refused", `${fname} or its file is being published already (R2, R3)`);
  }

  async #announce(fname: FileName, lname: string, path: string, hashed: HashedFile): Promise<Published> {
    const { directory, library, repository, clock } = this.#options;
    const { contentId, manifestBytes, stamp } = hashed;
    const share: Share = { fname, lname, path, contentId, size: stamp.size, mtimeNs: stamp.mtimeNs };
    // A new deadline, since hashing may have taken long.
    const address = await directory.publish(share, noticeDeadline(clock.now()));
    try {
      repository.addShare(share, manifestBytes);
    } catch (thrown) {
      directory.withdraw(share);
      throw thrown;
    }
    library.addCopy(share);
    return {
      key: publicationKey(fname, address),
      fname,
      size: share.size,
      total_chunknum: chunkCountFor(share.size),
      path: lname,
      address,
      content_id: contentId,
      ticket: formatTicket({ tracker: directory.tracker, fname, contentId }),
    };
  }
}

function checkedName(name: string): FileName {
  const fault = fileNameFault(name);
  if (fault === undefined) return v.parse(FileNameSchema, name);
  throw new P2pfsError("refused", `cannot publish as ${JSON.stringify(name)}: ${fault}`, {
    hint: "give a FNAME after the path",
  });
}
