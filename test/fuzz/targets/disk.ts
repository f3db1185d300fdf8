/** What lies on disks, where others can write, and where a crash or a fault can damage it. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import * as v from "valibot";
import { History } from "../../../src/cli/history.ts";
import { FileNameSchema } from "../../../src/core/file-name.ts";
import { chunkCountOf, contentIdOf, encodeManifest } from "../../../src/core/manifest.ts";
import { KiB } from "../../../src/core/units.ts";
import { digest } from "../../../src/disk/blake3.ts";
import { BufferPool } from "../../../src/disk/buffer-pool.ts";
import { ChunkChecker } from "../../../src/disk/chunk-checker.ts";
import { destinationOf } from "../../../src/disk/destination.ts";
import { hashFile } from "../../../src/disk/hash-file.ts";
import { decodeJournal, encodeHeader, encodeRecord } from "../../../src/disk/journal.ts";
import { PartFile } from "../../../src/disk/part-file.ts";
import { partPathsFor } from "../../../src/disk/part-paths.ts";
import { realSystem, systemClock } from "../../../src/net/system.ts";
import { openRepository } from "../../../src/peer/repository.ts";
import { readAdminFile } from "../../../src/store/data-folder.ts";
import { openSqliteRegistry, SqliteRegistry } from "../../../src/tracker/sqlite-registry.ts";
import { randomBytes } from "../../support/bytes.ts";
import { mutated, oneOf } from "../mutation.ts";
import { assert, assertEqual, confined, decode, encode, reading, readingLater, type Target } from "../target.ts";
import { manifests } from "./core.ts";

let made: string | undefined;

/** A folder for all targets of this file, which is removed in the end. */
function folder(): string {
  if (made === undefined) {
    made = mkdtempSync(join(tmpdir(), "p2pfs-fuzz-"));
    const path = made;
    process.on("exit", () => rmSync(path, { recursive: true, force: true }));
  }
  return made;
}

const journaled = manifests[3]!;
const journaledId = contentIdOf(journaled, digest);

function journalWith(...records: readonly (readonly ["epoch" | "chunk" | "placing", bigint])[]): Uint8Array {
  return journalOf(journaled, records);
}

function journalOf(
  manifest: Uint8Array,
  records: readonly (readonly ["epoch" | "chunk" | "placing", bigint])[],
): Uint8Array {
  let bytes = encodeHeader(contentIdOf(manifest, digest), manifest);
  for (const [kind, value] of records)
    bytes = Uint8Array.from([...bytes, ...encodeRecord({ kind, value }, bytes.length)]);
  return bytes;
}

const journal: Target = {
  name: "journal",
  inputs: () => [
    journalWith(),
    journalWith(["epoch", 7n], ["chunk", 0n], ["chunk", 40n], ["placing", 0n]),
    new Uint8Array(64),
  ],
  /** Whole records too, whose checksums are right. */
  mutate(input, how) {
    if (how.random() < 0.6) return mutated(input, how);
    const kind = oneOf(["epoch", "chunk", "placing"] as const, how.random);
    const value = BigInt(Math.floor(2 ** oneOf([3, 6, 40], how.random) * how.random()));
    const place = how.random() < 0.8 ? input.length : input.length + 16;
    return Uint8Array.from([...input, ...encodeRecord({ kind, value }, place)]);
  },
  run(input) {
    const read = confined(input, (bytes) => decodeJournal(bytes, journaledId));
    if (typeof read === "string") return read;
    if (read.manifest === undefined) return "damaged";
    assert(contentIdOf(encodeManifest(read.manifest), digest) === journaledId, "it has another manifest");
    const end = read.recordsEnd ?? 0;
    assert(end <= input.length, "the next record would leave a gap");
    for (let place = journalWith().length; place < end; place += RECORD_BYTES)
      assert(isRecordAt(input, place), `the record at ${place} is none`);
    for (const chunk of read.claims) assert(Number.isSafeInteger(chunk) && chunk >= 0, `it claims the chunk ${chunk}`);
    return `${read.damaged} ${read.placing} ${read.epoch !== undefined} ${Math.min(read.claims.size, 3)}`;
  },
};

const RECORD_BYTES = 16;

/** As the format says, and not as the program does it: the checksum is that of this place. */
function isRecordAt(bytes: Uint8Array, place: number): boolean {
  const record = bytes.slice(place, place + RECORD_BYTES);
  return new DataView(record.buffer).getUint32(12) === crc32(record.subarray(0, 12), place);
}

const content = randomBytes(150 * KiB, 5);

/** The journal and the part file that an earlier process left, and what is made of them: a 16 bit length between. */
const unfinished: Target = {
  name: "unfinished fetch",
  isSlow: true,
  async inputs() {
    const { manifestBytes } = await hashed();
    const both = (journalBytes: Uint8Array, part: Uint8Array) =>
      Uint8Array.from([journalBytes.length >> 8, journalBytes.length & 0xff, ...journalBytes, ...part]);
    const records = [
      ["epoch", 7n],
      ["chunk", 0n],
      ["chunk", 2n],
    ] as const;
    return [
      both(journalOf(manifestBytes, []), new Uint8Array(0)),
      both(journalOf(manifestBytes, records), content),
      both(journalOf(manifestBytes, [...records, ["chunk", 99n], ["placing", 0n]]), content),
      both(new Uint8Array(0), content),
    ];
  },
  async run(input) {
    const { manifest, manifestBytes, contentId } = await hashed();
    const destination = join(folder(), "unfinished", "file");
    rmSync(dirname(destination), { recursive: true, force: true });
    mkdirSync(dirname(destination));
    const paths = partPathsFor(destination, contentId);
    const length = ((input[0] ?? 0) << 8) | (input[1] ?? 0);
    writeFileSync(paths.journal, input.subarray(2, 2 + length));
    writeFileSync(paths.part, input.subarray(2 + length));
    const left = PartFile.left(destination, contentId);
    if (left !== undefined) assertEqual(left.manifestBytes, manifestBytes, "it has another manifest");
    const { value: part, outcome } = await readingLater(["refused", "disk"], () =>
      PartFile.open({ destination, contentId, manifest }),
    );
    if (part === undefined) return outcome;
    const checker = new ChunkChecker(new BufferPool(0), systemClock);
    const doubtful = part.doubtful.count;
    await part.check(checker, { proven: () => {}, lost: () => {} });
    const proven = part.have.count;
    for (let chunk = 0; chunk < chunkCountOf(manifest); chunk++)
      await part.write(chunk, content.slice(chunk * manifest.chunkSize, (chunk + 1) * manifest.chunkSize));
    await part.finish();
    assert(Buffer.compare(readFileSync(destination), content) === 0, "the file has other bytes than its content");
    return `${doubtful} doubtful, ${proven} proven`;
  },
};

let hashedContent: ReturnType<typeof hashFile> | undefined;

function hashed() {
  const path = join(folder(), "content");
  if (hashedContent === undefined) writeFileSync(path, content);
  hashedContent ??= hashFile(path);
  return hashedContent;
}

const adminFile: Target = {
  name: "admin.json",
  inputs: () => [encode(`${JSON.stringify({ url: "http://127.0.0.1:7701", token: "x".repeat(43) })}\n`)],
  run(input) {
    writeFileSync(join(folder(), "admin.json"), input);
    const admin = readAdminFile(folder());
    if (admin === undefined) return "refused";
    assert(URL.canParse(admin.url) && typeof admin.token === "string", "it leads nowhere");
    return "accepted";
  },
};

const history: Target = {
  name: "history",
  inputs: () => [encode("list-files\nfetch 'a b'\n")],
  run(input) {
    writeFileSync(join(folder(), "history"), input);
    const lines = new History(folder()).load();
    assert(
      lines.every((line) => line !== "" && !line.includes("\n")),
      "a line of the history is none",
    );
    return `${Math.min(lines.length, 4)} lines`;
  },
};

/** Names of others, in a folder with links that lead out of it. */
const destination: Target = {
  name: "destination",
  inputs: () => ["report.pdf", "out", "dangling", "loop", "inside", "..", ".", "a/b", "sub"].map(encode),
  run(input) {
    const parsed = v.safeParse(FileNameSchema, decode(input));
    if (!parsed.success) return "refused";
    const files = join(folder(), "files");
    if (made !== undefined && !readdirSync(folder()).includes("files")) makeLinks(files);
    const { value, outcome } = reading(["refused", "disk"], () => destinationOf(parsed.output, undefined, files));
    if (value === undefined) return outcome;
    assert(dirname(value) === files && basename(value) === parsed.output, `it leads to ${value}`);
    assert(!["out", "dangling", "loop"].includes(parsed.output), "a link leads out of the folder");
    return outcome;
  },
};

function makeLinks(files: string): void {
  mkdirSync(join(files, "sub"), { recursive: true });
  writeFileSync(join(files, "target"), "");
  for (const [name, target] of [
    ["out", "/etc/hostname"],
    ["dangling", "../elsewhere"],
    ["loop", "loop"],
    ["inside", "target"],
  ] as const)
    symlinkSync(target, join(files, name));
}

/** A whole database would be a large input: this is where in it which byte is another. */
const database = (name: "registry" | "repository"): Target => {
  let sound: Uint8Array | undefined;
  const path = () => join(folder(), `${name}.sqlite`);
  const open = () =>
    name === "registry"
      ? openSqliteRegistry({ path: path(), clock: systemClock, random: realSystem.random })
      : openRepository(path());
  return {
    name: `${name} database`,
    isSlow: true,
    inputs: () => [Uint8Array.of(0, 0, 0), Uint8Array.of(0, 18, 2), Uint8Array.of(16, 1, 0xff), Uint8Array.of(9, 9, 9)],
    async run(input) {
      for (const ending of ["", "-wal", "-shm"]) rmSync(`${path()}${ending}`, { force: true });
      if (sound === undefined) {
        const opened = await open();
        await opened.close();
        sound = new Uint8Array(readFileSync(path()));
      }
      const damaged = sound.slice();
      for (let at = 0; at + 2 < input.length; at += 3)
        damaged[((input[at]! << 8) | input[at + 1]!) % damaged.length]! ^= input[at + 2]!;
      writeFileSync(path(), damaged);
      const { value, outcome } = await readingLater(["disk"], async () => {
        const opened = await open();
        try {
          if (opened instanceof SqliteRegistry) await opened.listPeers(null);
          else opened.shares();
        } finally {
          await opened.close();
        }
        return true;
      });
      return value === undefined ? outcome : "accepted";
    },
  };
};

export const diskTargets = [
  journal,
  unfinished,
  adminFile,
  history,
  destination,
  database("registry"),
  database("repository"),
];
