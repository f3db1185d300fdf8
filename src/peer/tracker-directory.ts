/** The directory that a tracker is. Another tracker can take its place while the peer runs (F13). */
import { type Address, formatHostPort, type HostPort } from "../core/address.ts";
import type { Deadline } from "../core/deadline.ts";
import { asP2pfsError, P2pfsError } from "../core/errors.ts";
import type { ContentId } from "../core/manifest.ts";
import type { PeerId } from "../core/model.ts";
import type { Message } from "../wire/messages.ts";
import { Announcer, publishRequest } from "./announcer.ts";
import type { ContentLocation, Directory, FileQuery } from "./directory.ts";
import type { Library, LibraryEvent } from "./library.ts";
import type { Repository, Share } from "./repository.ts";
import { TrackerLink, type TrackerLinkOptions } from "./tracker-link.ts";
import type { FilePage } from "./types.ts";

export interface TrackerDirectoryOptions extends Omit<TrackerLinkOptions, "announce"> {
  readonly library: Library;
  readonly repository: Repository;
  /** The tracker has named the address under which others find this peer. */
  readonly registered: (address: Address) => void;
}

export class TrackerDirectory implements Directory {
  readonly #options: TrackerDirectoryOptions;
  readonly #announcer: Announcer;
  #link: TrackerLink;

  constructor(options: TrackerDirectoryOptions) {
    const { library, repository, log, endpoint } = options;
    this.#options = options;
    const { clock } = endpoint.system;
    this.#announcer = new Announcer({ clock, library, repository, log });
    this.#link = this.#newLink(options.tracker);
  }

  get address(): Address | null {
    return this.#link.address;
  }

  get tracker(): HostPort {
    return this.#link.tracker;
  }

  /** Whether there is a session in which everything is announced. */
  get isUp(): boolean {
    return this.#link.isUp;
  }

  /** The peer id for the proof to a tracker that dials back; undefined while no proof is due. */
  get idToProve(): PeerId | undefined {
    return this.#link.idToProve;
  }

  /** Joins in the background, again after every loss. */
  open(): void {
    this.#link.open();
  }

  close(): void {
    this.#announcer.close();
    this.#link.close();
  }

  /** Leaves the present tracker for this one, unless they are the same. */
  async connect(tracker: HostPort, deadline: Deadline): Promise<Address> {
    if (formatHostPort(tracker) !== formatHostPort(this.tracker)) {
      this.#link.close();
      // Whom the former tracker has called removed, this one included, is for the new one to say.
      this.#options.revoked({ type: "REVOKED", peer_ids: new Uint8Array(0) });
      this.#link = this.#newLink(tracker);
      this.#link.open();
    }
    return this.ready(deadline);
  }

  renewCertificate(deadline: Deadline): Promise<Message<"REPLY_RENEW">> {
    return this.#link.request({ type: "REQUEST_RENEW" }, deadline);
  }

  /** Announces changes of the library. */
  follow(event: LibraryEvent): void {
    this.#announcer.follow(event);
  }

  async ready(deadline: Deadline): Promise<Address> {
    return (await this.#link.ready(deadline)).address;
  }

  async listFiles({ fname, holder }: FileQuery, cursor: string | null, deadline: Deadline): Promise<FilePage> {
    const query = { type: "REQUEST_FILE_LIST", fname: fname ?? null, holder: holder ?? null, cursor } as const;
    const { file_list: rows, next } = await this.#link.request<"REQUEST_FILE_LIST">(query, deadline);
    return { rows, next };
  }

  async discover(address: Address, cursor: string | null, deadline: Deadline): Promise<FilePage> {
    const { file_list: rows, next } = await this.#link.request({ type: "REQUEST_DISCOVER", address, cursor }, deadline);
    return { rows, next };
  }

  async peersOn(host: string, deadline: Deadline): Promise<readonly Address[]> {
    try {
      return (await this.#link.request({ type: "REQUEST_PEERS", host }, deadline)).addresses;
    } catch (thrown) {
      if (asP2pfsError(thrown).code !== "unknown_message") throw thrown;
      throw new P2pfsError("usage", "the tracker runs an older version, which cannot tell which peers a host has", {
        cause: thrown,
        hint: "add the PORT of the peer that you mean",
      });
    }
  }

  async locate(contentId: ContentId, deadline: Deadline): Promise<ContentLocation> {
    const query = { type: "REQUEST_FILE_LOCATION", primary_key: null, content_id: contentId } as const;
    const { fileinfo, chunkinfo } = await this.#link.request(query, deadline);
    return { fileInfo: fileinfo, holders: chunkinfo.filter((holder) => holder.address !== this.address) };
  }

  async publish(share: Share, deadline: Deadline): Promise<Address> {
    const session = await this.#link.ready(deadline);
    try {
      await this.#link.request(publishRequest(share, session), deadline);
    } catch (thrown) {
      if (asP2pfsError(thrown).code !== "refused") this.withdraw(share);
      throw thrown;
    }
    return session.address;
  }

  async unpublish(share: Share, deadline: Deadline): Promise<void> {
    try {
      await this.#link.request({ type: "REQUEST_UNPUBLISH", fname: share.fname }, deadline);
    } catch (thrown) {
      // Not published: an empty file that vanished.
      if (asP2pfsError(thrown).code === "not_found") return;
      this.#announcer.republish(share);
      throw thrown;
    }
  }

  withdraw(share: Share): void {
    this.#announcer.withdraw(share);
  }

  settled(contentId: ContentId, deadline: Deadline): Promise<void> {
    return this.#announcer.settled(contentId, deadline);
  }

  #newLink(tracker: HostPort): TrackerLink {
    return new TrackerLink({
      ...this.#options,
      tracker,
      announce: (session) => {
        this.#options.registered(session.address);
        return this.#announcer.announceAll(session);
      },
    });
  }
}
