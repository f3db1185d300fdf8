/** Prepared statements of the registry's changes. */
import { and, count, eq, gt, lt, lte, max, ne, notExists, sql } from "drizzle-orm";
import { contents, holdings, peers, publications } from "./schema.ts";
import type { RegistryDatabase } from "./sqlite-rows.ts";

export function prepareChanges(db: RegistryDatabase) {
  const hole = sql.placeholder;
  const entered = {
    member: sql<string | null>`${hole("member")}`,
    session: sql<number>`${hole("session")}`,
    ip: sql<string>`${hole("ip")}`,
    port: sql<number>`${hole("port")}`,
    hostName: sql<string>`${hole("hostName")}`,
    online: true,
    since: sql<number>`${hole("since")}`,
    lastSeen: sql<number>`${hole("now")}`,
  };
  const ofEarlierSessions = (table: typeof publications | typeof holdings) =>
    and(eq(table.peer, hole("peer")), ne(table.session, hole("session")));
  const hasNone = (table: typeof publications | typeof holdings) =>
    notExists(db.select({ peer: table.peer }).from(table).where(eq(table.content, contents.id)));
  const countOf = (table: typeof publications | typeof holdings) =>
    db
      .select({ rows: count() })
      .from(table)
      .where(eq(table.peer, hole("peer")))
      .prepare();
  const hasNoPublication = notExists(
    db.select({ id: publications.id }).from(publications).where(eq(publications.peer, peers.id)),
  );
  return {
    peer: db
      .select({
        id: peers.id,
        ip: peers.ip,
        member: peers.member,
        session: peers.session,
        online: peers.online,
        since: peers.since,
      })
      .from(peers)
      .where(eq(peers.peerId, hole("peerId")))
      .prepare(),
    onlineAt: db
      .select({ peerId: peers.peerId })
      .from(peers)
      .where(and(eq(peers.ip, hole("ip")), eq(peers.port, hole("port")), sql`online = 1`))
      .prepare(),
    /** Of a peer that is known or not. */
    enterPeer: db
      .insert(peers)
      .values({ peerId: hole("peerId"), ...entered })
      .onConflictDoUpdate({ target: peers.peerId, set: entered })
      .returning()
      .prepare(),
    leave: db
      .update(peers)
      .set({ online: false, lastSeen: sql`${hole("lastSeen")}` })
      .where(and(eq(peers.peerId, hole("peerId")), eq(peers.session, hole("session")), eq(peers.online, true)))
      .returning({ id: peers.id, member: peers.member })
      .prepare(),
    forgetPeer: db
      .delete(peers)
      .where(eq(peers.id, hole("id")))
      .prepare(),
    forgetPeers: db
      .delete(peers)
      .where(and(eq(peers.online, false), lt(peers.lastSeen, hole("leftBefore")), hasNoPublication))
      .returning({ id: peers.id })
      .prepare(),
    publicationCount: countOf(publications),
    holdingCount: countOf(holdings),
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
    newestContent: db
      .select({ id: max(contents.id) })
      .from(contents)
      .prepare(),
    /** Contents in this range of ids that nobody publishes or holds. */
    forgetContents: db
      .delete(contents)
      .where(
        and(gt(contents.id, hole("after")), lte(contents.id, hole("last")), hasNone(publications), hasNone(holdings)),
      )
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
    removePublication: db
      .delete(publications)
      .where(eq(publications.id, hole("id")))
      .prepare(),
    dropPublications: db
      .delete(publications)
      .where(ofEarlierSessions(publications))
      .returning({ id: publications.id })
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
    unhold: db
      .delete(holdings)
      .where(and(eq(holdings.peer, hole("peer")), eq(holdings.content, hole("content"))))
      .prepare(),
    dropHoldings: db
      .delete(holdings)
      .where(ofEarlierSessions(holdings))
      .returning({ content: holdings.content })
      .prepare(),
  };
}
