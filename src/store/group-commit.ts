/**
 * Group commit: changes that are requested within one turn of the event loop are made in one transaction, and each resolves
 * when it is committed. A commit costs about as much as twenty changes, so that many peers at once are served several
 * times faster than with a commit for each, and a single change waits no longer.
 */
import type { Database } from "bun:sqlite";
import type { Clock } from "../core/clock.ts";
import { P2pfsError } from "../core/errors.ts";
import { asDatabaseError } from "./database.ts";

/** Bounds of one transaction. Further changes wait for the next turn of the event loop, so that other work is done between. */
const CHANGES_PER_COMMIT_MAX = 200;
const COMMIT_MS_MAX = 4;

interface Waiting {
  /** Makes the change and returns a function to be called after the commit. */
  run(): () => void;
  reject(error: unknown): void;
}

export class GroupCommit {
  readonly #sqlite: Database;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #statements;
  #waiting: Waiting[] = [];
  #scheduled = false;
  #closed = false;

  constructor(sqlite: Database, path: string, clock: Clock) {
    this.#clock = clock;
    this.#sqlite = sqlite;
    this.#path = path;
    this.#statements = {
      begin: sqlite.query("BEGIN IMMEDIATE"),
      commit: sqlite.query("COMMIT"),
      save: sqlite.query("SAVEPOINT one"),
      release: sqlite.query("RELEASE one"),
    };
  }

  /**
   * Makes the changes in the order of the calls and resolves with the result after the commit. A change that throws is
   * undone and rejects, without effect on the others. It runs synchronously, within the transaction.
   */
  write<T>(change: () => T): Promise<T> {
    if (this.#closed) return Promise.reject(new P2pfsError("not_running", `the database ${this.#path} is closed`));
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const run = () => {
      const result = change();
      return () => resolve(result);
    };
    this.#waiting.push({ run, reject });
    this.#schedule();
    return promise;
  }

  /** Commits everything that waits and takes no more changes. The database may be closed afterwards. */
  close(): void {
    this.#closed = true;
    while (this.#waiting.length > 0) this.#commit();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.nextTurn(() => {
      this.#scheduled = false;
      this.#commit();
      if (this.#waiting.length > 0) this.#schedule();
    });
  }

  #commit(): void {
    if (this.#waiting.length === 0) return;
    const group: Waiting[] = [];
    const done: { readonly waiting: Waiting; readonly answer: () => void }[] = [];
    try {
      this.#statements.begin.run();
      const beganMs = this.#clock.now();
      do {
        const waiting = this.#waiting.shift()!;
        group.push(waiting);
        const answer = this.#change(waiting);
        if (answer !== undefined) done.push({ waiting, answer });
      } while (this.#waiting.length > 0 && !this.#isFull(group.length, beganMs));
      this.#statements.commit.run();
    } catch (thrown) {
      if (this.#sqlite.inTransaction) this.#sqlite.run("ROLLBACK");
      // If the transaction could not begin, all waiting changes have failed.
      if (group.length === 0) group.push(...this.#waiting.splice(0));
      // Changes that failed before are rejected already; rejecting again has no effect.
      for (const waiting of group) waiting.reject(asDatabaseError(thrown, this.#path));
      return;
    }
    for (const { answer } of done) answer();
  }

  #isFull(changes: number, beganMs: number): boolean {
    return changes === CHANGES_PER_COMMIT_MAX || this.#clock.now() - beganMs > COMMIT_MS_MAX;
  }

  /** Makes one change within the transaction; undefined if it failed and was undone. */
  #change(waiting: Waiting): (() => void) | undefined {
    this.#statements.save.run();
    try {
      const answer = waiting.run();
      this.#statements.release.run();
      return answer;
    } catch (thrown) {
      waiting.reject(asDatabaseError(thrown, this.#path));
      // On a full disk, for example, SQLite rolls the whole transaction back by itself.
      if (!this.#sqlite.inTransaction) throw thrown;
      this.#sqlite.run("ROLLBACK TO one");
      this.#sqlite.run("RELEASE one");
      return undefined;
    }
  }
}
