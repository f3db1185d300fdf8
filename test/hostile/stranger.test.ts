/**
 * Hostile strangers: whoever has no certificate of the swarm gets nothing but the greeting of TLS, learns nothing by
 * guessing, and cannot use a tracker to knock at others.
 *
 * Elsewhere: certificates that are none of a member's, at every port (test/e2e/turned-away.test.ts,
 * test/net/encrypted.test.ts); floods (test/e2e/floods.test.ts); bytes that are no messages (test/fuzz).
 */
import { describe, expect, spyOn, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { type Address, hostOf, portOf } from "../../src/core/address.ts";
import type { P2pfsError } from "../../src/core/errors.ts";
import { SECOND_MS } from "../../src/core/units.ts";
import { MEMBER_DNS_NAME } from "../../src/identity/certificate.ts";
import { formatInvitation, parseInvitation } from "../../src/identity/invitation.ts";
import { issueCertificate } from "../../src/identity/issuing.ts";
import { publicKeyOf } from "../../src/identity/keys.ts";
import { HELLO_MS_MAX } from "../../src/net/greeting.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { AddressProofs, type Claim } from "../../src/tracker/dial-back.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { PROTOCOL_VERSION } from "../../src/wire/messages.ts";
import { authorityOf, random } from "../identity/support.ts";
import { randomBytes } from "../support/bytes.ts";
import { closeLater, openForAll } from "../support/closing.ts";
import { expectError } from "../support/errors.ts";
import { securityAs } from "../support/outsiders.ts";
import { joinBy } from "../support/private-swarm.ts";
import { dialAs, helloOf } from "../support/protocol-peer.ts";
import { endpointAt, Room } from "../support/room.ts";
import { until } from "../support/until.ts";
import { address, contentId, peerId, ranges } from "../support/values.ts";
import { Lab } from "./lab.ts";

/** Of HELLO_MS_MAX and the time for closing. */
const CLOSED_MS_MAX = HELLO_MS_MAX + 2 * SECOND_MS;

describe("on the ports of a private swarm", () => {
  let lab: Lab;
  let anna: Peer;
  openForAll(async () => {
    lab = await Lab.open();
    anna = await lab.swarm.peer("anna");
  });
  const ports = () => ({ tracker: lab.swarm.at, peer: anna.address! });

  const hello = encodeFrame({ type: "HELLO", version: PROTOCOL_VERSION, ...helloOf("peer") });
  /** The beginning of a handshake of TLS: a record's head that promises 512 bytes, and a few of them. */
  const halfGreeting = Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3);
  const overTcp = (first: Uint8Array) => (to: Address) => {
    const socket = connectTcp(portOf(to), hostOf(to));
    socket.write(first);
    return socket;
  };

  /** What it sends, and whether it may hear an alert of TLS. */
  const strangers: Readonly<Record<string, readonly [(to: Address) => Socket, mayHearAlert: boolean]>> = {
    "one that says nothing": [overTcp(new Uint8Array(0)), false],
    "one that speaks the protocol in plain": [overTcp(hello), true],
    "one that speaks HTTP": [overTcp(Buffer.from("GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n")), true],
    "one that sends noise": [overTcp(randomBytes(4096, 1)), true],
    "one that begins a handshake and stops": [overTcp(halfGreeting), false],
  };

  test("whoever speaks no TLS gets an alert at most, and is closed in time", async () => {
    const beganMs = performance.now();
    const cases = Object.entries(strangers).flatMap(([name, stranger]) =>
      Object.entries(ports()).map(([role, at]) => ({ what: `${name}, of a ${role}`, at, stranger })),
    );
    const meetings = cases.map(async ({ what, at, stranger: [connect, mayHearAlert] }) => {
      const socket = connect(at);
      const heard: Buffer[] = [];
      socket.on("data", (piece: Buffer) => void heard.push(piece));
      socket.on("error", () => {});
      await new Promise((resolve) => socket.on("close", resolve));
      const bytes = Buffer.concat(heard);
      const isAlert = bytes[0] === 0x15 && bytes.length === 7;
      expect([what, bytes.length === 0 || (mayHearAlert && isAlert)]).toEqual([what, true]);
    });
    await Promise.all(meetings);
    expect(performance.now() - beganMs).toBeLessThan(CLOSED_MS_MAX);
    const listed = (await lab.swarm.tracker.listPeers()).rows.map((row) => row.address);
    expect(listed).toEqual([anna.address!]);
  });

  test.each(["tracker", "peer"] as const)("of a %s, TLS 1.2 is not spoken", async (role) => {
    const at = ports()[role];
    const options = { host: hostOf(at), port: portOf(at), servername: MEMBER_DNS_NAME, rejectUnauthorized: false };
    const attempt = (maxVersion: "TLSv1.2" | "TLSv1.3") =>
      new Promise<string>((resolve) => {
        const socket = connectTls({ ...options, maxVersion }, () => {
          resolve(socket.getProtocol() ?? "none");
          socket.destroy();
        });
        socket.on("error", () => resolve("refused"));
        socket.on("close", () => resolve("refused"));
      });
    expect([await attempt("TLSv1.2"), await attempt("TLSv1.3")]).toEqual(["refused", "TLSv1.3"]);
  });

  test.each(["tracker", "peer"] as const)("of a %s, one that certifies itself is of another swarm", async (role) => {
    const self = await authorityOf("lab", Date.now());
    const spki = publicKeyOf(self.privateKey);
    const certificate = await issueCertificate(self, { spki, role: "peer", nowMs: Date.now(), random });
    const security = securityAs({ ...self, certificate: new X509Certificate(certificate), peerId: peerId(1) }, self);
    const connection = await dialAs(helloOf("peer"), ports()[role], {}, { security }).catch(
      (thrown: P2pfsError) => thrown,
    );
    if ("isOpen" in connection) await until("it is closed", () => !connection.isOpen);
    const cause = "isOpen" in connection ? connection.closeCause : connection;
    expect(cause?.message).toContain("another swarm");
  });

  test("of a peer, one without a certificate has no place, whatever it would ask", async () => {
    const { serverName } = lab.security({ ...lab.authority, peerId: peerId(1) }).credentials();
    const nobody = {
      credentials: () => ({ serverName }),
      identify: () => ({ member: undefined }),
      lapse: () => undefined,
    };
    const neighbours = anna.backlog.connections;
    const connection = await dialAs(helloOf("peer"), anna.address!, {}, { security: nobody });
    const joining = connection.request({ type: "REQUEST_JOIN_SWARM", content_id: contentId(1), chunks: ranges() });
    await expectError("unauthorised", joining, "members");
    await until("it is closed", () => !connection.isOpen);
    expect(anna.backlog.connections).toBe(neighbours);
  });

  test("a tracker that a member makes prove an address greets a stranger there by TLS, and says nothing else", async () => {
    const pieces: Buffer[] = [];
    const victim = Bun.listen({
      hostname: "127.0.0.2",
      port: 0,
      socket: { data: (_socket, piece) => void pieces.push(Buffer.from(piece)) },
    });
    closeLater(victim, () => victim.stop(true));
    const { member } = await lab.hostileMember();
    const registering = member.register({ address: address(`127.0.0.2:${victim.port}`), advertised: true });
    await expectError("refused", registering, "not proven");
    const heard = Buffer.concat(pieces);
    expect([pieces.filter((piece) => piece[0] === 0x16).length, heard[5]]).toEqual([1, 0x01]);
    expect(heard.length).toBeLessThan(2048);
    for (const secret of ["p2pfs/", member.id, "lab"]) expect(heard.includes(secret)).toBe(false);
  });
});

describe("whoever guesses at invitations", () => {
  test("is told the same of a wrong secret, one that has ended and one that has expired", async () => {
    const { swarm } = await Lab.open();
    const ended = await swarm.invite();
    const [{ id }] = (await swarm.tracker.membership.invitations()) as never as [{ id: string }];
    await swarm.tracker.membership.endInvitation(id);
    const expired = await swarm.invite({ for_ms: 1 });
    const wrong = formatInvitation({ ...parseInvitation(ended), secret: randomBytes(16, 1) });
    const told = [wrong, ended, expired].map((token) => joinBy(token, "mallory").catch((thrown: P2pfsError) => thrown));
    const [first, ...others] = (await Promise.all(told)) as P2pfsError[];
    expect(first).toMatchObject({ code: "refused" });
    for (const other of others) expect([other.code, other.message]).toEqual([first!.code, first!.message]);
  });

  test("has few tries, and after them the right secret is refused as well", async () => {
    const lab = await Lab.open({ joinsPerSource: { perSecond: 0.001, burst: 3 } });
    const right = await lab.swarm.invite();
    const guess = () => formatInvitation({ ...parseInvitation(right), secret: random.bytes(16) });
    for (let tries = 0; tries < 3; tries++) await expectError("refused", joinBy(guess(), "mallory"));
    await expectError("busy", joinBy(guess(), "mallory"), "too often");
    await expectError("busy", joinBy(right, "mallory"), "too often");
    expect((await lab.swarm.tracker.membership.invitations()).map(({ used }) => used)).toEqual([0]);
  });
});

describe("outside of a swarm, a tracker that is to prove an advertised address", () => {
  const source = "10.0.0.9";

  function proving() {
    const room = new Room();
    const tracker = room.machine("10.0.1.1");
    const dials: { readonly to: Address; readonly atMs: number }[] = [];
    const { network } = tracker.system;
    const connect = network.connect.bind(network);
    spyOn(network, "connect").mockImplementation((to, ...others) => {
      dials.push({ to, atMs: room.now });
      return connect(to, ...others);
    });
    const proofs = new AddressProofs(endpointAt(tracker, "tracker"));
    const prove = async (claimed: Claim) => proofs.prove(claimed);
    const claim = (to: string, fields: Partial<Claim> = {}): Claim => ({
      address: address(to),
      peerId: peerId(1),
      isMember: false,
      sourceIp: source,
      ...fields,
    });
    const outcome = (to: string, fields?: Partial<Claim>) => {
      const beganMs = room.now;
      const { code, message } = room.failure(prove(claim(to, fields)));
      return { code, message: message.replace(to, "ADDRESS"), tookMs: Math.round(room.now - beganMs) };
    };
    return { room, prove, dials, claim, outcome };
  }

  test.each(["10.0.0.5:22", "10.0.1.1:7700", "127.0.0.1:22", "169.254.169.254:80", "[fe80::1]:22", "8.8.8.8:53"])(
    "dials nobody at %s, which is not where the peer is",
    (to) => {
      const { outcome, dials } = proving();
      expect(outcome(to)).toMatchObject({ code: "refused", tookMs: 0 });
      expect(dials).toEqual([]);
    },
  );

  test("says and takes the same whatever is at the source's own address, and says HELLO there alone", () => {
    const { room, outcome } = proving();
    const machine = room.machine(source);
    const silent = room.listenRaw(machine, 22);
    const speaking = room.listenRaw(machine, 80);
    const answering = machine.system.network;
    answering.listen(source, 81, (transport) => {
      queueMicrotask(() => transport.terminate());
      return { data: () => {}, drain: () => {}, closed: () => {} };
    });
    room.listen(machine, { port: 7000, onConnection: () => {} });
    const told = ["1", "22", "80", "81", "7000"].map((port) => outcome(`${source}:${port}`));
    expect(new Set(told.map(({ message }) => message)).size).toBe(1);
    for (const { code, tookMs } of told) expect([code, tookMs]).toEqual(["refused", 1500]);
    for (const { ends } of [silent, speaking]) expect(ends.map(({ types }) => types)).toEqual([["HELLO"]]);
  });

  test("dials for one machine forty times at once and then once a second, for all of them 32 at a time", () => {
    const { room, prove, dials, claim } = proving();
    const { ends } = room.listenRaw(room.machine(source), 22);
    const claims: Promise<string>[] = [];
    for (let second = 0; second < 60; second++) {
      for (let index = 0; index < 20; index++)
        claims.push(prove(claim(`${source}:22`)).catch(({ code }: P2pfsError) => code) as Promise<string>);
      room.run(SECOND_MS);
      expect(ends.filter(({ isClosed }) => !isClosed).length).toBeLessThanOrEqual(32);
    }
    const codes = room.wait(Promise.all(claims));
    expect(codes.filter((code) => code === "refused").length).toBe(dials.length);
    expect(dials.length).toBeWithin(60, 40 + 60 + 1);
    const others = Array.from({ length: 100 }, (_, index) => {
      const ip = `10.1.0.${index + 1}`;
      const raw = room.listenRaw(room.machine(ip), 22);
      prove(claim(`${ip}:22`, { sourceIp: ip })).catch(() => {});
      return raw;
    });
    const open = () => others.flatMap(({ ends: all }) => all.filter(({ isClosed }) => !isClosed)).length;
    room.run(500);
    expect(open()).toBe(32);
    room.run(10 * SECOND_MS);
    expect(others.map(({ ends: all }) => all.length)).toEqual(others.map(() => 1));
  });
});
