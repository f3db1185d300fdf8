/** Prepared statements of registering, publishing and registering chunks. */
import { and, eq, sql } from "drizzle-orm";
import { contents, holdings, peers, publications } from "./schema.ts";
import type { RegistryDatabase } from "./sqlite-rows.ts";

export function prepareChanges(db: RegistryDatabase) {
  const hole = sql.placeholder;
  return {
    peer: db
      .select({ id: peers.id, ip: peers.ip, session: peers.session, online: peers.online, since: peers.since })
      .from(peers)
      .where(eq(peers.peerId, hole("peerId")))
      .prepare(),
    onlineAt: db
      .select({ peerId: peers.peerId })
      .from(peers)
      .where(and(eq(peers.ip, hole("ip")), eq(peers.port, hole("port")), sql`online = 1`))
      .prepare(),
    /** One row for each size that peers have sent. */
    contents: db
      .select({ id: contents.id, size: contents.size })
      .from(contents)
      .where(eq(contents.contentId, hole("contentId")))
      .prepare(),
    addContent: db
      .insert(contents)
      .values({ contentId: hole("contentId"), size: hole("size") })
      .returning({ id: contents.id })
      .prepare(),
    publication: db
      .select()
      .from(publications)
      .where(and(eq(publications.peer, hole("peer")), eq(publications.fold, hole("fold"))))
      .prepare(),
    addPublication: db
      .insert(publications)
      .values({
        peer: hole("peer"),
        fname: hole("fname"),
        fold: hole("fold"),
        content: hole("content"),
        path: hole("path"),
        session: hole("session"),
      })
      .prepare(),
    changePublication: db
      .update(publications)
      .set({
        fname: sql`${hole("fname")}`,
        content: sql`${hole("content")}`,
        path: sql`${hole("path")}`,
        session: sql`${hole("session")}`,
      })
      .where(eq(publications.id, hole("id")))
      .prepare(),
    holding: db
      .select({ chunks: holdings.chunks, session: holdings.session })
      .from(holdings)
      .where(and(eq(holdings.content, hole("content")), eq(holdings.peer, hole("peer"))))
      .prepare(),
    hold: db
      .insert(holdings)
      .values({ content: hole("content"), peer: hole("peer"), session: hole("session"), chunks: hole("chunks") })
      .onConflictDoUpdate({
        target: [holdings.content, holdings.peer],
        set: { session: sql`excluded.session`, chunks: sql`excluded.chunks` },
      })
      .prepare(),
  };
}
