/** What a private swarm costs beside a transfer: commands, a swarm of processes, the memory of a tracker. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Address } from "../../src/core/address.ts";
import { SECOND_MS } from "../../src/core/units.ts";
import { parseInvitation } from "../../src/identity/invitation.ts";
import { createPrivateKeyPem } from "../../src/identity/keys.ts";
import type { Connection } from "../../src/net/connection.ts";
import { Endpoint } from "../../src/net/endpoint.ts";
import { realSystem } from "../../src/net/system.ts";
import { joinSwarm } from "../../src/peer/join-swarm.ts";
import { compare, list, MiB, median, runTimed, seconds } from "./measure.ts";
import { invite, joinAs, member, privateTracker } from "./members.ts";
import { memberEndpoint } from "./private-admissions.ts";
import { type Role, Roles } from "./roles.ts";
import { oneSeeder, runSwarm } from "./swarm.ts";

const PAIRS_PER_ROUND = 4;
const SESSIONS = 200;
const DIAL_MS_MAX = 10 * SECOND_MS;

interface Part {
  readonly binary: string;
  readonly folder: string;
  readonly rounds: number;
  readonly show: (where: string, what: string) => void;
}

/** A swarm of one sharing peer, and the flags by which a command finds it. */
interface Side {
  readonly tracker: Role;
  readonly peer: Role;
  readonly newcomer: readonly string[];
}

async function withSides(
  { binary, folder }: Part,
  use: (roles: Roles, sides: { readonly private: Side; readonly plain: Side }) => Promise<void>,
): Promise<void> {
  const roles = new Roles(binary, folder);
  try {
    const plainTracker = await roles.tracker("plain-tracker");
    const tracker = await privateTracker(roles, "private-tracker");
    await use(roles, {
      private: {
        tracker,
        peer: await member(roles, "private-peer", tracker),
        newcomer: ["--data", await joinAs(roles, "private-newcomer", tracker)],
      },
      plain: {
        tracker: plainTracker,
        peer: await roles.peer("plain-peer", plainTracker),
        newcomer: ["--tracker", plainTracker.address, "--data", join(folder, "plain-newcomer")],
      },
    });
  } finally {
    await roles.stop();
  }
}

/** Commands to a running peer, and a fetch by a process of its own, which connects anew. */
export async function compareCommands(part: Part): Promise<void> {
  await withSides(part, async (roles, sides) => {
    const file = join(part.folder, "small.bin");
    const output = join(part.folder, "out");
    writeFileSync(file, "small");
    for (const { peer } of Object.values(sides))
      await roles.ask(["peer", "publish", file, "small.bin", "--data", peer.data]);
    const commands: Record<string, (side: Side) => readonly string[]> = {
      "peer status": ({ peer }) => ["peer", "status", "--data", peer.data],
      "peer list-files": ({ peer }) => ["peer", "list-files", "--data", peer.data],
      "peer fetch of 5 bytes": ({ newcomer }) => ["peer", "fetch", "small.bin", output, ...newcomer],
    };
    for (const [title, argsOf] of Object.entries(commands)) {
      const timed = (side: Side) => async () => {
        rmSync(output, { force: true });
        return (await runTimed([part.binary, ...argsOf(side)])).seconds;
      };
      const runs = [timed(sides.private), timed(sides.plain)] as const;
      await compare(1, ...runs);
      const { ours, theirs, ratio } = await compare(part.rounds * PAIRS_PER_ROUND, ...runs);
      const times = `private ${seconds(median(ours))}, plain ${seconds(median(theirs))}`;
      part.show("command", `${title}: ${times}, ratio ${ratio.toFixed(2)}`);
    }
  });
}

/** 1 to 4 with nothing capped, so that encryption counts. */
export async function comparePrivateSwarms({ binary, folder, rounds, show }: Part): Promise<void> {
  const plain = { ...oneSeeder, bytes: 256 * MiB, leechers: [undefined, undefined, undefined, undefined] };
  const cpu = { private: [] as number[], plain: [] as number[] };
  const run = (kind: keyof typeof cpu) => async () => {
    const measured = await runSwarm(binary, folder, { ...plain, isPrivate: kind === "private" });
    cpu[kind].push(measured.cpuSeconds);
    return measured.seconds;
  };
  const { ours, theirs, ratio } = await compare(rounds, run("private"), run("plain"));
  const cpuRatio = median(cpu.private.map((value, round) => value / cpu.plain[round]!));
  show("swarm", `256 MiB, 1 → 4, uncapped: private ${seconds(median(ours))} (${list(ours)})`);
  show("", `plain ${seconds(median(theirs))} (${list(theirs)}), ratio ${ratio.toFixed(2)}`);
  show(
    "",
    `CPU time of all: ${seconds(median(cpu.private))}, ${seconds(median(cpu.plain))}, ratio ${cpuRatio.toFixed(2)}`,
  );
}

/** What so many connections cost a tracker. */
export async function compareMemory(part: Part): Promise<void> {
  await withSides(part, async (roles, sides) => {
    const invitation = parseInvitation(await invite(roles, sides.private.tracker));
    const membership = await joinSwarm({ invitation, key: await createPrivateKeyPem(), name: "many" });
    const local = () => ({ role: "peer", agent: "bench", address: null }) as const;
    const endpoints = {
      private: memberEndpoint(membership!),
      plain: new Endpoint({ system: realSystem, local }),
    };
    for (const kind of ["private", "plain"] as const) {
      const { pid, address } = sides[kind].tracker;
      const before = memoryOf(pid);
      const connections: Connection[] = [];
      try {
        for (let count = 0; count < SESSIONS; count++)
          connections.push(await endpoints[kind].dial(address as Address, { timeoutMs: DIAL_MS_MAX }));
        const after = memoryOf(pid);
        const each = (after - before) / SESSIONS / 1024;
        const mebibytes = (bytes: number) => (bytes / MiB).toFixed(0);
        part.show(
          "memory",
          `tracker, ${SESSIONS} connections, ${kind}: ${mebibytes(before)} → ${mebibytes(after)} MiB, ${each.toFixed(0)} KiB each`,
        );
      } finally {
        for (const connection of connections) connection.close();
      }
    }
  });
}

/** Resident memory of a process, in bytes. */
function memoryOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) * 1024;
}
