/** Invitations and members on SQLite. */
import { and, count, eq, gt, isNotNull, lt, lte, max, ne, notInArray, or, sql } from "drizzle-orm";
import * as v from "valibot";
import type { Clock, Random } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { LIST_PAGE_MAX, MEMBERS_MAX, PEER_ID_BYTES } from "../core/limits.ts";
import { type PeerId, PeerIdSchema } from "../core/model.ts";
import { DAY_MS } from "../core/units.ts";
import { peerIdOfKey } from "../identity/keys.ts";
import { damagedDatabase } from "../store/damage.ts";
import type { OpenDatabase } from "../store/database.ts";
import {
  type HeardList,
  INVITATIONS_MAX,
  type Invitation,
  type Joining,
  type ListedMember,
  type MemberRecord,
  type MemberRegistry,
  type MemberState,
  type NewInvitation,
} from "./members.ts";
import type * as schema from "./schema.ts";
import { heardRevocations, invitations, members, peers } from "./schema.ts";
import { formatCursor, parseCursor, type RegistryDatabase } from "./sqlite-rows.ts";
import type { Page } from "./types.ts";

const INVITATION_ID_BYTES = 4;
/** Somebody who was never certified is remembered for so long. */
const WAITING_MS_MAX = 90 * DAY_MS;

export interface SqliteMembersOptions {
  readonly db: RegistryDatabase;
  readonly clock: Clock;
  readonly random: Random;
  /** Runs a change within a transaction; resolves when it is committed. */
  readonly write: <T>(change: () => T) => Promise<T>;
  readonly read: <T>(read: () => T) => Promise<T>;
}

type MemberRow = typeof members.$inferSelect;

/**
 * Throws `disk` where a row was damaged, or an index that leads to it: a member that was removed would be one again. An
 * opening looks at the pages of all tables, and at indices only here, which takes several times as long.
 */
export function assertMembersSound({ sqlite, db }: OpenDatabase<typeof schema>, path: string): void {
  const found = sqlite.query<{ integrity_check: string }, []>("PRAGMA integrity_check('members')").get();
  if (found?.integrity_check !== "ok") throw damagedDatabase(path, found?.integrity_check ?? "no answer to a check");
  const { peerId, key, role, state } = members;
  for (const row of db.select({ peerId, key, role, state }).from(members).all()) {
    const isSound = role.enumValues.includes(row.role) && state.enumValues.includes(row.state);
    if (!isSound || peerIdOfKey(row.key) !== row.peerId)
      throw damagedDatabase(path, "a member is not what was written");
  }
  for (const { tracker, peerIds } of db.select().from(heardRevocations).all())
    if (!v.is(PeerIdSchema, tracker) || peerIds.length % PEER_ID_BYTES !== 0)
      throw damagedDatabase(path, "what another tracker said is not what was written");
}

export class SqliteMembers implements MemberRegistry {
  readonly #options: SqliteMembersOptions;

  constructor(options: SqliteMembersOptions) {
    this.#options = options;
  }

  invite({ secretHash, ...invitation }: NewInvitation): Promise<Invitation> {
    const { db, clock, random, write } = this.#options;
    return write(() => {
      const now = clock.wallTime();
      const isWaitedOn = db
        .select({ id: members.invitation })
        .from(members)
        .where(and(isNotNull(members.invitation), ne(members.state, "revoked"), eq(members.expires, 0)));
      const isOver = and(lte(invitations.expires, now), notInArray(invitations.id, isWaitedOn));
      db.delete(invitations).where(isOver).run();
      if (countOf(db, invitations) >= INVITATIONS_MAX)
        throw new P2pfsError("refused", `there are ${INVITATIONS_MAX} invitations already`, {
          hint: "end some of them, or invite several machines by one",
        });
      const id = random.bytes(INVITATION_ID_BYTES).toHex();
      const row = { ...invitation, id, secretHash: Buffer.from(secretHash), used: 0, created: now };
      return db.insert(invitations).values(row).returning().get();
    });
  }

  invitations(): Promise<readonly Invitation[]> {
    const { db, clock, read } = this.#options;
    const isOpen = and(gt(invitations.expires, clock.wallTime()), lt(invitations.used, invitations.uses));
    return read(() => db.select().from(invitations).where(isOpen).orderBy(invitations.created).all());
  }

  endInvitation(id: string): Promise<void> {
    const { db, write } = this.#options;
    return write(() => {
      const ended = db.delete(invitations).where(eq(invitations.id, id)).returning().get();
      if (ended === undefined)
        throw new P2pfsError("not_found", `there is no invitation ${id}`, { hint: "p2pfs swarm invites lists them" });
      db.delete(members)
        .where(and(eq(members.invitation, id), eq(members.state, "waiting")))
        .run();
    });
  }

  join(joining: Joining): Promise<MemberRecord> {
    const { db, write } = this.#options;
    return write(() => {
      const { secretHash, ...joiner } = joining;
      const invitation = this.#invitationOf(secretHash);
      const known = this.#memberOf(joining.peerId);
      if (known?.state === "revoked") throw new P2pfsError("refused", "this machine was removed from the swarm");
      // Whoever lost the answer, or waited for the approval, asks again, however long that took.
      if (known?.invitation === invitation.id) return memberOf(known);
      if (invitation.expires <= this.#options.clock.wallTime()) throw unknownInvitation();
      if (invitation.used >= invitation.uses) throw new P2pfsError("refused", "this invitation is used up");
      db.update(invitations)
        .set({ used: sql`${invitations.used} + 1` })
        .where(eq(invitations.id, invitation.id))
        .run();
      const { id, role, needsApproval } = invitation;
      return this.#enter({ ...joiner, role, state: needsApproval ? "waiting" : "member", invitation: id });
    });
  }

  add(member: Pick<MemberRecord, "peerId" | "key" | "name" | "role">): Promise<MemberRecord> {
    return this.#options.write(() => this.#enter({ ...member, state: "member", invitation: null }));
  }

  async certified(peerId: PeerId, expires: number): Promise<void> {
    const { db, write } = this.#options;
    await write(() =>
      db
        .update(members)
        .set({ expires: sql`max(${members.expires}, ${expires})` })
        .where(eq(members.peerId, peerId))
        .run(),
    );
  }

  approve(who: string): Promise<MemberRecord> {
    return this.#changeState(who, "waiting", "member", `nobody called ${who} waits to be let in`);
  }

  revoke(who: string, spared?: PeerId): Promise<MemberRecord> {
    return this.#changeState(who, undefined, "revoked", `there is no member ${who}`, spared);
  }

  member(peerId: PeerId): Promise<MemberRecord | undefined> {
    return this.#options.read(() => {
      const row = this.#memberOf(peerId);
      return row && memberOf(row);
    });
  }

  members(cursor: string | null): Promise<Page<ListedMember>> {
    const { db, clock, read } = this.#options;
    return read(() => {
      const [name, afterId] = parseCursor(cursor);
      const isLater = or(gt(members.name, name), and(eq(members.name, name), gt(sql`${members}.rowid`, afterId)));
      const isExpected = and(eq(members.state, "member"), eq(members.expires, 0));
      const isListed = or(eq(members.state, "waiting"), isExpected, gt(members.expires, clock.wallTime()));
      const rows = db
        .select({
          id: sql<number>`${members}.rowid`,
          member: members,
          online: max(peers.online),
          lastSeen: max(peers.lastSeen),
        })
        .from(members)
        .leftJoin(peers, eq(peers.member, members.peerId))
        .where(and(isLater, isListed))
        .groupBy(members.peerId)
        .orderBy(members.name, sql`${members}.rowid`)
        .limit(LIST_PAGE_MAX)
        .all();
      const last = rows.length === LIST_PAGE_MAX ? rows.at(-1) : undefined;
      return {
        rows: rows.map(({ member, online, lastSeen }) => ({ ...memberOf(member), online: Boolean(online), lastSeen })),
        next: last === undefined ? null : formatCursor([last.member.name, last.id, 0]),
      };
    });
  }

  revoked(): Promise<readonly PeerId[]> {
    const { db, clock, read } = this.#options;
    const isRevoked = and(eq(members.state, "revoked"), gt(members.expires, clock.wallTime()));
    return read(() =>
      db
        .select({ peerId: members.peerId })
        .from(members)
        .where(isRevoked)
        .all()
        .map(({ peerId }) => peerId as PeerId),
    );
  }

  async hear({ tracker, peerIds, until }: HeardList): Promise<void> {
    const { db, clock, write } = this.#options;
    const row = { peerIds: Buffer.from(peerIds), until };
    await write(() => {
      db.delete(heardRevocations).where(lte(heardRevocations.until, clock.wallTime())).run();
      db.insert(heardRevocations)
        .values({ tracker, ...row })
        .onConflictDoUpdate({ target: heardRevocations.tracker, set: row })
        .run();
    });
  }

  heard(): Promise<readonly HeardList[]> {
    const { db, clock, read } = this.#options;
    const isCounted = gt(heardRevocations.until, clock.wallTime());
    return read(() =>
      db
        .select()
        .from(heardRevocations)
        .where(isCounted)
        .orderBy(heardRevocations.tracker)
        .all()
        .map((row) => ({ ...row, tracker: row.tracker as PeerId })),
    );
  }

  #invitationOf(secretHash: Uint8Array): Invitation {
    const isMeant = eq(invitations.secretHash, Buffer.from(secretHash));
    const found = this.#options.db.select().from(invitations).where(isMeant).get();
    if (found === undefined) throw unknownInvitation();
    return found;
  }

  #memberOf(peerId: PeerId): MemberRow | undefined {
    return this.#options.db.select().from(members).where(eq(members.peerId, peerId)).get();
  }

  #enter({ peerId, key, ...rest }: Omit<MemberRecord, "joined" | "expires">): MemberRecord {
    const { db, clock } = this.#options;
    const now = clock.wallTime();
    // A removed member is remembered for as long as others could believe its certificate.
    const isForgotten = and(eq(members.expires, 0), lte(members.joined, now - WAITING_MS_MAX));
    const isGone = or(and(gt(members.expires, 0), lte(members.expires, now)), isForgotten);
    if (countOf(db, members) >= MEMBERS_MAX) db.delete(members).where(isGone).run();
    if (countOf(db, members) >= MEMBERS_MAX)
      throw new P2pfsError("refused", `a swarm has ${MEMBERS_MAX} members at most`);
    const row = { ...rest, key: Buffer.from(key), joined: now, expires: 0 };
    const entered = db
      .insert(members)
      .values({ peerId, ...row })
      // A certificate that it has stays one that has to be revoked.
      .onConflictDoUpdate({ target: members.peerId, set: { ...row, expires: members.expires } })
      .returning()
      .get();
    return memberOf(entered);
  }

  /** @param who a peer id, or a name that only one of them has */
  #changeState(
    who: string,
    from: MemberState | undefined,
    to: MemberState,
    nobody: string,
    spared?: PeerId,
  ): Promise<MemberRecord> {
    const { db, write } = this.#options;
    return write(() => {
      // Joiners choose their names, so that a name must not stand for the id of somebody else.
      const isMeant = eq(v.is(PeerIdSchema, who) ? members.peerId : members.name, who);
      const isInState = from === undefined ? ne(members.state, to) : eq(members.state, from);
      const found = db.select().from(members).where(and(isMeant, isInState)).limit(2).all();
      const [meant] = found;
      if (meant === undefined) throw new P2pfsError("not_found", nobody, { hint: "p2pfs swarm members lists them" });
      if (found.length > 1)
        throw new P2pfsError("ambiguous", `several are called ${who}`, {
          hint: "name the one that you mean by its id",
        });
      if (meant.peerId === spared)
        throw new P2pfsError("refused", "this tracker cannot remove itself from its swarm", {
          hint: "name another member; p2pfs swarm members lists them",
        });
      return memberOf(db.update(members).set({ state: to }).where(eq(members.peerId, meant.peerId)).returning().get());
    });
  }
}

function unknownInvitation(): P2pfsError {
  return new P2pfsError("refused", "this invitation is not known here, has ended or has expired", {
    hint: "ask for a new one: p2pfs swarm invite",
  });
}

function memberOf(row: MemberRow): MemberRecord {
  return { ...row, peerId: row.peerId as PeerId };
}

function countOf(db: RegistryDatabase, table: typeof members | typeof invitations): number {
  return db.select({ rows: count() }).from(table).get()!.rows;
}
