/**
 * `scripts/bench admin`: what the endpoint and the page cost and how fast they are. Status requests while a fetch runs
 * and what they cost that fetch, without and with them in turn; the page in Chromium; its list with 100,000 files, which
 * one connection that speaks the protocol publishes.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import * as v from "valibot";
import { type Address, AddressSchema } from "../../src/core/address.ts";
import { FileNameSchema } from "../../src/core/file-name.ts";
import { ContentIdSchema } from "../../src/core/manifest.ts";
import { PeerIdSchema, publicationKey } from "../../src/core/model.ts";
import { dial } from "../../test/support/endpoint.ts";
import { launchChromium } from "./chromium.ts";
import { missingPackage } from "./debian.ts";
import { GiB, list, makeFile, median, seconds, settle } from "./measure.ts";
import { type Role, Roles } from "./roles.ts";

const filesListed = 100_000;
const publishBatch = 400;
const heartbeatMs = 1000;
const statusLoops = 4;
const name = "bench.bin";

export interface AdminBench {
  readonly binary: string;
  readonly folder: string;
  readonly rounds: number;
  show(where: string, what: string): void;
}

export async function benchAdmin({ binary, folder, rounds, show }: AdminBench): Promise<void> {
  await withRoles(binary, folder, (roles, tracker) => measureStatus(roles, tracker, rounds, show));
  const missing = missingPackage("chromium");
  if (missing !== undefined) return show("page", missing);
  const browser = await launchChromium();
  try {
    await withRoles(binary, folder, async (roles, tracker) => {
      const peer = await roles.peer("viewer", tracker);
      await measurePage(roles, peer, browser, rounds, show);
      await measureList(roles, tracker, peer, browser, show);
    });
  } finally {
    await browser.close();
  }
}

async function withRoles(
  binary: string,
  parent: string,
  use: (roles: Roles, tracker: Role) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(parent, "admin-"));
  const roles = new Roles(binary, folder);
  try {
    await use(roles, await roles.tracker());
  } finally {
    await roles.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

type Show = AdminBench["show"];

/** How the fetching peer's endpoint is used meanwhile. */
const uses = {
  "nobody asks": async () => 0,
  "a page is open": lookAsPage,
  [`${statusLoops} loops of status`]: askStatus,
} as const;

async function measureStatus(roles: Roles, tracker: Role, rounds: number, show: Show): Promise<void> {
  const [seeder, leecher] = [await roles.peer("seeder", tracker), await roles.peer("leecher", tracker)];
  const file = join(roles.folder, name);
  makeFile(file, GiB);
  await roles.ask(["peer", "publish", file, name, "--data", seeder.data]);
  const times: Record<string, number[]> = {};
  const latencies: number[] = [];
  const perSecond: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const turns = Object.entries(uses);
    for (const [use, ask] of round % 2 === 0 ? turns : turns.toReversed()) {
      const output = join(roles.folder, `${use} ${round}`);
      settle(output);
      const leaving = new AbortController();
      const loops = ask(leecher, leaving.signal, latencies);
      const fetched = await roles.ask(["peer", "fetch", name, output, "--json", "--data", leecher.data]);
      leaving.abort();
      const asked = await loops;
      const receipt = JSON.parse(fetched.trimEnd().split("\n").at(-1)!) as {
        duration_ms: number;
        bytes_fetched: number;
      };
      if (asked > 0) perSecond.push(asked / (receipt.duration_ms / 1000));
      times[use] = [...(times[use] ?? []), receipt.duration_ms / 1000];
      // What this peer holds it would copy the next time: the copy goes, and with it the share of it.
      rmSync(output, { force: true });
    }
  }
  const alone = times["nobody asks"]!;
  for (const [use, all] of Object.entries(times)) {
    const ratio = median(all.map((value, round) => value / alone[round]!));
    show(
      use === "nobody asks" ? "1 GiB" : "",
      `${use}: ${seconds(median(all))} (${list(all)}), ratio ${ratio.toFixed(2)}`,
    );
  }
  const sorted = latencies.toSorted((a, b) => a - b);
  const p99 = sorted[Math.floor(sorted.length * 0.99)] ?? 0;
  show("status", `${median(perSecond).toFixed(0)} a second during the fetch, p99 ${p99.toFixed(1)} ms`);
  const idle: number[] = [];
  const leaving = new AbortController();
  setTimeout(() => leaving.abort(), 1000);
  const asked = await askStatus(leecher, leaving.signal, idle);
  show(
    "",
    `${asked} a second otherwise, p99 ${idle.toSorted((a, b) => a - b)[Math.floor(idle.length * 0.99)]!.toFixed(1)} ms`,
  );
}

interface Endpoint {
  readonly url: string;
  readonly headers: Record<string, string>;
}

function endpointOf(role: Role): Endpoint {
  const { url, token } = JSON.parse(readFileSync(join(role.data, "admin.json"), "utf8")) as {
    url: string;
    token: string;
  };
  return { url, headers: { Authorization: `Bearer ${token}` } };
}

/** Asks as fast as it is answered; resolves with how often that was. */
async function askStatus(role: Role, signal: AbortSignal, latencies: number[]): Promise<number> {
  const { url, headers } = endpointOf(role);
  let asked = 0;
  const loop = async () => {
    while (!signal.aborted) {
      const started = performance.now();
      await (await fetch(`${url}/api/status`, { headers })).arrayBuffer();
      latencies.push(performance.now() - started);
      asked++;
    }
  };
  await Promise.all(Array.from({ length: statusLoops }, loop));
  return asked;
}

/** What an open page does: it reads the events, and asks for the status once a second. */
async function lookAsPage(role: Role, signal: AbortSignal): Promise<number> {
  const { url, headers } = endpointOf(role);
  const timer = setInterval(() => fetch(`${url}/api/status`, { headers }).then((answer) => answer.arrayBuffer()), 1000);
  try {
    await (await fetch(`${url}/api/events`, { headers, signal })).arrayBuffer();
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
  } finally {
    clearInterval(timer);
  }
  return 0;
}

async function openPage(roles: Roles, peer: Role, browser: Browser): Promise<{ page: Page; bytes: () => number }> {
  const link = (await roles.ask(["peer", "dashboard", "--data", peer.data])).trim();
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 } });
  const page = await context.newPage();
  const network = await context.newCDPSession(page);
  let received = 0;
  await network.send("Network.enable");
  network.on("Network.loadingFinished", ({ encodedDataLength }) => {
    received += encodedDataLength;
  });
  await page.goto(link);
  await page.getByText("Live", { exact: true }).waitFor();
  return { page, bytes: () => received };
}

async function measurePage(roles: Roles, peer: Role, browser: Browser, rounds: number, show: Show): Promise<void> {
  const times: number[] = [];
  let weight = 0;
  for (let round = 0; round < Math.max(3, rounds); round++) {
    const { page, bytes } = await openPage(roles, peer, browser);
    // From the beginning of the navigation to the moment that the role's first event was there.
    times.push((await page.evaluate<number>("performance.now()")) / 1000);
    weight = bytes();
    await page.context().close();
  }
  show(
    "page",
    `${(weight / 1000).toFixed(1)} kB over the network, aim below 150: ${weight < 150_000 ? "reached" : "NOT REACHED"}`,
  );
  show("", `usable and live after ${seconds(median(times))} (${list(times)})`);
}

async function measureList(roles: Roles, tracker: Role, peer: Role, browser: Browser, show: Show): Promise<void> {
  const publisher = await publishMany(v.parse(AddressSchema, tracker.address));
  try {
    const { page } = await openPage(roles, peer, browser);
    const timed = async (work: () => Promise<unknown>) => {
      const started = performance.now();
      await work();
      return seconds((performance.now() - started) / 1000);
    };
    const rows = page.locator("tbody tr");
    const started = performance.now();
    await page.getByRole("link", { name: "Files" }).click();
    await rows.first().waitFor();
    const first = seconds((performance.now() - started) / 1000);
    await page.getByText(`of ${filesListed.toLocaleString("en")}`).waitFor({ timeout: 120_000 });
    await page.getByText("loaded…").waitFor({ state: "detached", timeout: 120_000 });
    show(
      "list",
      `${filesListed.toLocaleString("en")} files: first rows ${first}, all ${seconds((performance.now() - started) / 1000)}`,
    );
    const search = page.getByRole("searchbox");
    const found = await timed(async () => {
      await search.fill("file 0099999");
      await page
        .getByText("1–1 of 1")
        .or(rows.filter({ hasText: "file 0099999" }))
        .first()
        .waitFor();
    });
    const again = await timed(async () => {
      await search.fill("file 0000001");
      await rows.filter({ hasText: "file 0000001" }).first().waitFor();
    });
    await search.fill("");
    const sorted = await timed(async () => {
      await page.getByRole("button", { name: "Size" }).click();
      await page.locator("th[aria-sort=ascending]").waitFor();
    });
    const turned = await timed(async () => {
      await page.getByRole("button", { name: "Last" }).click();
      await page.getByText(`–${filesListed.toLocaleString("en")} of`).waitFor();
    });
    show("", `search ${found}, the next one ${again}, sort ${sorted}, last page ${turned}`);
    await page.context().close();
  } finally {
    publisher.close();
  }
}

/** One peer that shares as many files, by the protocol alone: there is nothing behind them. */
async function publishMany(tracker: Address): Promise<{ close(): void }> {
  const ask = await dial(tracker, {
    local: { role: "peer", agent: "bench", address: null },
    timeoutMs: 2000,
  });
  const registered = await ask.request<"REQUEST_REGISTER">({
    type: "REQUEST_REGISTER",
    peer_id: v.parse(PeerIdSchema, randomBytes(16).toString("hex")),
    host_name: "bench",
    address: v.parse(AddressSchema, "127.0.0.1:9"),
    advertised: false,
  });
  const heart = setInterval(() => ask.request({ type: "HEARTBEAT" }).catch(() => undefined), heartbeatMs);
  for (let first = 0; first < filesListed; first += publishBatch) {
    const batch = Array.from({ length: publishBatch }, (_, index) => {
      const fname = v.parse(FileNameSchema, `file ${String(first + index).padStart(7, "0")}.bin`);
      return ask.request<"REQUEST_PUBLISH">({
        type: "REQUEST_PUBLISH",
        primary_key: publicationKey(fname, registered.address),
        fname,
        size: 1 + (((first + index) * 7919) % 60_000),
        total_chunknum: 1,
        author_address: registered.address,
        local_file: `./${fname}`,
        content_id: v.parse(ContentIdSchema, randomBytes(32).toString("hex")),
      });
    });
    await Promise.all(batch);
  }
  return {
    close: () => {
      clearInterval(heart);
      ask.close();
    },
  };
}
