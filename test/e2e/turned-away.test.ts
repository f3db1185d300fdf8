/** S6: who is turned away on the ports of a private swarm's tracker and peer, by name, and what a member cannot claim. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Address } from "../../src/core/address.ts";
import type { P2pfsError } from "../../src/core/errors.ts";
import { publicKeyOf } from "../../src/identity/keys.ts";
import type { Connection } from "../../src/net/connection.ts";
import { Endpoint } from "../../src/net/endpoint.ts";
import { realSystem } from "../../src/net/system.ts";
import type { Peer } from "../../src/peer/peer.ts";
import { certified, type Owner } from "../identity/support.ts";
import { openForAll } from "../support/closing.ts";
import { expectError } from "../support/errors.ts";
import { temporaryFolder } from "../support/folder.ts";
import { type Caller, outsiders, type SwarmUnderTest, securityAs } from "../support/outsiders.ts";
import { TestSwarm } from "../support/private-swarm.ts";
import { until } from "../support/until.ts";

let swarm: TestSwarm;
let anna: Peer;
let authority: Owner;
let underTest: SwarmUnderTest;

openForAll(async () => {
  swarm = await TestSwarm.start();
  anna = await swarm.peer("anna");
  const path = join(temporaryFolder(), "file");
  await Bun.write(path, "for members only");
  await anna.publish({ path, lname: path, fname: "file" });
  const { membership, authorityKey } = swarm.swarm;
  const certificate = membership.authority;
  authority = { privateKey: authorityKey!, certificate, der: certificate.raw, peerId: null };
  const remove = async (member: Owner) => {
    const { members } = swarm.tracker.registry;
    await members.add({ peerId: member.peerId!, key: publicKeyOf(member.privateKey), name: "removed", role: "peer" });
    await members.certified(member.peerId!, Date.parse(member.certificate.validTo));
    await swarm.tracker.membership.revoke(member.peerId!);
    // Its answer comes after the notice, over the same connection.
    await anna.listFiles();
  };
  underTest = { authority, remove };
});

function dial(to: Address, { role, security }: Caller): Promise<Connection> {
  const local = () => ({ role, agent: "test", address: null });
  return new Endpoint({ system: realSystem, local, security: () => security }).dial(to, { timeoutMs: 2000 });
}

/** Why the other side did not want this connection. */
async function reasonOf(dialled: Promise<Connection>): Promise<string | undefined> {
  const cause = await dialled.then(
    async (connection) => {
      await until("the connection is closed", () => !connection.isOpen);
      return connection.closeCause;
    },
    (thrown: P2pfsError) => thrown,
  );
  return cause?.message;
}

describe.each([
  ["tracker", () => swarm.at],
  ["peer", () => anna.address!],
] as const)("the port of a %s", (_, addressOf) => {
  test.each(Object.entries(outsiders))("is closed to %s", async (_name, { reason, call }) => {
    const before = (await swarm.tracker.listPeers()).rows.length;
    expect(await reasonOf(dial(addressOf(), await call(underTest)))).toMatch(reason);
    expect((await swarm.tracker.listPeers()).rows.length).toBe(before);
  });
});

describe("a member", () => {
  const asMember = async (): Promise<Caller> => ({
    role: "peer",
    security: securityAs(await certified(authority, "peer", Date.now()), authority),
  });

  test("registers as itself, and as nobody else", async () => {
    const connection = await dial(swarm.at, await asMember());
    const registering = connection.request({
      type: "REQUEST_REGISTER",
      peer_id: "ab".repeat(16) as never,
      address: "127.0.0.1:4000" as Address,
      advertised: false,
      host_name: "mallory",
    });
    await expectError("refused", registering, "another peer id");
    connection.close();
  });

  test("asks the tracker for nothing before it has registered, but to renew and to leave", async () => {
    const connection = await dial(swarm.at, await asMember());
    const listing = connection.request({ type: "REQUEST_FILE_LIST", fname: null, holder: null, cursor: null });
    await expectError("unauthorised", listing, "registered");
    // The registry does not know it: its certificate was made without the tracker.
    await expectError("unauthorised", connection.request({ type: "REQUEST_RENEW" }));
    connection.close();
  });
});

test("a machine without a certificate can ask to join, and for nothing else", async () => {
  const member = securityAs(await certified(authority, "peer", Date.now()), authority);
  const { serverName } = member.credentials();
  const credentials = () => ({ serverName, authority: `${authority.certificate}` });
  for (const message of [
    { type: "REQUEST_FILE_LIST", fname: null, holder: null, cursor: null },
    { type: "REQUEST_PEERS", host: "127.0.0.1" },
    { type: "REQUEST_RENEW" },
    { type: "REQUEST_LEAVE" },
  ] as const) {
    const connection = await dial(swarm.at, { role: "peer", security: { ...member, credentials } });
    const failure = await connection.request<typeof message.type>(message).then(
      () => undefined,
      (thrown: P2pfsError) => thrown.code,
    );
    expect([message.type, failure]).toEqual([message.type, expect.stringMatching(/refused|unauthorised/)]);
    connection.close();
  }
});
