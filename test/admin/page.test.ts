/** The page: links that work once, its assets, and clients that are slow or send too much. */
import { describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { answerOf } from "../../src/admin/client.ts";
import { createPeerApp } from "../../src/admin/peer-app.ts";
import { readAdminFile } from "../../src/store/data-folder.ts";
import { openForAll } from "../support/closing.ts";
import { AdminRoles, openPeer, type PeerWithAdmin, requestAs } from "../support/roles.ts";

let roles: AdminRoles;
let peer: PeerWithAdmin;
let url = "";

openForAll(async () => {
  roles = await AdminRoles.open();
  peer = await roles.addPeer("peer");
  url = readAdminFile(peer.data)!.url;
});

const redeem = (code: string) =>
  fetch(`${url}/api/session`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ code }),
  });

describe("a link", () => {
  test("carries its code in the fragment, which gives access once", async () => {
    const link = new URL((await answerOf(peer.client.api.dashboard.$post())).url);
    expect(link.origin).toBe(url);
    expect(link.search).toBe("");
    const code = /^#code=([\w-]{43})$/.exec(link.hash)?.[1] ?? "";
    const { token } = (await (await redeem(code)).json()) as { token: string };
    const status = await fetch(`${url}/api/status`, { headers: { Authorization: `Bearer ${token}` } });
    expect(status.status).toBe(200);
    const again = await redeem(code);
    expect(again.status).toBe(401);
    expect(await again.text()).not.toContain(code);
  });

  test("is not made for a peer that has no endpoint", async () => {
    const app = createPeerApp(await openPeer(), { token: "t", host: "127.0.0.1", onShutdown: () => undefined });
    const answer = await app.request("/api/dashboard", { method: "POST", headers: { Authorization: "Bearer t" } });
    expect(await answer.json()).toMatchObject({ error: { code: "not_running" } });
  });
});

describe("the page", () => {
  test("names its role, and loads nothing from elsewhere and nothing inline", async () => {
    for (const [data, role] of [
      [peer.data, "peer"],
      [roles.trackerData, "tracker"],
    ] as const) {
      const html = await (await fetch(readAdminFile(data)!.url)).text();
      expect(html).toContain(`data-role="${role}"`);
      expect(html).not.toMatch(/https?:|<style|style=|<script(?! type="module" src="\/assets\/)|\son\w+=/);
    }
  });

  test.each(["app.js", "app.css", "icon.svg"])("has its %s, compressed and cached by the browser", async (name) => {
    const get = (headers: Record<string, string> = {}) => fetch(`${url}/assets/${name}`, { headers });
    const full = await get();
    expect(full.status).toBe(200);
    expect(full.headers.get("Content-Encoding")).toBe("br");
    expect(full.headers.get("Content-Security-Policy")).toContain("script-src 'self'");
    const plain = await get({ "Accept-Encoding": "identity" });
    expect(plain.headers.get("Content-Encoding")).toBeNull();
    expect(await full.text()).toBe(await plain.text());
    expect((await get({ "If-None-Match": full.headers.get("ETag")! })).status).toBe(304);
  });

  test("has less than 150 kB, compressed", async () => {
    let bytes = 0;
    for (const name of ["app.js", "app.css", "icon.svg"]) {
      const response = await fetch(`${url}/assets/${name}`, { headers: { "Accept-Encoding": "br" } });
      bytes += Number(response.headers.get("Content-Length"));
    }
    expect(bytes).toBeGreaterThan(10_000);
    expect(bytes).toBeLessThan(150_000);
  });
});

/** What comes back for these bytes until the other side closes, or nothing more is said. */
function say(parts: readonly string[], pauseMs: number): Promise<string> {
  const { hostname, port } = new URL(url);
  const { promise, resolve } = Promise.withResolvers<string>();
  let heard = "";
  const socket = connect(Number(port), hostname, async () => {
    for (const part of parts) {
      socket.write(part);
      await Bun.sleep(pauseMs);
    }
    setTimeout(() => socket.destroy(), 300);
  });
  socket.on("data", (bytes) => {
    heard += bytes.toString();
  });
  socket.on("error", () => undefined);
  socket.on("close", () => resolve(heard));
  return promise;
}

describe("a client", () => {
  test("that sends its body too slowly is closed with 408", async () => {
    const options = { token: "t", host: "127.0.0.1", onShutdown: () => undefined, bodyMsMax: 50 };
    const app = createPeerApp(await openPeer(), options);
    const drops = new ReadableStream<Uint8Array>({
      async pull(controller) {
        controller.enqueue(new TextEncoder().encode(" "));
        await Bun.sleep(20);
      },
    });
    const answer = await app.request("/api/connect", {
      method: "POST",
      headers: { Authorization: "Bearer t", "Content-Type": "application/json" },
      body: drops,
    });
    expect(answer.status).toBe(408);
  });

  test("that sends too large headers or a too large body is refused", async () => {
    const head = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n";
    expect(await say([`${head}\r\n`], 50)).toStartWith("HTTP/1.1 200");
    expect(await say([`${head}X: ${"x".repeat(100_000)}\r\n\r\n`], 50)).not.toContain(" 200 ");
    const large = await requestAs(peer.data, "/api/connect", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: "x".repeat(5_000_000),
    });
    expect(large.status).toBe(413);
  });
});
