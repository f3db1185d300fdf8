/**
 * The dashboard: one HTML page without inline script or style, and its assets. In the executable they come from the folder
 * that scripts/build embeds; from source they are bundled at the first request. They are sent compressed, for slow links.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import type { Context } from "hono";
import { P2pfsError } from "../core/errors.ts";
import { bundlePage, type PageAssets } from "./bundle-page.ts";

/** Base name of the embedded folder. */
export const BUNDLE_FOLDER = "dashboard";

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** The icon: three dots, connected. */
const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0b7285"/><g stroke="#fff" stroke-width="2"><path d="M16 9 9 22h14z" fill="none"/></g><g fill="#fff"><circle cx="16" cy="9" r="4"/><circle cx="9" cy="22" r="4"/><circle cx="23" cy="22" r="4"/></g></svg>`;

interface Asset {
  readonly plain: Uint8Array<ArrayBuffer>;
  readonly brotli: Uint8Array<ArrayBuffer>;
  readonly etag: string;
}

let loading: Promise<ReadonlyMap<string, Asset>> | undefined;

export function respondWithPage(context: Context, role: "tracker" | "peer"): Response {
  return context.html(`<!doctype html>
<html lang="en" data-role="${role}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>p2pfs ${role}</title>
<link rel="icon" href="/assets/icon.svg">
<link rel="stylesheet" href="/assets/app.css">
<script type="module" src="/assets/app.js"></script>
</head>
<body>
<noscript>This page needs JavaScript. Without it: <code>p2pfs ${role} --help</code>.</noscript>
<div id="app"></div>
</body>
</html>
`) as Response;
}

export async function respondWithAsset(context: Context, name: string): Promise<Response> {
  loading ??= loadAssets();
  const asset = (await loading).get(name);
  if (asset === undefined) throw new P2pfsError("not_found", `there is no asset ${name}`);
  const headers = {
    "Content-Type": MEDIA_TYPES[name.slice(name.lastIndexOf("."))] ?? "application/octet-stream",
    ETag: asset.etag,
    Vary: "Accept-Encoding",
    // The browser keeps it but revalidates it each time, so that a new version shows at once.
    "Cache-Control": "no-cache",
  };
  if (context.req.header("if-none-match") === asset.etag) return context.body(null, 304, headers);
  const takesBrotli = /\bbr\b/.test(context.req.header("accept-encoding") ?? "");
  if (!takesBrotli) return context.body(asset.plain, 200, headers);
  return context.body(asset.brotli, 200, { ...headers, "Content-Encoding": "br" });
}

async function loadAssets(): Promise<ReadonlyMap<string, Asset>> {
  const embedded = join(import.meta.dir, BUNDLE_FOLDER);
  const files = existsSync(embedded) ? readAssets(embedded) : await bundlePage(join(import.meta.dir, "ui"));
  const all = [...files, ["icon.svg", new TextEncoder().encode(ICON)] as const];
  return new Map(all.map(([name, bytes]) => [name, assetOf(bytes)]));
}

function readAssets(folder: string): PageAssets {
  return new Map(readdirSync(folder).map((name) => [name, new Uint8Array(readFileSync(join(folder, name)))]));
}

function assetOf(plain: Uint8Array<ArrayBuffer>): Asset {
  const params = { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length };
  return {
    plain,
    brotli: new Uint8Array(brotliCompressSync(plain, { params })),
    etag: `"${createHash("sha256").update(plain).digest("base64url").slice(0, 22)}"`,
  };
}
