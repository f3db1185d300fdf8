/** The data folder of a role: its place, the lock that gives it to one process at a time, and its small files. */
import type { Database } from "bun:sqlite";
import { accessSync, chmodSync, constants, mkdirSync, type Stats, statSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import * as v from "valibot";
import { PortSchema } from "../core/address.ts";
import type { Random } from "../core/clock.ts";
import { diskError, errnoOf } from "../core/disk-error.ts";
import { P2pfsError } from "../core/errors.ts";
import { type PeerSecret, PeerSecretSchema } from "../core/model.ts";
import { damagedDatabase } from "./damage.ts";
import { lockFolder } from "./folder-lock.ts";
import { MembershipFiles } from "./membership-files.ts";
import { plantingFault, replaceableAt } from "./other-users.ts";
import { readCheckedFile, readSecretFile, readTextFile, removeFile, replaceFile } from "./small-file.ts";

/** 128 bits. */
const PEER_SECRET_BYTES = 16;

export type Role = "tracker" | "peer";

export interface DataFolderOptions {
  readonly role: Role;
  /** The folder as the user named it, by flag or environment; the role's default folder if undefined. */
  readonly flag?: string | undefined;
}

/** How a one-shot command finds and addresses the running role. */
export const AdminFileSchema = v.object({
  url: v.pipe(v.string(), v.url()),
  token: v.pipe(v.string(), v.minLength(1)),
});
export type AdminFile = v.InferOutput<typeof AdminFileSchema>;

/** The ports that a role keeps over restarts if the user did not choose them. */
export type PortName = "listen" | "admin";

const ADMIN_FILE = "admin.json";
const PEER_SECRET_FILE = "peer-secret";
const portFileOf = { listen: "port", admin: "admin-port" } as const satisfies Record<PortName, string>;
const databaseFileOf = { tracker: "registry.sqlite", peer: "repository.sqlite" } as const satisfies Record<
  Role,
  string
>;

/** The absolute path of the data folder, which need not exist. Makes nothing. */
export function resolveDataFolder({ role, flag }: DataFolderOptions): string {
  if (flag !== undefined && flag !== "") return resolve(flag);
  const stateHome = process.env.XDG_STATE_HOME;
  // The XDG specification says that relative paths are to be ignored.
  const base = stateHome?.startsWith("/") ? stateHome : join(homedir(), ".local", "state");
  return join(base, "p2pfs", role);
}

/**
 * The admin.json of the running role, or of one that was killed; undefined if there is none that can be used. Throws
 * `disk` where another user could have made it: commands would go wherever it says.
 */
export function readAdminFile(folder: string): AdminFile | undefined {
  const text = readCheckedFile(join(folder, ADMIN_FILE), isRoot() ? () => undefined : plantingFault);
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), AdminFileSchema), text);
  return parsed.success ? parsed.output : undefined;
}

export function randomPeerSecret(random: Random): PeerSecret {
  return v.parse(PeerSecretSchema, random.bytes(PEER_SECRET_BYTES).toHex());
}

/**
 * Makes the folder if it is missing and locks it for this process, without waiting.
 * Throws `already_running` while another process has it, `disk` if it cannot be used.
 */
export function openDataFolder(options: DataFolderOptions): DataFolder {
  const path = resolveDataFolder(options);
  makeFolder(path);
  const folder = new DataFolder(options.role, path, lockFolder(path));
  try {
    assertNotCut(folder);
    return folder;
  } catch (thrown) {
    folder.close();
    throw thrown;
  }
}

/** Throws for an empty database where the role has run before: SQLite would take it for a new one, and start anew. */
function assertNotCut(folder: DataFolder): void {
  const stats = statSync(folder.databasePath, { throwIfNoEntry: false });
  if (stats?.size === 0 && folder.rememberedPort("admin") !== undefined)
    throw damagedDatabase(folder.databasePath, "it is empty");
}

export class DataFolder {
  readonly role: Role;
  /** Absolute. */
  readonly path: string;
  readonly membership: MembershipFiles;
  readonly #lock: Database;

  constructor(role: Role, path: string, lock: Database) {
    this.role = role;
    this.path = path;
    this.membership = new MembershipFiles(path);
    this.#lock = lock;
  }

  /** A folder above this one in which other users could put another one in its place; undefined if there is none. */
  get replaceableAt(): string | undefined {
    return replaceableAt(this.path);
  }

  get databasePath(): string {
    return join(this.path, databaseFileOf[this.role]);
  }

  /** The secret from which the peer of this folder derives its ids. A damaged one is an error and is not replaced. */
  readOrCreatePeerSecret(random: Random): PeerSecret {
    const path = join(this.path, PEER_SECRET_FILE);
    const text = readSecretFile(path);
    if (text === undefined) {
      const created = randomPeerSecret(random);
      replaceFile(path, `${created}\n`, { durable: true });
      return created;
    }
    const parsed = v.safeParse(PeerSecretSchema, text.trim());
    if (parsed.success) return parsed.output;
    throw new P2pfsError("disk", `the peer's secret in ${path} is damaged`, {
      hint: "remove the file to join as a new peer; the old one's shares then leave the lists",
    });
  }

  /** The port that was used last; undefined if none is known. */
  rememberedPort(name: PortName): number | undefined {
    const text = readTextFile(join(this.path, portFileOf[name]))?.trim();
    const parsed = v.safeParse(v.pipe(PortSchema, v.minValue(1)), text ? Number(text) : undefined);
    return parsed.success ? parsed.output : undefined;
  }

  rememberPort(name: PortName, port: number): void {
    if (this.rememberedPort(name) === port) return;
    replaceFile(join(this.path, portFileOf[name]), `${port}\n`);
  }

  /** Replaces the file at once; only its owner can read it. */
  writeAdminFile(admin: AdminFile): void {
    replaceFile(join(this.path, ADMIN_FILE), `${JSON.stringify(admin)}\n`);
  }

  removeAdminFile(): void {
    removeFile(join(this.path, ADMIN_FILE));
  }

  /** Releases the folder. Its databases must be closed before. */
  close(): void {
    this.#lock.close();
  }
}

/** Root commands the roles of all users. */
function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

function makeFolder(path: string): void {
  const attempt = `cannot use the data folder ${path}`;
  const stats = makeAndLookAt(path, attempt);
  if (!stats.isDirectory()) throw new P2pfsError("disk", `${attempt}: it is not a folder`);
  // Root could write there, but would leave files that their owner cannot use.
  if (process.getuid !== undefined && stats.uid !== process.getuid()) {
    const hint = "name a folder of your own with --data";
    throw new P2pfsError("disk", `${attempt}: it belongs to another user`, { hint });
  }
  const fault = plantingFault(stats, path);
  if (fault !== undefined) throw new P2pfsError("disk", `${attempt}: ${fault.what}`, { hint: fault.hint });
  try {
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new P2pfsError("disk", `${attempt}: no permission to write there`, { cause });
  }
}

function makeAndLookAt(path: string, attempt: string): Stats {
  try {
    if (mkdirSync(path, { recursive: true, mode: 0o700 }) !== undefined) chmodSync(path, 0o700);
  } catch (error) {
    // Something else, or a link, has that name; the following stat shows what.
    if (errnoOf(error) !== "EEXIST") throw diskError(attempt, error);
  }
  try {
    return statSync(path);
  } catch (error) {
    throw diskError(attempt, error);
  }
}

/** What a peer uses of its data folder. */
export type PeerFolder = Pick<
  DataFolder,
  "path" | "databasePath" | "rememberedPort" | "rememberPort" | "readOrCreatePeerSecret" | "membership"
>;

/**
 * Listens at this port; where any will do, at the one that the folder remembers, if that is free. Throws what `listenAt`
 * throws.
 */
export async function listenOnRemembered<Listening>(
  folder: Pick<DataFolder, "rememberedPort"> | undefined,
  name: PortName,
  port: number,
  listenAt: (port: number) => Listening | Promise<Listening>,
): Promise<Listening> {
  const remembered = port === 0 ? folder?.rememberedPort(name) : undefined;
  if (remembered !== undefined) {
    try {
      return await listenAt(remembered);
    } catch (thrown) {
      // Somebody else has it now; any other will do.
      if (!(thrown instanceof P2pfsError) || thrown.code !== "already_running") throw thrown;
    }
  }
  return listenAt(port);
}
