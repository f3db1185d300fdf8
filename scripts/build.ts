/**
 * Makes dist/p2pfs: the whole product in one executable that needs nothing beside it. Whitespace and syntax are
 * minified; identifiers are not, because names of classes and functions show in messages. Settings files of the
 * folder that the executable happens to run in must not change it, so their loading is off.
 */
import { mkdir, mkdtemp, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { type BunPlugin, Glob } from "bun";
import { bundlePage } from "../src/admin/bundle-page.ts";
import { BUNDLE_FOLDER } from "../src/admin/page.ts";

const root = dirname(import.meta.dir);
const MiB = 1024 * 1024;

/** The native BLAKE3 of each platform; only that of this machine goes in, the others would make the file larger. */
const addons: Readonly<Record<string, string>> = {
  "linux-x64": "@napi-rs/blake-hash-linux-x64-gnu",
  "linux-arm64": "@napi-rs/blake-hash-linux-arm64-gnu",
  "darwin-x64": "@napi-rs/blake-hash-darwin-x64",
  "darwin-arm64": "@napi-rs/blake-hash-darwin-arm64",
};

/**
 * The package's own loader tries fourteen platforms, then the file system; and what Bun does for an embedded addon is
 * to load whatever lies under a known name in the temp folder. The executable loads the one that it has inside.
 */
const embeddedAddon: BunPlugin = {
  name: "embedded addon",
  setup(build) {
    const addon = addons[`${process.platform}-${process.arch}`];
    if (addon === undefined) throw new Error(`no native BLAKE3 for ${process.platform}-${process.arch}`);
    build.onLoad({ filter: /[/\\]@napi-rs[/\\]blake-hash[/\\]index\.js$/ }, ({ path }) => ({
      loader: "js",
      contents: `
        import { loadEmbeddedAddon } from ${JSON.stringify(join(root, "src/disk/embedded-addon.ts"))};
        import path from ${JSON.stringify(Bun.resolveSync(addon, dirname(path)))} with { type: "file" };
        export const { blake3 } = loadEmbeddedAddon(path);`,
    }));
  },
};

/** Folders of migrations, wherever they lie in src. They land in the executable under their base names. */
async function migrationFolders(): Promise<string[]> {
  const journals = await Array.fromAsync(new Glob("src/**/meta/_journal.json").scan(root));
  const folders = journals.map((journal) => dirname(dirname(journal))).toSorted();
  const names = folders.map((folder) => basename(folder));
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw new Error(`two folders of migrations are called ${twice}; they would overwrite each other`);
  return folders.map((folder) => join(root, folder));
}

/** The dashboard, bundled into this folder; it lands in the executable under its base name. */
async function pageFolder(parent: string): Promise<string> {
  const folder = join(parent, BUNDLE_FOLDER);
  await mkdir(folder);
  for (const [name, bytes] of await bundlePage(join(root, "src/admin/ui"))) await writeFile(join(folder, name), bytes);
  return folder;
}

/** Makes the executable; `outfile` is replaced only when it is whole. */
export async function build(
  outfile = join(root, "dist/p2pfs"),
  entrypoint = join(root, "src/main.ts"),
): Promise<string> {
  const started = performance.now();
  await mkdir(dirname(outfile), { recursive: true });
  // Built aside and renamed, so that nobody starts half a file; the base name goes into the executable.
  const folder = await mkdtemp(join(dirname(outfile), ".build-"));
  const partial = join(folder, basename(outfile));
  try {
    await Bun.build({
      entrypoints: [entrypoint],
      target: "bun",
      format: "esm",
      minify: { whitespace: true, syntax: true, identifiers: false },
      // What one command does not use is not even parsed: --version takes a third of the time.
      splitting: true,
      sourcemap: "none",
      plugins: [embeddedAddon],
      compile: {
        outfile: partial,
        assets: [...(await migrationFolders()), await pageFolder(folder)],
        autoloadDotenv: false,
        autoloadBunfig: false,
        autoloadTsconfig: false,
        autoloadPackageJson: false,
      },
    });
    await rename(partial, outfile);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const { size } = await stat(outfile);
  console.error(
    `built ${outfile}: ${(size / MiB).toFixed(0)} MiB in ${((performance.now() - started) / 1000).toFixed(1)} s`,
  );
  return outfile;
}

if (import.meta.main) await build(process.argv[2]);
