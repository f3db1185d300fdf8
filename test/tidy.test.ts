/**
 * The rules of this project that a compiler does not check: which module may import which, what the pure modules must
 * not use, that there are no import cycles, and some on files and documents. Each rule is a function from a file to its faults. It runs over the whole
 * tree, and over canaries that break it, so that a rule that finds nothing any more fails as well.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { Glob } from "bun";

const root = dirname(import.meta.dir);
const SOURCE_LINES_MAX = 400;

/** A file of the project: its path from the root, with forward slashes, and its text. */
interface ProjectFile {
  readonly path: string;
  readonly text: string;
}

/** What is wrong with a file, one sentence each; none where the rule holds. */
type Rule = (file: ProjectFile) => string[];

/** src/README.md lists these dependencies. Every module may import core and itself. */
const dependencies: Readonly<Record<string, readonly string[]>> = {
  main: ["cli"],
  cli: ["admin"],
  admin: ["tracker", "peer", "store", "identity"],
  "admin/ui": [],
  tracker: ["net", "wire", "store", "identity"],
  peer: ["swarm", "disk", "net", "wire", "store", "identity"],
  net: ["wire"],
  wire: [],
  swarm: [],
  disk: ["store"],
  store: ["identity"],
  identity: [],
  core: [],
};

/** Packages that the pure modules may import; other modules are limited by `packageHomes` only. */
const purePackages: Readonly<Record<string, readonly string[]>> = {
  core: ["valibot"],
  swarm: ["valibot"],
  wire: ["valibot", "msgpackr"],
};

/** Packages that only some modules may import. */
const packageHomes: readonly { readonly pattern: RegExp; readonly modules: readonly string[] }[] = [
  { pattern: /^drizzle-/, modules: ["tracker", "peer", "store"] },
  { pattern: /^(?:hono|hono-openapi|@hono\/.*)$/, modules: ["admin", "admin/ui"] },
  { pattern: /^@logtape\//, modules: ["cli"] },
];

const impure: readonly { readonly pattern: RegExp; readonly what: string }[] = [
  { pattern: /(?<![.\w$])Bun\b/, what: "Bun" },
  { pattern: /(?<![.\w$])process\./, what: "process" },
  { pattern: /(?<![.\w$])globalThis\b/, what: "globalThis" },
  { pattern: /(?<![.\w$])Date\b/, what: "the clock (Date)" },
  { pattern: /(?<![.\w$])performance\./, what: "the clock (performance)" },
  { pattern: /(?<![.\w$])Math\.random\b/, what: "randomness (Math.random)" },
  { pattern: /(?<![.\w$])crypto\./, what: "randomness (crypto)" },
  { pattern: /(?<![.\w$])(?:set(?:Timeout|Interval|Immediate)|queueMicrotask)\b/, what: "timers" },
  { pattern: /(?<![.\w$])console\./, what: "console" },
  { pattern: /(?<![.\w$"'])(?:async\s*(?:function|\(|\w+\s*=>|\w+\s*\(|\*)|await\s)/, what: "async and await" },
  { pattern: /(?<![.\w$])Promise\b/, what: "promises" },
  { pattern: /\bimport\.meta\b/, what: "import.meta" },
];

/** Written so that this file does not match them itself. */
const foreign: readonly RegExp[] = [
  /\.\.\/share[d]\b/,
  /(?<![\w)\]])\.librar[y]\b/,
  /\/wor[k]\//,
  /\/roo[t]\//,
  /\/tmp\/tea[m]\b/,
  /\bregistr[y]\.(?:npm|yarn)/,
  /\bnpmj[s]\.(?:org|com)/,
  /_auth[T]oken|artifactor[y]|verdacci[o]/i,
];

/** Rows and decisions as src/requirements.md defines them: `| F1  |`, `- **S1**`, `| 3        |`. */
const definedIds = [
  ...readFileSync(join(root, "src/requirements.md"), "utf8").matchAll(
    /^(?:\| (?<row>[FRDN]\d{1,2}) +\||- \*\*(?<planned>[SCXTO]\d{1,2})\*\*|\| (?<decision>\d) +\|)/gm,
  ),
].map(({ groups }) => groups!.row ?? groups!.planned ?? `decision ${groups!.decision}`);

/** Ids of rows (`R7`, F6–F18) and of decisions (`decisions 3 and 5`) in a text; `%C3` is part of an encoded name. */
function idsIn(text: string): string[] {
  const rows = [...text.matchAll(/(?<![\w%.])[FRDNSCXTO]\d{1,2}(?![\w.]*\w)/g)].map(([id]) => id);
  const decisions = [...text.matchAll(/\bdecisions? \d+(?:(?:, | and )\d+)*/g)]
    .flatMap(([list]) => list.match(/\d+/g)!)
    .map((number) => `decision ${number}`);
  return [...rows, ...decisions];
}

/** Files that a document names, `swarm/picker.ts`, or links to, [wire/README.md](wire/README.md). */
function filesNamedIn(text: string): string[] {
  const named = [...text.matchAll(/`((?:[\w.-]+\/)+[\w.-]+\.(?:tsx?|md|json))`/g)].map(([, path]) => path!);
  const linked = [...text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(([, path]) => path!);
  return [...named, ...linked];
}

const transpilers = {
  ts: new Bun.Transpiler({ loader: "ts", trimUnusedImports: false, deadCodeElimination: false }),
  tsx: new Bun.Transpiler({ loader: "tsx", trimUnusedImports: false, deadCodeElimination: false }),
};

function transpilerOf(file: ProjectFile): Bun.Transpiler {
  return file.path.endsWith("x") ? transpilers.tsx : transpilers.ts;
}

/** The code without types and comments. */
function codeOf(file: ProjectFile): string {
  return transpilerOf(file).transformSync(file.text);
}

interface Import {
  /** A path from the root (`src/core/units.ts`), or a package (`valibot`, `@stricli/core`), or `node:fs`, `bun`. */
  readonly target: string;
  readonly isRelative: boolean;
  readonly isTypeOnly: boolean;
}

/** Every import and re-export, those of types included: the transpiler drops them, so they are spelled as values. */
function importsOf(file: ProjectFile): Import[] {
  const asValues = file.text
    .replace(/\bimport\s+type\b(?=\s*[{*\w])|\bexport\s+type\b(?=\s*[{*])/g, (words) => words.slice(0, 6))
    .replace(/([{,]\s*)type\s+(?=\w)/g, "$1");
  const values = new Set(
    transpilerOf(file)
      .scanImports(file.text)
      .map((found) => found.path),
  );
  const all = transpilerOf(file)
    .scanImports(asValues)
    .map((found) => found.path);
  const inTypes = [...file.text.matchAll(/\bimport\(\s*["']([^"']+)["']\s*\)/g)].map((match) => match[1]!);
  return [...new Set([...all, ...inTypes])].map((specifier) => {
    const isRelative = specifier.startsWith(".");
    const target = isRelative ? posix.join(posix.dirname(file.path), specifier) : packageOf(specifier);
    return { target, isRelative, isTypeOnly: !values.has(specifier) };
  });
}

function packageOf(specifier: string): string {
  const parts = specifier.split("/");
  return specifier.startsWith("@") ? parts.slice(0, 2).join("/") : parts[0]!;
}

/** `core`, `admin/ui`, `main`, …; undefined for what lies outside of src. */
function moduleOf(path: string): string | undefined {
  const [top, module, ...rest] = path.split("/");
  if (top !== "src" || module === undefined) return undefined;
  if (rest.length === 0) return module.replace(/\.tsx?$/, "");
  return module === "admin" && rest.length > 1 && rest[0] === "ui" ? "admin/ui" : module;
}

/** Modules that get time and chance from their composition root, and where the real ones are made. */
const inVirtualTime: readonly string[] = ["net", "tracker", "peer"];
const REAL_SYSTEM = "src/net/system.ts";
const realTimeOrChance =
  /(?<![.\w$])(?:Date\.now|performance\.|Math\.random|Bun\.sleep|set(?:Timeout|Interval|Immediate)\b|random(?:Bytes|UUID)\b)/;

const isPure = (path: string) => Object.hasOwn(purePackages, moduleOf(path) ?? "");

const rules = {
  "modules import what the dependency rules allow": (file) => {
    const from = moduleOf(file.path)!;
    const allowed = dependencies[from];
    if (allowed === undefined) return [`${from} is not a module that the dependency rules name`];
    return importsOf(file)
      .filter(({ isRelative, target }) => isRelative && target !== "package.json")
      .filter(({ target, isTypeOnly }) => {
        const to = moduleOf(target);
        if (to === from || to === "core" || (to !== undefined && allowed.includes(to))) return false;
        return !(from === "admin/ui" && to === "admin" && isTypeOnly);
      })
      .map(({ target }) => `${from} must not import ${target}`);
  },
  "packages stay in their modules": (file) =>
    importsOf(file).flatMap(({ isRelative, target }) => {
      const module = moduleOf(file.path)!;
      const home = packageHomes.find(({ pattern }) => pattern.test(target));
      return isRelative || home === undefined || home.modules.includes(module)
        ? []
        : [`${module} must not use ${target}`];
    }),
  "core, wire and swarm are pure": (file) => {
    const module = moduleOf(file.path)!;
    if (!isPure(file.path)) return [];
    const packages = importsOf(file)
      .filter(({ isRelative, target }) => !isRelative && !purePackages[module]!.includes(target))
      .map(({ target }) => `${module} must not import ${target}`);
    const code = codeOf(file);
    const words = impure
      .filter(({ pattern }) => pattern.test(code))
      .map(({ what }) => `${module} must not use ${what}`);
    const types = /(?<![.\w$*] |[.\w$])Bun\.[A-Z]/.test(file.text) ? [`${module} must not name types of Bun`] : [];
    return [...packages, ...words, ...types];
  },
  "roles can run in virtual time": (file) => {
    if (!inVirtualTime.includes(moduleOf(file.path) ?? "") || file.path === REAL_SYSTEM) return [];
    const real = realTimeOrChance.exec(codeOf(file));
    return real === null ? [] : [`${real[0]} is to come from the System that is handed in`];
  },
  "views of the page keep what is typed": (file) => {
    if (moduleOf(file.path) !== "admin/ui") return [];
    const unsafe = /import \{[^}]*\b(useState|useEffect|useSyncExternalStore)\b[^}]*\} from "hono\/jsx\/dom"/.exec(
      file.text,
    );
    const faults = unsafe === null ? [] : [`${unsafe[1]} is to come from view-state.ts, which says why`];
    for (const view of file.text.split(/^(?=(?:export )?function )/m))
      if (/\buse(?:State|Store|Action|Loaded|FileList|Now|Route)\(/.test(view) && /return \(?\s*<>/.test(view))
        faults.push(
          `${/function (\w+)/.exec(view)?.[1]} has state and several elements at its root; see view-state.ts`,
        );
    return faults;
  },
  "files of src are read in a sitting": (file) => {
    const lines = file.text.split("\n").length - 1;
    return lines > SOURCE_LINES_MAX ? [`${lines} lines; at most ${SOURCE_LINES_MAX}`] : [];
  },
  "files begin with what they are": (file) => {
    const lines = file.text.split("\n");
    const first = lines[0]!.startsWith("#!") ? lines[1]! : lines[0]!;
    return /^(?:\/\*\*|\/\/|# |"""|<!--)/.test(first) ? [] : ["no comment at the head that says what this file is"];
  },
  "nothing refers to one machine": (file) =>
    foreign.flatMap((pattern) => pattern.exec(file.text)?.[0] ?? []).map((found) => `refers to ${found}`),
  "ids can be looked up in src/requirements.md": (file) =>
    idsIn(file.text)
      .filter((id) => !definedIds.includes(id))
      .map((id) => `${id} is not defined`),
  "documents name files that exist": (file) =>
    filesNamedIn(file.text)
      .filter((path) => !["", "src", dirname(file.path)].some((folder) => existsSync(join(root, folder, path))))
      .map((path) => `${path} does not exist`),
  "no test hides": (file) => {
    const code = codeOf(file);
    const faults: string[] = [];
    if (/\b(?:test|it|describe)(?:\.\w+)*\.only\b/.test(code)) faults.push("runs only a part (.only)");
    if (/\bretry\s*:|--retry\b|\brepeats\s*:/.test(code)) faults.push("tries again until it passes (retry)");
    return faults;
  },
} as const satisfies Record<string, Rule>;

type RuleName = keyof typeof rules;

/** Bun keeps an executable in the current folder until it is whole; a test may be building one. */
const notOurs = /^(?:node_modules|dist|\.git)(?:\/|$)|\.bun-build$/;
const isText = /(?:\.(?:tsx?|json|md|toml|css|html|sql|py|svg)|^[^.]+|\/[^.]+|^\.[^/]+|^\.ci\/run)$/;

function readFiles(keep: (path: string) => boolean): ProjectFile[] {
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => !notOurs.test(entry.name))
    .flatMap((entry) => (entry.isDirectory() ? scanFolder(entry.name) : [entry.name]))
    .filter((path) => isText.test(path) && keep(path))
    .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
}

function scanFolder(folder: string): string[] {
  const paths = new Glob("**").scanSync({ cwd: join(root, folder), dot: true, onlyFiles: true });
  return [...paths].map((path) => `${folder}/${path}`);
}

const isSource = (path: string) => /^src\/.*\.tsx?$/.test(path);
const isCode = (path: string) => /^(?:src|test|scripts)\/.*\.(?:tsx?|py)$/.test(path) || /^scripts\/[^./]+$/.test(path);
/** This file is left out: its canaries are what it looks for. */
const isTest = (path: string) => /^test\/.*\.tsx?$/.test(path) && path !== "test/tidy.test.ts";

const scopes: Readonly<Record<RuleName, (path: string) => boolean>> = {
  "modules import what the dependency rules allow": isSource,
  "packages stay in their modules": isSource,
  "core, wire and swarm are pure": isSource,
  "roles can run in virtual time": isSource,
  "views of the page keep what is typed": (path) => isSource(path) && path !== "src/admin/ui/view-state.ts",
  "files of src are read in a sitting": isSource,
  "files begin with what they are": isCode,
  "nothing refers to one machine": () => true,
  "ids can be looked up in src/requirements.md": (path) =>
    /^(?:[A-Z]+\.md$|(?:src|test|scripts|\.github)\/)/.test(path) &&
    path !== "test/tidy.test.ts" &&
    !path.endsWith(".json"),
  "documents name files that exist": (path) => path.endsWith(".md"),
  "no test hides": isTest,
};

/** Files that break a rule; each must be caught. */
const canaries: Readonly<Record<RuleName, readonly ProjectFile[]>> = {
  "modules import what the dependency rules allow": [
    { path: "src/core/a.ts", text: 'import { b } from "../wire/b.ts"; b();' },
    { path: "src/core/a.ts", text: 'import type { B } from "../wire/b.ts"; export type C = B;' },
    { path: "src/core/a.ts", text: 'import { type B } from "../wire/b.ts"; export type C = B;' },
    { path: "src/core/a.ts", text: 'export * from "../wire/b.ts";' },
    { path: "src/core/a.ts", text: 'export type { B } from "../wire/b.ts";' },
    { path: "src/core/a.ts", text: 'export type B = import("../wire/b.ts").B;' },
    { path: "src/peer/a.ts", text: 'const { b } = await import("../tracker/b.ts"); b();' },
    { path: "src/tracker/a.ts", text: 'import { b } from "../disk/b.ts"; b();' },
    { path: "src/admin/ui/a.tsx", text: 'import { b } from "../api.ts"; b();' },
    { path: "src/main.ts", text: 'import { b } from "./peer/b.ts"; b();' },
    { path: "src/cli/a.ts", text: 'import { b } from "../../test/b.ts"; b();' },
    { path: "src/cli/a.ts", text: 'import { b } from "../../scripts/b.ts"; b();' },
    { path: "src/util/a.ts", text: "export const a = 1;" },
  ],
  "packages stay in their modules": [
    { path: "src/cli/a.ts", text: 'import { Hono } from "hono"; new Hono();' },
    { path: "src/peer/a.ts", text: 'import { hc } from "hono/client"; hc("");' },
    { path: "src/tracker/a.ts", text: 'import type { Context } from "hono"; export type C = Context;' },
    { path: "src/admin/a.ts", text: 'import { eq } from "drizzle-orm"; eq();' },
    { path: "src/net/a.ts", text: 'import { drizzle } from "drizzle-orm/bun-sqlite"; drizzle();' },
    { path: "src/admin/a.ts", text: 'import { getLogger } from "@logtape/logtape"; getLogger();' },
  ],
  "core, wire and swarm are pure": [
    { path: "src/core/a.ts", text: 'import { readFileSync } from "node:fs"; readFileSync("");' },
    { path: "src/core/a.ts", text: 'import type { Socket } from "bun"; export type S = Socket;' },
    { path: "src/core/a.ts", text: 'import { pack } from "msgpackr"; pack(1);' },
    { path: "src/swarm/a.ts", text: 'import { pack } from "msgpackr"; pack(1);' },
    { path: "src/wire/a.ts", text: 'import { blake3 } from "@napi-rs/blake-hash"; blake3("");' },
    { path: "src/wire/a.ts", text: 'export const a = Bun.hash("");' },
    { path: "src/wire/a.ts", text: "export function a(socket: Bun.Socket) { return socket; }" },
    { path: "src/swarm/a.ts", text: "export const a = () => Date.now();" },
    { path: "src/swarm/a.ts", text: "export const a = new Date();" },
    { path: "src/swarm/a.ts", text: "export const a = () => performance.now();" },
    { path: "src/swarm/a.ts", text: "export const a = Math.random();" },
    { path: "src/swarm/a.ts", text: "export const a = crypto.randomUUID();" },
    { path: "src/swarm/a.ts", text: "setTimeout(() => {}, 1);" },
    { path: "src/swarm/a.ts", text: "queueMicrotask(() => {});" },
    { path: "src/swarm/a.ts", text: 'console.error("a");' },
    { path: "src/swarm/a.ts", text: "export async function a() {}" },
    { path: "src/swarm/a.ts", text: "export const a = async () => 1;" },
    { path: "src/swarm/a.ts", text: "export class A { async run() {} }" },
    { path: "src/swarm/a.ts", text: "export const a = await b;" },
    { path: "src/swarm/a.ts", text: "export const a = Promise.resolve(1);" },
    { path: "src/core/a.ts", text: "export const a = process.env.HOME;" },
    { path: "src/core/a.ts", text: "export const a = globalThis;" },
    { path: "src/core/a.ts", text: "export const a = import.meta.dir;" },
  ],
  "roles can run in virtual time": [
    { path: "src/peer/a.ts", text: "export const a = performance.now();" },
    { path: "src/tracker/a.ts", text: "export const a = Date.now();" },
    { path: "src/net/a.ts", text: "setTimeout(() => {}, 1);" },
    { path: "src/peer/a.ts", text: "export const a = Math.random();" },
    { path: "src/peer/a.ts", text: 'import { randomBytes } from "node:crypto"; randomBytes(1);' },
    { path: "src/tracker/a.ts", text: 'import { setImmediate } from "node:timers/promises"; await setImmediate();' },
  ],
  "views of the page keep what is typed": [
    { path: "src/admin/ui/a.tsx", text: 'import { useId, useState } from "hono/jsx/dom"; useState(useId());' },
    {
      path: "src/admin/ui/a.tsx",
      text: "function A() {\n  useState(0);\n  return (\n    <>\n      <p /><p />\n    </>\n  );\n}",
    },
  ],
  "files of src are read in a sitting": [{ path: "src/core/a.ts", text: "//\n".repeat(SOURCE_LINES_MAX + 1) }],
  "files begin with what they are": [
    { path: "src/core/a.ts", text: 'import * as v from "valibot";\n// later\n' },
    { path: "scripts/a", text: "#!/bin/sh\nset -eu\n" },
  ],
  "nothing refers to one machine": [
    { path: "README.md", text: ["See ..", "shared", "a.md"].join("/") },
    { path: "README.md", text: ["", "work", "main"].join("/") },
    { path: "README.md", text: ["", "root", "a"].join("/") },
    { path: "README.md", text: `${".libr"}ary` },
    { path: "bun.lock", text: `https://registry.${"npm"}js.org/a` },
  ],
  "ids can be looked up in src/requirements.md": [
    { path: "src/core/a.ts", text: "/** Not within the time of R99. */" },
    { path: "src/core/a.ts", text: "// decisions 3 and 99" },
    { path: "test/a.test.ts", text: 'test("F99, R7: a", () => {});' },
    { path: "README.md", text: "all of F6–F99" },
    { path: "src/README.md", text: "as S99 says." },
  ],
  "documents name files that exist": [
    { path: "src/README.md", text: "as `swarm/none.ts` says" },
    { path: "src/README.md", text: "see [there](wire/NONE.md#1)" },
  ],
  "no test hides": [
    { path: "test/a.test.ts", text: 'test.only("a", () => {});' },
    { path: "test/a.test.ts", text: 'describe.concurrent.only("a", () => {});' },
    { path: "test/a.test.ts", text: 'test("a", () => {}, { retry: 3 });' },
  ],
};

/** Files that look like breaking a rule and do not. */
const innocents: Readonly<Partial<Record<RuleName, readonly ProjectFile[]>>> = {
  "modules import what the dependency rules allow": [
    { path: "src/admin/ui/a.tsx", text: 'import type { Api } from "../api.ts"; export type A = Api;' },
    { path: "src/cli/a.ts", text: 'import { version } from "../../package.json"; version;' },
    { path: "src/net/a.ts", text: '// import "../peer/a.ts"\nimport { a } from "../wire/a.ts"; a();' },
  ],
  "ids can be looked up in src/requirements.md": [
    { path: "src/core/a.ts", text: "// F17, decisions 4 and 5, R7; all of F6–F18" },
    { path: "test/a.test.ts", text: 'parseTicket("p2pfs://localhost:7700/%C9"); const hex = "0xF99 D99ab";' },
  ],
  "documents name files that exist": [
    {
      path: "README.md",
      text: "`src/core/units.ts`, [this](src/README.md#glossary), [that](https://example.org/a.md)",
    },
    { path: "src/wire/README.md", text: "`core/units.ts` and [the map](../README.md)" },
  ],
  "core, wire and swarm are pure": [
    {
      path: "src/swarm/a.ts",
      text: "/** Never calls Date.now, Bun or setTimeout; await nothing. */\nexport const a = (now: number) => now;",
    },
  ],
};

/** Nodes that reach themselves, each cycle once, from its first node in the order of the alphabet. */
function cyclesIn(edges: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const cycles: string[] = [];
  const done = new Set<string>();
  function visit(node: string, path: readonly string[]): void {
    const begin = path.indexOf(node);
    if (begin >= 0) cycles.push([...path.slice(begin), node].join(" → "));
    if (begin >= 0 || done.has(node)) return;
    for (const next of edges.get(node) ?? []) visit(next, [...path, node]);
    done.add(node);
  }
  for (const node of [...edges.keys()].toSorted()) visit(node, []);
  return cycles;
}

/** The imports among these files, those of types and those of `import(…)` included. */
function importGraph(files: readonly ProjectFile[]): Map<string, Set<string>> {
  const paths = new Set(files.map(({ path }) => path));
  const targetsOf = (file: ProjectFile) => importsOf(file).map(({ target }) => target);
  return new Map(files.map((file) => [file.path, new Set(targetsOf(file).filter((target) => paths.has(target)))]));
}

/** The same among folders. A folder and what lies below it count as one part of the program, and may refer to each other. */
function folderGraph(files: readonly ProjectFile[]): Map<string, Set<string>> {
  const isWithin = (one: string, other: string) => `${one}/`.startsWith(`${other}/`);
  const edges = new Map<string, Set<string>>();
  for (const [path, targets] of importGraph(files)) {
    const from = dirname(path);
    const others = [...targets].map((target) => dirname(target));
    const apart = others.filter((to) => !isWithin(from, to) && !isWithin(to, from));
    edges.set(from, new Set([...(edges.get(from) ?? []), ...apart]));
  }
  return edges;
}

describe("no import cycles", () => {
  const importing = (path: string, ...lines: string[]): ProjectFile => ({
    path: `src/${path}`,
    text: lines.join("\n"),
  });

  test("among the files of src", () => expect(cyclesIn(importGraph(readFiles(isSource)))).toEqual([]));

  test("among the folders of src", () => expect(cyclesIn(folderGraph(readFiles(isSource)))).toEqual([]));

  test.each([
    ['import { b } from "./b.ts"; b();'],
    ['import type { B } from "./b.ts"; export type A = B;'],
    ['export const load = () => import("./b.ts");'],
  ])("a cycle by %p is found", (line) => {
    const files = [importing("cli/a.ts", line), importing("cli/b.ts", 'export * from "./a.ts";')];
    expect(cyclesIn(importGraph(files))).toEqual(["src/cli/a.ts → src/cli/b.ts → src/cli/a.ts"]);
  });

  test("a cycle of folders whose files have none is found, a folder below another is none", () => {
    const files = [
      importing("net/a.ts", 'export * from "../wire/a.ts";'),
      importing("wire/a.ts"),
      importing("wire/b.ts", 'export * from "../net/b.ts";', 'export * from "./parts/c.ts";'),
      importing("wire/parts/c.ts", 'export * from "../a.ts";'),
      importing("net/b.ts"),
    ];
    expect(cyclesIn(importGraph(files))).toEqual([]);
    expect(cyclesIn(folderGraph(files))).toEqual(["src/net → src/wire → src/net"]);
  });
});

const topLevel = [
  "src",
  "test",
  "scripts",
  "package.json",
  "bunfig.toml",
  "README.md",
  "CHANGELOG.md",
  "bun.lock",
  "tsconfig.json",
  "biome.json",
  "LICENSE",
  // Made by the tools and ignored by git.
  "node_modules",
  "dist",
];

for (const name of Object.keys(rules) as RuleName[]) {
  describe(name, () => {
    const rule: Rule = rules[name];

    test("in the whole tree", () => {
      const files = readFiles(scopes[name]);
      expect(files.length).toBeGreaterThan(0);
      expect(files.flatMap((file) => rule(file).map((fault) => `${file.path}: ${fault}`))).toEqual([]);
    });

    test.each(canaries[name].map((file) => [file.text.slice(0, 80).replace(/\s+/g, " "), file] as const))(
      "catches %s",
      (_, file) => {
        expect(scopes[name](file.path)).toBe(true);
        expect(rule(file)).not.toEqual([]);
      },
    );

    for (const file of innocents[name] ?? []) {
      test(`lets ${file.path} pass: ${file.text.slice(0, 60).replace(/\s+/g, " ")}`, () =>
        expect(rule(file)).toEqual([]));
    }
  });
}

test("every module is checked", () => {
  const modules = new Set(readFiles(isSource).map((file) => moduleOf(file.path)));
  expect([...modules].filter((module) => module === undefined || !(module in dependencies))).toEqual([]);
  expect(modules.has("core") && modules.has("wire") && modules.has("swarm")).toBe(true);
});

test("src/requirements.md defines every id once, and those of a family in order", () => {
  const families = Map.groupBy(definedIds, (id) => id.replace(/\d+$/, ""));
  expect([...families.keys()]).toEqual([..."FRDNSCXTO", "decision "]);
  for (const [family, ids] of families) {
    const first = family === "decision " ? 0 : 1;
    expect(ids).toEqual(ids.map((_, index) => `${family}${first + index}`));
  }
});

test("the top level has the files that are listed here and no others", () => {
  const others = readdirSync(root).filter((name) => !name.startsWith(".") && !topLevel.includes(name));
  expect(others).toEqual([]);
});
