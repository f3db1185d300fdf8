/**
 * Bundles the page from its sources in ui/. scripts/build calls this and embeds the result; a role that runs from source
 * calls it at the first request for the page. So both serve the same bytes.
 */
import { join } from "node:path";
import { P2pfsError } from "../core/errors.ts";

/** What the page is made of, by file name: one script, one style sheet. */
export type PageAssets = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

/** @param uiFolder holds main.tsx */
export async function bundlePage(uiFolder: string): Promise<PageAssets> {
  const built = await Bun.build({
    entrypoints: [join(uiFolder, "main.tsx")],
    target: "browser",
    format: "esm",
    minify: true,
    sourcemap: "none",
    naming: "app.[ext]",
    define: { "process.env.NODE_ENV": '"production"' },
    throw: false,
  });
  if (!built.success) throw new P2pfsError("internal", `the page cannot be bundled:\n${built.logs.join("\n")}`);
  const assets = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const output of built.outputs)
    assets.set(output.path.replace(/^.*[/\\]/, ""), new Uint8Array(await output.arrayBuffer()));
  return assets;
}
