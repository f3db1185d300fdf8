/** Dialling and listening: who is handed a connection, when, and what becomes of those that come too late. */
import { describe, expect, test } from "bun:test";
import type { Address } from "../../src/core/address.ts";
import type { ContentId } from "../../src/core/manifest.ts";
import { SECOND_MS } from "../../src/core/units.ts";
import type { Connection } from "../../src/net/connection.ts";
import { Endpoint } from "../../src/net/endpoint.ts";
import { PROTOCOL_VERSION } from "../../src/wire/messages.ts";
import { endpointAt, Room } from "../support/room.ts";
import { serveFake } from "../support/serve-fake.ts";

const contentId = "ab".repeat(32) as ContentId;

function twoMachines() {
  const room = new Room();
  return { room, here: room.machine("10.0.0.1"), there: room.machine("10.0.0.2") };
}

describe("dialling", () => {
  test("both sides learn the other's HELLO and where it is", () => {
    const { room, here, there } = twoMachines();
    let inbound: Connection | undefined;
    const { address } = room.listen(there, {
      role: "tracker",
      onConnection: (connection) => {
        inbound = connection;
      },
    });
    const dialled = room.dial(here, address);
    room.until(() => inbound !== undefined);
    expect([dialled.hello.role, inbound!.hello.role]).toEqual(["tracker", "peer"]);
    expect([dialled.remote.ip, inbound!.remote.ip]).toEqual(["10.0.0.2", "10.0.0.1"]);
    expect(dialled.remote.port).toBe(7000);
  });

  test("a frame right behind HELLO finds the handlers set", () => {
    const { room, here, there } = twoMachines();
    const noticed: string[] = [];
    const { address } = room.listen(there, {
      onConnection: (connection) => serveFake(connection, { notice: ({ type }) => void noticed.push(type) }),
    });
    const raw = room.dialRaw(here, address);
    raw.hello();
    raw.send({ type: "LEAVE_SWARM", content_id: contentId });
    room.run(10);
    expect(noticed).toEqual(["LEAVE_SWARM"]);
  });

  test("each connection has a HELLO of its own", () => {
    const { room, here, there } = twoMachines();
    let made = 0;
    const local = () => ({ role: "peer" as const, agent: `call ${++made}`, address: null });
    const heard: string[] = [];
    const { address } = room.listen(there, { onConnection: ({ hello }) => void heard.push(hello.agent) });
    const endpoint = new Endpoint({ system: here.system, local });
    for (let call = 0; call < 2; call++) room.wait(endpoint.dial(address, { timeoutMs: 100 }));
    room.run(5);
    expect(heard).toEqual(["call 1", "call 2"]);
  });

  test("nobody there is told at once", () => {
    const { room, here } = twoMachines();
    const dialling = endpointAt(here).dial("10.0.0.2:7000" as Address, { timeoutMs: 60 * SECOND_MS });
    expect(room.failure(dialling, 10)).toMatchObject({
      code: "unreachable",
      message: "nobody answers at 10.0.0.2:7000",
    });
  });

  test("somebody who takes the connection and says nothing is given up at the time-out, and hears it", () => {
    const { room, here, there } = twoMachines();
    const { address, ends } = room.listenRaw(there);
    const dialling = endpointAt(here).dial(address, { timeoutMs: 500 });
    expect(room.failure(dialling)).toMatchObject({ code: "unreachable", message: `${address} does not answer` });
    expect(room.now).toBe(500);
    room.run(10);
    expect(ends.map(({ isClosed }) => isClosed)).toEqual([true]);
  });

  test("a HELLO that comes after the time-out hands out nothing", () => {
    const { room, here, there } = twoMachines();
    const { address, ends } = room.listenRaw(there);
    let handedOut = 0;
    const dialling = endpointAt(here).dial(address, { timeoutMs: 500, onConnection: () => handedOut++ });
    room.run(499.5);
    ends[0]!.hello();
    expect(room.failure(dialling)).toMatchObject({ code: "unreachable" });
    room.run(SECOND_MS);
    expect([handedOut, ends[0]!.isClosed]).toEqual([0, true]);
  });

  test("a connection that is made after the time-out, since the line was cut, is closed without a word", () => {
    const { room, here, there } = twoMachines();
    const { address, ends } = room.listenRaw(there);
    room.network.partition(here.ip, there.ip, 3 * SECOND_MS);
    const dialling = endpointAt(here).dial(address, { timeoutMs: SECOND_MS });
    expect(room.duration(dialling)).toBe(SECOND_MS);
    room.run(3 * SECOND_MS);
    expect(ends.length).toBe(1);
    expect([ends[0]!.types, ends[0]!.isClosed]).toEqual([[], true]);
  });

  test("the reason that the other side gives is the reason of the failure", () => {
    const { room, here, there } = twoMachines();
    const { address, ends } = room.listenRaw(there);
    const dialling = endpointAt(here).dial(address, { timeoutMs: 5000 });
    room.until(() => ends.length === 1);
    ends[0]!.send({ type: "ERROR", request: null, code: 6, message: "not you" });
    ends[0]!.transport.end();
    expect(room.failure(dialling)).toMatchObject({ code: "refused", message: "not you" });
  });

  test("so is a version that is not one's own, and a first frame that is no HELLO", () => {
    const { room, here, there } = twoMachines();
    const hello = {
      type: "HELLO",
      version: PROTOCOL_VERSION + 1,
      role: "peer",
      agent: "newer",
      address: null,
    } as const;
    const ping = { type: "REQUEST_PING_PONG", request: 1, peer_address: null } as const;
    for (const [port, first] of [hello, ping].entries()) {
      const { address, ends } = room.listenRaw(there, 7000 + port);
      const dialling = endpointAt(here).dial(address, { timeoutMs: 5000 });
      room.until(() => ends.length === 1);
      ends[0]!.send(first);
      expect(room.failure(dialling)).toMatchObject({ code: "protocol" });
      expect(ends[0]!.all("ERROR")).toMatchObject([{ request: null, code: 14 }]);
    }
  });

  test("a connection that breaks before HELLO is told as such, without waiting for the time-out", () => {
    const { room, here, there } = twoMachines();
    const { address, ends } = room.listenRaw(there);
    const dialling = endpointAt(here).dial(address, { timeoutMs: 5000 });
    room.until(() => ends.length === 1);
    ends[0]!.transport.terminate();
    expect(room.failure(dialling, 10)).toMatchObject({
      code: "unreachable",
      message: `${address} closed the connection`,
    });
  });
});

describe("listening", () => {
  test("port 0 takes any that is free; one that is taken is told, with what chooses another", () => {
    const { room, here } = twoMachines();
    const [one, two] = [room.listen(here, { port: 0 }), room.listen(here, { port: 0 })];
    expect(one.address).not.toBe(two.address);
    room.listen(here, { port: 7000 });
    const again = endpointAt(here).listen({ host: here.ip, port: 7000, flag: "--listen HOST:PORT", onConnection() {} });
    expect(room.failure(again)).toMatchObject({
      code: "already_running",
      hint: "choose another one with --listen HOST:PORT; port 0 takes any that is free",
    });
  });

  test("a name is listened on by its IP, one that nobody knows is not found", () => {
    const { room, here } = twoMachines();
    const lookUp = (host: string) =>
      host === "here" ? Promise.resolve([here.ip]) : Promise.reject(new Error("ENOTFOUND"));
    const endpoint = new Endpoint({
      system: { ...here.system, lookUp },
      local: () => ({ role: "peer", agent: "test", address: null }),
    });
    const options = { port: 7000, onConnection() {} };
    expect(room.wait(endpoint.listen({ host: "here", ...options })).address).toBe("10.0.0.1:7000" as Address);
    expect(room.failure(endpoint.listen({ host: "nowhere", ...options }))).toMatchObject({ code: "not_found" });
  });

  test("after a stop newcomers find nobody, and open connections live", () => {
    const { room, here, there } = twoMachines();
    const listener = room.listen(there);
    const open = room.dial(here, listener.address);
    listener.stop();
    const late = endpointAt(here).dial(listener.address, { timeoutMs: 5000 });
    expect(room.failure(late, 10)).toMatchObject({ code: "unreachable" });
    const ping = { type: "REQUEST_PING_PONG", peer_address: null } as const;
    expect(room.wait(open.request<"REQUEST_PING_PONG">(ping)).response).toBe("pong");
  });

  test("neither a listener that was stopped nor one that could not listen leaves a timer behind", () => {
    const { room, here, there } = twoMachines();
    const listener = room.listen(there);
    room.dial(here, listener.address).close();
    listener.stop();
    room.listenRaw(here, 7000);
    const taken = endpointAt(here).listen({ host: here.ip, port: 7000, onConnection() {} });
    expect(room.failure(taken)).toMatchObject({ code: "already_running" });
    expect(room.isQuietAfter(10 * SECOND_MS)).toBe(true);
  });

  test("whoever did not say HELLO is not handed out", () => {
    const { room, here, there } = twoMachines();
    let handedOut = 0;
    const { address } = room.listen(there, { onConnection: () => handedOut++ });
    const raw = room.dialRaw(here, address);
    raw.send({ type: "HELLO", version: PROTOCOL_VERSION + 1, role: "peer", agent: "newer", address: null });
    room.run(10 * SECOND_MS);
    expect([handedOut, raw.isClosed]).toEqual([0, true]);
  });
});
