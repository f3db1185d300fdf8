/**
 * One peer's session: answers its requests from the registry. A message's schema has been checked before; this module
 * checks a message against earlier ones, and the peer's claims against what the tracker sees.
 */
import { createHash } from "node:crypto";
import * as v from "valibot";
import { type Address, hostOf, isLoopback, makeAddress, portOf } from "../core/address.ts";
import { formatRanges } from "../core/bitfield.ts";
import type { Clock } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { HOLDER_SAMPLE_MAX, PEER_ID_BYTES } from "../core/limits.ts";
import type { Log } from "../core/log.ts";
import { chunkCountFor } from "../core/manifest.ts";
import { type PeerId, PeerIdSchema, publicationKey } from "../core/model.ts";
import type { Conduct } from "../net/admission.ts";
import { Allowance } from "../net/allowance.ts";
import type { Connection } from "../net/connection.ts";
import type { Outgoing, RequestHandlers } from "../net/handlers.ts";
import type { Message } from "../wire/messages.ts";
import type { Certifier } from "./certifier.ts";
import type { ChunklessLeechers } from "./chunkless-leechers.ts";
import type { AddressProofs } from "./dial-back.ts";
import type { TrackerEvents } from "./events.ts";
import type { Liveness } from "./liveness.ts";
import type { Owner, Owners } from "./owners.ts";
import type { PrivateSwarm } from "./private-swarm.ts";
import type { PeerRecord, Registry, TrackerId } from "./registry.ts";
import type { SessionTurns } from "./turns.ts";

/** For requests that a connection needs once, and again when the peer's address changes. */
const ONCE_IN_A_WHILE = { perSecond: 0.2, burst: 3 };
/** Range numbers in REQUEST_CHUNK_REGISTER: two for a complete content, many for scattered chunks, which cost more. */
const RANGE_NUMBERS = { perSecond: 40_000, burst: 200_000 };

/** Shared by all sessions of a tracker. */
export interface SessionHost {
  readonly id: TrackerId;
  readonly clock: Clock;
  readonly log: Log;
  readonly isOwnIp: (ip: string) => boolean;
  readonly registry: Registry;
  readonly liveness: Liveness;
  readonly chunklessLeechers: ChunklessLeechers;
  /** The session of each peer that is connected. */
  readonly sessions: Map<PeerId, Session>;
  readonly turns: SessionTurns;
  /** Undefined for a tracker that is of none. */
  readonly swarm: PrivateSwarm | undefined;
  readonly events: TrackerEvents;
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  /** Bound on the time from HELLO to the end of the registration. */
  readonly registrationMs: number;
  readonly owners: Owners;
  readonly proofs: AddressProofs;
  /** Closes connections with those that are no members any more, and lets the others know. */
  refreshMembers(): Promise<void>;
}

export class Session {
  readonly connection: Connection;
  readonly #host: SessionHost;
  readonly #sameHost: boolean;
  readonly #openedMs: number;
  readonly #registrations: Allowance;
  readonly #rangeNumbers: Allowance;
  readonly #announcements: Allowance;
  readonly #joins: Allowance;
  #peer: PeerRecord | undefined;
  /** Of the first registration, from its beginning on: another may arrive before that has ended. */
  #peerId: PeerId | undefined;
  /** Set from the first registration on. */
  #owner: Owner | undefined;
  #ended = false;

  constructor(connection: Connection, host: SessionHost) {
    this.connection = connection;
    this.#host = host;
    const { clock } = host;
    this.#openedMs = clock.now();
    this.#registrations = new Allowance(clock, ONCE_IN_A_WHILE);
    this.#rangeNumbers = new Allowance(clock, RANGE_NUMBERS);
    this.#announcements = new Allowance(clock, ONCE_IN_A_WHILE);
    this.#joins = new Allowance(clock, ONCE_IN_A_WHILE);
    this.#sameHost = host.isOwnIp(connection.remote.ip);
  }

  /** Undefined before registration. */
  get peer(): PeerRecord | undefined {
    return this.#peer;
  }

  /** Of the peer; before registration, the other end of the connection. */
  get address(): Address {
    const { ip, port } = this.connection.remote;
    return this.#peer?.address ?? makeAddress(ip, port);
  }

  /** A registered session has no limit here, since its lease ends it. */
  get conduct(): Conduct {
    if (this.#peer === undefined)
      return { standing: "stranger", usefulMs: this.#openedMs, patienceMs: this.#host.registrationMs };
    return {
      standing: "member",
      usefulMs: this.connection.lastFrameMs,
      patienceMs: Number.POSITIVE_INFINITY,
    };
  }

  readonly requests: RequestHandlers<"peer", "tracker"> = {
    REQUEST_REGISTER: (message) => {
      assertAllowed(this.#registrations);
      return this.#register(message);
    },
    REQUEST_PUBLISH: (message) => this.#host.turns.changes.run(this, () => this.#publish(this.#member, message)),
    REQUEST_UNPUBLISH: (message) => this.#host.turns.changes.run(this, () => this.#unpublish(this.#member, message)),
    REQUEST_CHUNK_REGISTER: (message) => this.#registerChunks(this.#member, message),
    REQUEST_ANNOUNCED: () => {
      assertAllowed(this.#announcements);
      return this.#host.turns.changes.run(this, () => this.#announced(this.#member));
    },
    REQUEST_FILE_LIST: (message) => this.#host.turns.lists.run(this, () => this.#listFiles(message)),
    REQUEST_DISCOVER: (message) => this.#host.turns.lists.run(this, () => this.#discover(message)),
    REQUEST_FILE_LOCATION: (message) => this.#host.turns.locations.run(this, () => this.#locate(this.#member, message)),
    REQUEST_PEERS: ({ host }) => this.#host.turns.locations.run(this, () => this.#peersAt(host)),
    REQUEST_JOIN: (message) => {
      if (!this.#joins.take()) this.connection.close(new P2pfsError("busy", "too many requests to join"));
      return this.#certifier.join(message, this.connection.remote.ip);
    },
    REQUEST_RENEW: () => this.#certifier.renew(this.#certified),
    REQUEST_LEAVE: (message) => this.#leaveSwarm(message),
  };

  /** The connection has closed: takes the peer offline, unless it has a newer session. Resolves to whether it did. */
  async end(): Promise<boolean> {
    if (this.#ended) return false;
    this.#ended = true;
    if (this.#owner !== undefined) this.#host.owners.leave(this.#owner);
    for (const turns of Object.values(this.#host.turns)) turns.drop(this);
    return this.#leave();
  }

  /** Set for every handler but REQUEST_REGISTER: the connection refuses other requests of strangers. */
  get #member(): PeerRecord {
    if (this.#peer === undefined) throw new Error("a request of a member came before its registration");
    return this.#peer;
  }

  get #certifier(): Certifier {
    const { swarm } = this.#host;
    if (swarm === undefined) throw new P2pfsError("refused", "this tracker is of no swarm");
    return swarm.certifier;
  }

  /** The peer id of the certificate; the connection refuses requests of others. */
  get #certified(): PeerId {
    const { member } = this.connection;
    if (member === undefined) throw new Error("a request of a member came without its certificate");
    return member.peerId;
  }

  /** The answer comes before the connection closes, since its sender is none that may have one. */
  async #leaveSwarm({ request }: Message<"REQUEST_LEAVE">): Promise<undefined> {
    this.connection.reply(request, await this.#certifier.leave(this.#certified));
    await this.#host.refreshMembers();
  }

  async #leave(): Promise<boolean> {
    const peer = this.#peer;
    if (peer === undefined) return false;
    const { registry, liveness, sessions, chunklessLeechers } = this.#host;
    if (sessions.get(peer.peerId) === this) {
      sessions.delete(peer.peerId);
      chunklessLeechers.drop(peer.peerId);
    }
    liveness.release(peer);
    return registry.leave(peer, this.#host.id, this.#host.clock.wallTime());
  }

  async #register(message: Message<"REQUEST_REGISTER">): Promise<Outgoing<"REPLY_REGISTER">> {
    const { id, registry, swarm, turns, liveness, sessions, events, log, leaseMs, heartbeatMs } = this.#host;
    const { peer_id: named, host_name: hostName, instance } = message;
    const member = this.connection.member?.peerId ?? null;
    if (member !== null && member !== named) throw new P2pfsError("refused", "the certificate is for another peer id");
    const peerId = instance === undefined ? named : instanceId(named, instance);
    this.#peerId ??= peerId;
    if (this.#peerId !== peerId) throw new P2pfsError("refused", "this connection belongs to another peer id");
    if (/\p{C}/u.test(hostName)) throw new P2pfsError("refused", "a host name cannot contain control characters");
    this.#enterOwner();
    const address = await this.#addressOf(message);
    const before = this.#peer;
    const peer = await turns.changes.run(this, () => registry.register({ peerId, member, address, hostName }, id));
    this.#peer = peer;
    if (this.#ended) {
      await this.#leave();
      throw new P2pfsError("cancelled", "the connection closed while it registered");
    }
    this.connection.isStranger = false;
    const replaced = sessions.get(peerId);
    sessions.set(peerId, this);
    liveness.hold(peer, () => this.connection.lastFrameMs);
    if (replaced !== undefined && replaced !== this)
      replaced.connection.close(new P2pfsError("refused", "this peer has a newer session"));
    log("debug", "{address} has registered, on the host {host_name}", { address, host_name: hostName });
    if (before?.address !== address) events.emit({ type: "peer_joined", address, host_name: hostName });
    if (swarm !== undefined) this.connection.send(swarm.revocations.notice);
    return { type: "REPLY_REGISTER", address, lease_ms: leaseMs, heartbeat_ms: heartbeatMs };
  }

  /** Throws `busy`, as `Owners`. */
  #enterOwner(): void {
    const { member, remote } = this.connection;
    if (this.#owner !== undefined || this.#ended) return;
    const owner = { name: member?.peerId ?? remote.ip, isMember: member !== undefined };
    this.#host.owners.enter(owner);
    this.#owner = owner;
  }

  /** The host that the tracker sees, unless the peer advertises another one and proves it. */
  async #addressOf({ address, advertised, peer_id }: Message<"REQUEST_REGISTER">): Promise<Address> {
    const seen = makeAddress(this.connection.remote.ip, portOf(address));
    if (!advertised || hostOf(address) === hostOf(seen)) return seen;
    const isMember = this.connection.member !== undefined;
    const sourceIp = this.connection.remote.ip;
    await this.#host.proofs.prove({ address, peerId: peer_id, isMember, sourceIp });
    return makeAddress(hostOf(address), portOf(address));
  }

  async #publish(peer: PeerRecord, message: Message<"REQUEST_PUBLISH">): Promise<Outgoing<"REPLY_PUBLISH">> {
    const { fname, size, content_id: contentId, local_file: path } = message;
    const key = publicationKey(fname, peer.address);
    if (message.author_address !== peer.address || message.primary_key.normalize("NFC") !== key)
      throw new P2pfsError("refused", `the key of this publication would be ${key}, not ${message.primary_key}`);
    if (message.total_chunknum !== chunkCountFor(size))
      throw new P2pfsError(
        "refused",
        `${size} bytes make ${chunkCountFor(size)} chunks, not ${message.total_chunknum}`,
      );
    await this.#host.registry.publish(peer, { fname, contentId, size, path });
    this.#host.events.emit({ type: "published", key, content_id: contentId, size });
    return { type: "REPLY_PUBLISH", filename: fname, result: "ok" };
  }

  async #unpublish(peer: PeerRecord, { fname }: Message<"REQUEST_UNPUBLISH">): Promise<Outgoing<"REPLY_UNPUBLISH">> {
    await this.#host.registry.unpublish(peer, fname);
    this.#host.events.emit({ type: "unpublished", key: publicationKey(fname, peer.address) });
    return { type: "REPLY_UNPUBLISH", filename: fname, result: "ok" };
  }

  async #registerChunks(
    peer: PeerRecord,
    { content_id: contentId, size, chunknum: chunks, replace }: Message<"REQUEST_CHUNK_REGISTER">,
  ): Promise<Outgoing<"REPLY_CHUNK_REGISTER">> {
    const { registry, chunklessLeechers } = this.#host;
    this.#rangeNumbers.holdBack(this.connection, chunks.length);
    if (chunks.length === 0 && !replace) {
      chunklessLeechers.enter(contentId, peer);
      return { type: "REPLY_CHUNK_REGISTER", content_id: contentId };
    }
    chunklessLeechers.leave(contentId, peer.peerId);
    await this.#host.turns.changes.run(this, () => registry.registerChunks(peer, { contentId, size, chunks, replace }));
    const event = { holder: peer.address, content_id: contentId, chunks: formatRanges(chunks) };
    this.#host.events.emit({ type: "chunks_registered", ...event });
    return { type: "REPLY_CHUNK_REGISTER", content_id: contentId };
  }

  async #announced(peer: PeerRecord): Promise<Outgoing<"REPLY_ANNOUNCED">> {
    await this.#host.registry.dropUnannounced(peer);
    return { type: "REPLY_ANNOUNCED" };
  }

  async #listFiles({ fname, holder, cursor }: Message<"REQUEST_FILE_LIST">): Promise<Outgoing<"REPLY_FILE_LIST">> {
    const filter = { fname: fname ?? undefined, holder: holder ?? undefined };
    const { rows, next } = await this.#host.registry.listFiles(filter, cursor);
    return { type: "REPLY_FILE_LIST", file_list: [...rows], next };
  }

  async #discover({ address, cursor }: Message<"REQUEST_DISCOVER">): Promise<Outgoing<"REPLY_DISCOVER">> {
    const { rows, next } = await this.#host.registry.discover(address, cursor);
    return { type: "REPLY_DISCOVER", file_list: [...rows], next };
  }

  /** A loopback address is of no use to a peer on another host. */
  async #peersAt(ip: string): Promise<Outgoing<"REPLY_PEERS">> {
    const isUsable = this.#sameHost || !isLoopback(ip);
    const found = isUsable ? await this.#host.registry.findPeers({ ips: [ip] }) : [];
    return { type: "REPLY_PEERS", addresses: found.map((peer) => peer.address) };
  }

  async #locate(
    peer: PeerRecord,
    { primary_key: key, content_id: contentId }: Message<"REQUEST_FILE_LOCATION">,
  ): Promise<Outgoing<"REPLY_FILE_LOCATION">> {
    const query = key === null ? contentId && { contentId } : contentId === null && { key: key.normalize("NFC") };
    if (!query) throw new P2pfsError("usage", "a location is asked for by key or by content id, one of the two");
    const { registry, chunklessLeechers } = this.#host;
    const requester = { peerId: peer.peerId, sameHost: this.#sameHost };
    const found = await registry.locate(query, requester);
    if (found === undefined) throw new P2pfsError("not_found", `nobody has shared ${key ?? `content ${contentId}`}`);
    const located = contentId ?? found.fileInfo?.content_id;
    const free = HOLDER_SAMPLE_MAX - found.holders.length;
    const leechers = located === undefined ? [] : chunklessLeechers.of(located, requester, free);
    return { type: "REPLY_FILE_LOCATION", fileinfo: found.fileInfo, chunkinfo: [...found.holders, ...leechers] };
  }
}

/** The id of a further process of a member: the same after it has lost its connection. */
function instanceId(member: PeerId, instance: string): PeerId {
  const digest = createHash("sha256").update(`${member} ${instance}`).digest();
  return v.parse(PeerIdSchema, digest.subarray(0, PEER_ID_BYTES).toString("hex"));
}

function assertAllowed(allowance: Allowance): void {
  if (!allowance.take()) throw new P2pfsError("busy", "this was done too often on this connection");
}
