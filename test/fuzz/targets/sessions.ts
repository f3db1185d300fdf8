/**
 * Sessions: somebody connects to a tracker or to a peer, in plain or in a private swarm, and sends whatever it likes. Real
 * roles in virtual time; what has to hold is that it is answered or turned away, and that nobody else notices.
 */
import type { Address } from "../../../src/core/address.ts";
import { NO_CHUNKS, rangeOfOne } from "../../../src/core/bitfield.ts";
import { type ContentId, chunkCountFor, contentIdOf } from "../../../src/core/manifest.ts";
import { KiB } from "../../../src/core/units.ts";
import { digest } from "../../../src/disk/blake3.ts";
import { checkCertificate, MEMBER_DNS_NAME } from "../../../src/identity/certificate.ts";
import { sha256 } from "../../../src/identity/invitation.ts";
import { makeRequest } from "../../../src/identity/issuing.ts";
import { createPrivateKeyPem, publicKeyOf } from "../../../src/identity/keys.ts";
import type { Credentials, Transport, TransportEvents } from "../../../src/net/transport.ts";
import { encodeFrame } from "../../../src/wire/frame.ts";
import { type Message, PROTOCOL_VERSION } from "../../../src/wire/messages.ts";
import { hostileMember, peerMember, securityAs } from "../../sim/system/members.ts";
import type { Process } from "../../sim/system/process.ts";
import { FILES_FOLDER, World } from "../../sim/system/world.ts";
import { randomBytes } from "../../support/bytes.ts";
import { Recorder } from "../../wire/recorder.ts";
import { type Known, mutatedStream, sampleFrames, splitFrames } from "../stream.ts";
import { assert, assertEqual, type Mutation, type Target } from "../target.ts";

/** Then the journal of a world has become long. */
const RUNS_PER_WORLD = 100;
const ANSWER_MS_MAX = 3000;
const PING = 0xffff_fff0;
/** Of the real event loop, of a millisecond or more. */
const ISSUING_TURNS_MAX = 500;
const TURNS_AFTER_CLOSE = 10;

export const content = randomBytes(150 * KiB, 5);
export const SHARED = "shared.bin";
export const SHARED_PATH = `${FILES_FOLDER}/${SHARED}`;
const SECRET = randomBytes(16, 3);
const PUBLISHER = "10.0.0.1:7000" as Address;

/** The first byte of an input says how the others are sent. */
interface Manner {
  readonly isMember: boolean;
  /** Otherwise, in a swarm, with TLS and no certificate. */
  readonly isPlain: boolean;
  readonly registers: boolean;
  readonly role: "peer" | "tracker";
  readonly greets: boolean;
  readonly end: "terminate" | "end" | "read nothing";
}

function mannerOf(byte: number): Manner {
  return {
    isMember: (byte & 3) < 2,
    isPlain: (byte & 3) === 3,
    registers: (byte & 4) === 0,
    role: (byte & 0x18) === 0x18 ? "tracker" : "peer",
    greets: (byte & 0xe0) !== 0xe0,
    end: (["terminate", "end", "read nothing", "terminate"] as const)[(byte >> 5) & 3]!,
  };
}

/** Somebody's end of a connection. */
class Stranger {
  readonly heard = new Recorder();
  isClosed = false;
  readonly #process: Process;
  readonly #input: Uint8Array;
  readonly #manner: Manner;
  readonly #isAtTracker: boolean;

  constructor(process: Process, input: Uint8Array, isAtTracker: boolean) {
    this.#process = process;
    this.#manner = mannerOf(input[0] ?? 0);
    this.#input = input.subarray(1);
    this.#isAtTracker = isAtTracker;
  }

  /** Resolves when it is connected, or nobody listens. */
  connect(to: Address, isPrivate: boolean): void {
    const { isMember, isPlain } = this.#manner;
    const accept = (transport: Transport): TransportEvents => {
      const begin = () => this.#begin(transport);
      if (!isPrivate || isPlain) begin();
      return {
        secured: begin,
        data: (bytes) => void this.heard.decoder.push(bytes),
        drain: () => {},
        closed: () => {
          this.isClosed = true;
        },
      };
    };
    const member = securityAs(hostileMember(), this.#process.system.clock);
    const outsider: Credentials = { serverName: MEMBER_DNS_NAME };
    const credentials = !isPrivate || isPlain ? undefined : isMember ? member.credentials() : outsider;
    this.#process.system.network.connect(to, accept, credentials).catch(() => {
      this.isClosed = true;
    });
  }

  /** Whether the last thing that it sent has an answer. Behind a frame that has not ended there is none. */
  get isAnswered(): boolean {
    if (this.isClosed || this.#manner.end === "read nothing" || !this.#endsWithFrame) return true;
    return this.heard.messages.some(({ message }) => "request" in message && message.request === PING);
  }

  /** Whether each REQUEST_JOIN has its answer; where it cannot be heard, whether it has had time to be dealt with. */
  hasJoined(turns: number): boolean {
    if (this.isClosed || this.#manner.end === "read nothing") return turns >= TURNS_AFTER_CLOSE;
    const asked = Recorder.of(this.#input).messages.filter(({ message }) => message.type === "REQUEST_JOIN");
    const answers = new Set(this.heard.messages.map(({ message }) => "request" in message && message.request));
    return asked.every(({ message }) => "request" in message && answers.has(message.request));
  }

  get #endsWithFrame(): boolean {
    const last = splitFrames(this.#input).at(-1);
    if (last === undefined) return true;
    return last.length >= 8 && new DataView(last.buffer, last.byteOffset).getUint32(0) === last.length - 8;
  }

  #begin(transport: Transport): void {
    const { greets, role, registers, end } = this.#manner;
    const say = (message: Message) => void transport.write(encodeFrame(message));
    if (end === "read nothing") transport.pause();
    if (greets) say({ type: "HELLO", version: PROTOCOL_VERSION, role, agent: "?", address: null });
    if (registers) say(this.#registration);
    transport.write(this.#input);
    say({ type: "REQUEST_PING_PONG", request: PING, peer_address: null });
    if (end === "end") this.#process.later(ANSWER_MS_MAX, () => transport.end());
  }

  get #registration(): Message {
    if (!this.#isAtTracker)
      return { type: "REQUEST_JOIN_SWARM", request: 0, content_id: contentId(), chunks: NO_CHUNKS };
    return {
      type: "REQUEST_REGISTER",
      request: 0,
      peer_id: hostileMember().peerId,
      address: `${this.#process.ip}:9` as Address,
      advertised: false,
      host_name: "?",
    };
  }
}

let sharedId: ContentId | undefined;

function contentId(): ContentId {
  assert(sharedId !== undefined, "nothing is shared yet");
  return sharedId;
}

/** A tracker and two peers, of which the first shares something. */
export class System {
  readonly world: World;
  #runs = 0;
  #connections = 0;
  #sessions: unknown;
  #membersAtStart = 0;

  constructor(seed: number, isPrivate: boolean) {
    this.world = new World(seed, { peers: 2, trackers: 1, isPrivate });
  }

  async start(): Promise<void> {
    const { world } = this;
    const [first] = world.hosts;
    world.await("the tracker's start", world.trackers[0]!.start(), 1000);
    for (const host of world.hosts) world.await("a peer's start", host.start(), 1000);
    first!.disk.write(SHARED_PATH, content);
    world.runUntil(world.clock.now + 1000);
    const published = world.await(
      "publishing",
      first!.peer!.publish({ path: SHARED_PATH, lname: SHARED, fname: SHARED }),
      2000,
    );
    sharedId = published?.content_id;
    if (world.isPrivate) world.await("the swarm", this.#enrol(), 2000);
    this.#connections = this.#tracker.backlog.connections;
    this.#sessions = this.#listed();
    this.#membersAtStart = this.#members().size;
    assert(world.violations.length === 0, world.violations.join("\n"));
  }

  async #enrol(): Promise<void> {
    const { members } = this.world.registry;
    for (const [index, membership] of [peerMember(0), peerMember(1), hostileMember()].entries()) {
      const { peerId, key, certificate } = membership;
      await members.add({ peerId, key: publicKeyOf(key), name: `member-${index}`, role: "peer" });
      await members.certified(peerId, Date.parse(certificate.validTo));
    }
    const secretHash = sha256(SECRET);
    const expires = this.world.trackers[0]!.process!.system.clock.wallTime() + 1e9;
    await members.invite({ secretHash, role: "peer", label: "", needsApproval: false, uses: 10_000, expires });
  }

  get isWorn(): boolean {
    return this.#runs >= RUNS_PER_WORLD;
  }

  async harass(input: Uint8Array, target: "tracker" | "peer"): Promise<string> {
    const { world } = this;
    const membersBefore = this.#members();
    const process = world.newProcess(`10.0.9.${1 + (++this.#runs % 200)}`);
    const stranger = new Stranger(process, input, target === "tracker");
    const to = (target === "tracker" ? `${world.trackers[0]!.ip}:7700` : PUBLISHER) as Address;
    stranger.connect(to, world.isPrivate);
    const endMs = world.clock.now + ANSWER_MS_MAX;
    world.runUntil(world.clock.now + 30);
    if (target === "tracker" && world.isPrivate && Buffer.from(input).includes(SECRET)) await this.#letIssue(stranger);
    while (!stranger.isAnswered && world.clock.now < endMs) world.runUntil(world.clock.now + 20);
    assert(stranger.isAnswered, "it is neither answered nor turned away");
    this.#checkHeard(stranger);
    process.kill();
    this.#awaitEnd(process.ip);
    this.#checkOthers();
    this.#checkMembers(membersBefore);
    const { messages } = stranger.heard;
    const last = messages.slice(-3).map(({ message }) => outcomeOf(message));
    return `${stranger.isClosed ? "closed" : "open"}: ${last.join(", ")}`;
  }

  close(): void {
    this.world.close();
  }

  get #tracker() {
    return this.world.trackers[0]!.tracker!;
  }

  /** Certificates are made in real time; who asked for one is answered, or has gone. */
  async #letIssue(stranger: Stranger): Promise<void> {
    for (let turn = 0; turn < ISSUING_TURNS_MAX && !stranger.hasJoined(turn); turn++) {
      await Bun.sleep(1);
      this.world.runUntil(this.world.clock.now + 1);
    }
  }

  /** The sessions and publications of those who do nothing wrong. */
  #listed() {
    const { world } = this;
    const addresses: string[] = world.hosts.map((host) => host.address);
    const peers = world.await("the peers", world.registry.listPeers(null), 1000)?.rows ?? [];
    const files = world.await("the files", world.registry.listFiles({}, null), 1000)?.rows ?? [];
    return {
      sessions: peers.filter((peer) => addresses.includes(peer.address)).map((peer) => [peer.address, peer.session]),
      files: files.filter((file) => file.address === PUBLISHER).map((file) => [file.fname, file.size, file.content_id]),
    };
  }

  #awaitEnd(strangerIp: string): void {
    const { world } = this;
    const endMs = world.clock.now + ANSWER_MS_MAX;
    const isGone = () => {
      const peers = world.await("the peers", world.registry.listPeers(null), 1000)?.rows ?? [];
      const isOnline = peers.some(({ address }) => address.startsWith(`${strangerIp}:`));
      return !isOnline && this.#tracker.backlog.connections <= this.#connections;
    };
    do world.runUntil(world.clock.now + 10);
    while (!isGone() && world.clock.now < endMs);
    assert(isGone(), "who has gone is still there");
  }

  #checkOthers(): void {
    const { world } = this;
    assertEqual(this.#listed(), this.#sessions, "others are listed otherwise than before");
    for (const { peer } of world.hosts) assert(peer?.status().connected === true, "a peer has lost its tracker");
    const shares = world.hosts[0]!.peer!.shares().map(({ fname }) => fname as string);
    assertEqual(shares, [SHARED], "a peer shares something else");
    assertEqual(
      world.hosts.flatMap(({ disk }) => disk.paths()),
      [SHARED_PATH],
      "a peer has other files",
    );
    assert(world.violations.length === 0, world.violations.join("\n"));
  }

  /** By id, with their states. */
  #members(): Map<string, string> {
    const { world } = this;
    const list = world.isPrivate && world.await("the members", world.registry.members.members(null), 1000);
    return new Map((list ? list.rows : []).map(({ peerId, state }) => [peerId, state]));
  }

  /** Machines that have joined by invitation. */
  #invited(): number {
    const { world } = this;
    if (!world.isPrivate) return 0;
    const invitations = world.await("the invitations", world.registry.members.invitations(), 1000) ?? [];
    return invitations.reduce((sum, { used }) => sum + used, 0);
  }

  #checkMembers(before: ReadonlyMap<string, string>): void {
    const after = this.#members();
    for (const [id, state] of before) {
      if (id !== hostileMember().peerId) assert(after.get(id) === state, "another member is none any more");
    }
    const joined = after.size - this.#membersAtStart;
    // Who has joined is listed when the certificate is made.
    assert(joined <= this.#invited(), `${joined} have joined, by invitations for ${this.#invited()}`);
    // It has left.
    if (this.world.isPrivate && after.get(hostileMember().peerId) !== "member") this.#runs = RUNS_PER_WORLD;
  }

  /** What the roles have told it is true. */
  #checkHeard({ heard }: Stranger): void {
    assert(heard.faults.length === 0, `a role has sent what cannot be read: ${heard.faults[0]?.message}`);
    for (const { message, payload } of heard.messages) {
      if (message.type === "ERROR") assert(message.code !== 1, `an internal error: ${message.message}`);
      else if (message.type === "REPLY_MANIFEST")
        assert(contentIdOf(payload!, digest) === message.content_id, "a manifest of another content");
      else if (message.type === "PEER_REPLY_CHUNK") {
        const bytes = content.subarray(message.chunknum * 64 * KiB, (message.chunknum + 1) * 64 * KiB);
        assert(Buffer.compare(payload!, bytes) === 0, "a chunk has other bytes");
      } else if (message.type === "REPLY_JOIN" && message.certificate !== null) {
        const trust = { authority: peerMember(0).authority, isRevoked: () => false };
        const nowMs = this.world.trackers[0]!.process!.system.clock.wallTime();
        const verdict = checkCertificate(message.certificate, trust, nowMs);
        assert("member" in verdict && verdict.member.role === "peer", "an invitation for a peer makes something else");
      }
    }
  }
}

function outcomeOf(message: Message): string {
  return message.type === "ERROR" ? `ERROR ${message.code}` : message.type;
}

const joinRequest = await makeRequest(await createPrivateKeyPem());

/** So that messages are about what there is. */
const known = (): Known => ({
  request: [0, 1, 2, 3, 4],
  content_id: sharedId === undefined ? ["0".repeat(64)] : [sharedId],
  fname: [SHARED],
  filename: [SHARED],
  primary_key: [null, `${SHARED}_10.0.0.1_7000`, `${SHARED}_10.0.9.1_9`],
  address: [PUBLISHER, "10.0.9.1:9", "10.0.1.1:7700"],
  author_address: [PUBLISHER, "10.0.9.1:9"],
  holder: [null, PUBLISHER],
  host: ["10.0.0.1", "10.0.9.1"],
  size: [content.length],
  total_chunknum: [chunkCountFor(content.length)],
  chunks: [NO_CHUNKS, rangeOfOne(0), rangeOfOne(2)],
  chunknum: [rangeOfOne(0), rangeOfOne(1), rangeOfOne(2), rangeOfOne(9)],
  peer_id: [hostileMember().peerId, peerMember(0).peerId, "ab".repeat(16)],
  cursor: [null, '["shared.bin",1,0]'],
  secret: [SECRET],
  certificate_request: [joinRequest],
  host_name: ["?"],
  version: [PROTOCOL_VERSION],
});

function sessionTarget(role: "tracker" | "peer", isPrivate: boolean): Target {
  let system: System | undefined;
  let systems = 0;
  return {
    name: `${role} session${isPrivate ? " of a swarm" : ""}`,
    isSlow: true,
    inputs: () => sampleFrames().map((frame, index) => Uint8Array.of(index % 3 === 0 ? 2 : 0, ...frame)),
    mutate(input, how: Mutation) {
      const manner = how.random() < 0.2 ? Math.floor(256 * how.random()) : (input[0] ?? 0);
      const others = how.others.map((other) => other.subarray(1));
      return Uint8Array.of(manner, ...mutatedStream(input.subarray(1), { ...how, others }, known()));
    },
    async run(input) {
      if (system?.isWorn) this.end?.();
      if (system === undefined) {
        system = new System(++systems, isPrivate);
        await system.start();
      }
      try {
        return await system.harass(input, role);
      } catch (thrown) {
        this.end?.();
        throw thrown;
      }
    },
    end() {
      system?.close();
      system = undefined;
    },
  };
}

export const sessionTargets = [
  sessionTarget("tracker", false),
  sessionTarget("tracker", true),
  sessionTarget("peer", false),
  sessionTarget("peer", true),
];
