/**
 * What takes bytes or texts of others: every decoder, parser and session. A target throws where something is wrong: an
 * error that is not typed, a value that its own encoder would not give, a role that has stopped to answer.
 */
import { drainMicrotasks } from "bun:jsc";
import fc from "fast-check";
import { splitLine } from "../../src/cli/split-line.ts";
import type { Address } from "../../src/core/address.ts";
import { formatHostPort, parseHostPort } from "../../src/core/address.ts";
import { P2pfsError } from "../../src/core/errors.ts";
import { fileNameFault } from "../../src/core/file-name.ts";
import { contentIdOf, decodeManifest, encodeManifest, manifestOfFile } from "../../src/core/manifest.ts";
import { formatTicket, parseTicket } from "../../src/core/ticket.ts";
import { KiB } from "../../src/core/units.ts";
import { digest } from "../../src/disk/blake3.ts";
import { decodeJournal, encodeHeader, encodeRecord } from "../../src/disk/journal.ts";
import { checkCertificate } from "../../src/identity/certificate.ts";
import { formatInvitation, parseInvitation } from "../../src/identity/invitation.ts";
import { keyOfRequest, makeRequest } from "../../src/identity/issuing.ts";
import { formatMembership, parseMembership } from "../../src/identity/membership.ts";
import { formatSigned, membershipFromSigned } from "../../src/identity/signed.ts";
import type { Transport, TransportEvents } from "../../src/net/transport.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { type Message, PROTOCOL_VERSION } from "../../src/wire/messages.ts";
import { authorityOf, certified, NOW_MS, trustIn } from "../identity/support.ts";
import { World } from "../sim/system/world.ts";
import { randomBytes } from "../support/bytes.ts";
import { messageNames, messageOf } from "../wire/arbitraries.ts";
import { Recorder } from "../wire/recorder.ts";

export interface Target {
  readonly name: string;
  /** Valid ones, from which changed ones are made. */
  inputs(): Promise<Uint8Array[]> | Uint8Array[];
  run(input: Uint8Array): Promise<void> | void;
  /** Called after the last run. */
  end?(): Promise<void> | void;
}

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function assert(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

/** The value, or undefined where it is refused as anything of others may be. */
function accepted<Value>(parse: () => Value): Value | undefined {
  try {
    return parse();
  } catch (thrown) {
    if (thrown instanceof P2pfsError && thrown.code !== "internal") return undefined;
    throw thrown;
  }
}

const manifests = [0, 1, 100 * KiB, 3_000 * KiB].map((size) =>
  encodeManifest(manifestOfFile(size, randomBytes(32 * Math.ceil(size / (64 * KiB)), size))),
);

const manifest: Target = {
  name: "manifest",
  inputs: () => manifests,
  run(input) {
    const decoded = accepted(() => decodeManifest(input));
    if (decoded !== undefined)
      assert(Buffer.compare(encodeManifest(decoded), input) === 0, "a manifest has two forms, and so two content ids");
  },
};

const journaled = manifests[3]!;
const journaledId = contentIdOf(journaled, digest);

const journal: Target = {
  name: "journal",
  inputs() {
    const header = encodeHeader(journaledId, journaled);
    const records: Uint8Array[] = [header];
    let place = header.length;
    for (const [kind, value] of [
      ["epoch", 7n],
      ["chunk", 0n],
      ["chunk", 40n],
      ["placing", 0n],
    ] as const) {
      const record = encodeRecord({ kind, value }, place);
      records.push(record);
      place += record.length;
    }
    return [header, new Uint8Array(Buffer.concat(records)), new Uint8Array(64)];
  },
  run(input) {
    const read = decodeJournal(input, journaledId);
    if (typeof read === "string" || read.manifest === undefined) return;
    assert(contentIdOf(encodeManifest(read.manifest), digest) === journaledId, "the journal has another manifest");
    for (const chunk of read.claims) assert(Number.isSafeInteger(chunk) && chunk >= 0, `it claims the chunk ${chunk}`);
  },
};

const ticket: Target = {
  name: "ticket",
  inputs: () =>
    [
      `p2pfs://127.0.0.1:7700/report.pdf?id=${"ab".repeat(32)}`,
      "p2pfs://[::1]:7700/%C3%BC%20b.txt",
      "p2pfs://host.example/x",
    ].map(encode),
  run(input) {
    const parsed = accepted(() => parseTicket(decode(input)));
    if (parsed?.contentId === undefined || parsed.tracker === undefined || parsed.fname === undefined) return;
    assert(fileNameFault(parsed.fname) === undefined, `a ticket for ${JSON.stringify(parsed.fname)}`);
    const { tracker, fname, contentId } = parsed;
    const again = parseTicket(formatTicket({ tracker, fname, contentId }));
    assert(Bun.deepEquals(again, parsed), "a ticket changes when it is written again");
  },
};

const address: Target = {
  name: "address",
  inputs: () => ["127.0.0.1:7700", "[fe80::1]:80", "host.example:65535", "::1", "localhost"].map(encode),
  run(input) {
    const parsed = parseHostPort(decode(input));
    if (parsed === undefined) return;
    assert(parsed.port >= 0 && parsed.port <= 65535, `the port ${parsed.port}`);
    assert(
      Bun.deepEquals(parseHostPort(formatHostPort(parsed)), parsed),
      "an address changes when it is written again",
    );
  },
};

const name: Target = {
  name: "file name",
  inputs: () => ["report.pdf", "ü b.txt", "CON", "a/b", "..", `${"x".repeat(255)}`].map(encode),
  run(input) {
    const text = decode(input);
    if (fileNameFault(text) !== undefined) return;
    assert(!/[/\\:\0]/.test(text) && text !== "." && text !== ".." && text !== "", `the name ${JSON.stringify(text)}`);
  },
};

const line: Target = {
  name: "command line",
  inputs: () => ['fetch \'a b\' "c\\"d" e\\ f', "publish ~/x --json", "'", '"\\'].map(encode),
  run: (input) => void accepted(() => splitLine(decode(input))),
};

const invitation: Target = {
  name: "invitation",
  inputs: () =>
    [
      [{ host: "192.168.7.10", port: 7700 }],
      [
        { host: "fe80::1", port: 1 },
        { host: "tracker.example", port: 65535 },
      ],
    ].map((trackers) =>
      encode(
        formatInvitation({
          authorityHash: randomBytes(32, 1),
          secret: randomBytes(16, 2),
          role: "peer",
          trackers,
        }),
      ),
    ),
  run(input) {
    const parsed = accepted(() => parseInvitation(decode(input)));
    if (parsed === undefined) return;
    const again = parseInvitation(formatInvitation(parsed));
    assert(Bun.deepEquals(again, parsed), "an invitation changes when it is written again");
  },
};

const swarm = await (async () => {
  const authority = await authorityOf("lab");
  const tracker = await certified(authority, "tracker");
  const peer = await certified(tracker, "peer");
  const membership = {
    swarm: "lab",
    authority: authority.certificate,
    key: peer.privateKey,
    certificate: peer.certificate,
    peerId: peer.peerId!,
    trackers: [{ host: "127.0.0.1", port: 7700 }],
  };
  return { authority, tracker, peer, membership };
})();

const certificate: Target = {
  name: "certificate",
  inputs: () => [swarm.tracker.der, swarm.peer.der, swarm.authority.der],
  run(input) {
    const verdict = checkCertificate(input, trustIn(swarm.authority), NOW_MS);
    const isMember = [swarm.tracker, swarm.peer].some(({ der }) => Buffer.compare(der, input) === 0);
    assert("member" in verdict === isMember, isMember ? "a member is none" : "a changed certificate makes a member");
  },
};

const request: Target = {
  name: "certificate request",
  inputs: async () => [await makeRequest(swarm.peer.privateKey), await makeRequest(swarm.tracker.privateKey)],
  async run(input) {
    const key = await keyOfRequest(input).catch((thrown: unknown) =>
      accepted(() => {
        throw thrown;
      }),
    );
    const owners = [swarm.peer, swarm.tracker].map(({ certificate }) =>
      certificate.publicKey.export({ format: "der", type: "spki" }),
    );
    if (key !== undefined)
      assert(
        owners.some((owner) => Buffer.compare(owner, key) === 0),
        "a changed request is for another key",
      );
  },
};

const membershipFile: Target = {
  name: "membership file",
  inputs: () => [encode(formatMembership(swarm.membership))],
  run(input) {
    const parsed = accepted(() => parseMembership(decode(input), "swarm.json"));
    if (parsed !== undefined) assert(parsed.peerId === swarm.membership.peerId, "it is the membership of another one");
  },
};

const signed: Target = {
  name: "signed certificate",
  inputs: () => [encode(formatSigned(swarm.peer.der, swarm.membership))],
  run(input) {
    const parsed = accepted(() => membershipFromSigned(decode(input), swarm.peer.privateKey, NOW_MS));
    if (parsed !== undefined) assert(parsed.peerId === swarm.membership.peerId, "it is the membership of another one");
  },
};

function sampleFrames(): Uint8Array[] {
  return messageNames.flatMap((each, index) =>
    fc.sample(messageOf(each), { seed: index, numRuns: 2 }).map((message) => encodeFrame(message as Message)),
  );
}

const frames: Target = {
  name: "frames",
  inputs: sampleFrames,
  run(input) {
    const whole = new Recorder();
    whole.decoder.push(input);
    // However it is cut into pieces, the same comes out.
    const pieces = new Recorder();
    for (const byte of input) pieces.decoder.push(Uint8Array.of(byte));
    assert(Bun.deepEquals(whole, pieces), "the pieces matter in which bytes arrive");
  },
};

/** A tracker and two peers in virtual time, which have to stay as they are whatever is sent to them. */
class Sessions {
  #world: World | undefined;
  #runs = 0;

  send(input: Uint8Array, kind: "tracker" | "peer"): void {
    const world = this.#fresh();
    const host = kind === "tracker" ? world.trackers[0]! : world.hosts[0]!;
    const to = (kind === "tracker" ? `${host.ip}:7700` : world.hosts[0]!.address) as Address;
    const process = world.newProcess("10.0.9.1");
    const accept = (transport: Transport): TransportEvents => {
      const say = (message: Message) => void transport.write(encodeFrame(message));
      say({ type: "HELLO", version: PROTOCOL_VERSION, role: "peer", agent: "?", address: null });
      if (kind === "tracker")
        say({
          type: "REQUEST_REGISTER",
          request: 0,
          peer_id: "ab".repeat(16) as never,
          address: "10.0.9.1:9" as Address,
          advertised: false,
          host_name: "?",
        });
      process.later(20, () => void transport.write(input));
      process.later(60, () => transport.terminate());
      return { data: () => {}, drain: () => {}, closed: () => {} };
    };
    process.system.network.connect(to, accept).catch(() => {});
    world.runUntil(world.clock.now + 100);
    process.kill();
    const pinged = world.await("a ping", world.trackers[0]!.tracker!.ping(world.hosts[1]!.ip), 3000);
    assert(pinged?.alive === true && world.hosts[0]!.peer!.status().connected, "a role has stopped to answer");
    assert(world.violations.length === 0, world.violations.join("\n"));
  }

  end(): void {
    this.#world?.close();
    this.#world = undefined;
  }

  #fresh(): World {
    if (++this.#runs % RUNS_PER_WORLD === 0) this.end();
    if (this.#world !== undefined) return this.#world;
    const world = new World(this.#runs, { peers: 2, trackers: 1 });
    world.await("the tracker's start", world.trackers[0]!.start(), 1000);
    for (const host of world.hosts) world.await("a peer's start", host.start(), 1000);
    world.runUntil(world.clock.now + 2000);
    drainMicrotasks();
    this.#world = world;
    return world;
  }
}

/** Then the journal of a world has become long. */
const RUNS_PER_WORLD = 200;
const sessions = new Sessions();

const sessionTarget = (kind: "tracker" | "peer"): Target => ({
  name: `${kind} session`,
  inputs: sampleFrames,
  run: (input) => sessions.send(input, kind),
  end: () => sessions.end(),
});

export const targets: readonly Target[] = [
  frames,
  manifest,
  journal,
  ticket,
  address,
  name,
  line,
  invitation,
  certificate,
  request,
  membershipFile,
  signed,
  sessionTarget("tracker"),
  sessionTarget("peer"),
];
