/**
 * The tables of the registry. After a change: `drizzle-kit generate --dialect sqlite --schema src/tracker/schema.ts
 * --out src/tracker/registry-sqlite`. Times are milliseconds since 1970.
 */
import { sql } from "drizzle-orm";
import { blob, index, integer, primaryKey, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core";

export const peers = sqliteTable(
  "peers",
  {
    id: integer().primaryKey(),
    peerId: text("peer_id").notNull().unique(),
    /** In a swarm, the peer id of the member's certificate. */
    member: text(),
    ip: text().notNull(),
    port: integer().notNull(),
    hostName: text("host_name").notNull(),
    online: integer({ mode: "boolean" }).notNull(),
    /** Grows with each registration. */
    session: integer().notNull(),
    since: integer().notNull(),
    lastSeen: integer("last_seen").notNull(),
  },
  (table) => [
    uniqueIndex("peers_online_address").on(table.ip, table.port).where(sql`online = 1`),
    index("peers_address").on(table.ip, table.port),
    index("peers_member").on(table.member),
  ],
);

/** Peers send the size of a content, and the tracker cannot check it: a wrong size must not block the right one. */
export const contents = sqliteTable(
  "contents",
  {
    id: integer().primaryKey(),
    contentId: text("content_id").notNull(),
    size: integer().notNull(),
  },
  (table) => [uniqueIndex("contents_content_id_size").on(table.contentId, table.size)],
);

export const publications = sqliteTable(
  "publications",
  {
    id: integer().primaryKey(),
    peer: integer()
      .notNull()
      .references(() => peers.id, { onDelete: "cascade" }),
    fname: text().notNull(),
    /** `foldFileName(fname)`: unique within the peer (R2), and the order of the lists. */
    fold: text().notNull(),
    content: integer()
      .notNull()
      .references(() => contents.id),
    path: text().notNull(),
    /** The peer's session when it last announced this row. */
    session: integer().notNull(),
  },
  (table) => [
    uniqueIndex("publications_peer_fold").on(table.peer, table.fold),
    index("publications_fold").on(table.fold),
    index("publications_content").on(table.content),
  ],
);

/** A row means a holder: a peer without a chunk of the content has none, unless the content is empty. */
export const holdings = sqliteTable(
  "holdings",
  {
    content: integer()
      .notNull()
      .references(() => contents.id),
    peer: integer()
      .notNull()
      .references(() => peers.id, { onDelete: "cascade" }),
    /** The peer's session when it last announced this row. */
    session: integer().notNull(),
    /** The bytes of a Bitfield; null for every chunk. */
    chunks: blob({ mode: "buffer" }),
  },
  (table) => [primaryKey({ columns: [table.content, table.peer] }), index("holdings_peer").on(table.peer)],
);

export const invitations = sqliteTable("invitations", {
  /** Eight hex digits, by which it is listed and ended. */
  id: text().primaryKey(),
  /** SHA-256 of the secret: whoever reads the database cannot join with it. */
  secretHash: blob("secret_hash", { mode: "buffer" }).notNull().unique(),
  role: text({ enum: ["tracker", "peer"] }).notNull(),
  label: text().notNull(),
  needsApproval: integer("needs_approval", { mode: "boolean" }).notNull(),
  uses: integer().notNull(),
  used: integer().notNull(),
  created: integer().notNull(),
  expires: integer().notNull(),
});

export const members = sqliteTable("members", {
  peerId: text("peer_id").primaryKey(),
  /** The public key (SubjectPublicKeyInfo). */
  key: blob({ mode: "buffer" }).notNull(),
  name: text().notNull(),
  role: text({ enum: ["tracker", "peer"] }).notNull(),
  state: text({ enum: ["waiting", "member", "revoked"] }).notNull(),
  /** By which it came; null for one that was certified by hand, or has made the swarm. */
  invitation: text(),
  joined: integer().notNull(),
  /** Of the latest certificate; 0 before there is one. */
  expires: integer().notNull(),
});

/** Members of whom another tracker of the swarm has said that they were removed. */
export const heardRevocations = sqliteTable("heard_revocations", {
  /** The tracker that said so. */
  tracker: text().primaryKey(),
  /** As in REVOKED. */
  peerIds: blob("peer_ids", { mode: "buffer" }).notNull(),
  /** Until then it counts, if nothing newer comes. */
  until: integer().notNull(),
});
