/**
 * How many peers of this tracker belong to one owner: in a swarm to one member, otherwise to one machine, by its source
 * IP. Outside of a swarm anybody can make up peer ids.
 */
import { P2pfsError } from "../core/errors.ts";
import { Tally } from "../net/tally.ts";

/** A machine behind whose IP there may be many others. */
const PEERS_PER_MACHINE_MAX = 1000;
/** A member runs a peer, and one for each fetch that goes without it. */
const PEERS_PER_MEMBER_MAX = 64;

export interface Owner {
  readonly name: string;
  readonly isMember: boolean;
}

export class Owners {
  readonly #counts = new Tally<string>();

  /** Throws `busy` where the owner has as many peers here as it may have. */
  enter({ name, isMember }: Owner): void {
    const count = this.#counts.of(name);
    const max = isMember ? PEERS_PER_MEMBER_MAX : PEERS_PER_MACHINE_MAX;
    if (count >= max)
      throw new P2pfsError("busy", `${count} peers of this ${isMember ? "member" : "machine"} are here already`);
    this.#counts.add(name);
  }

  leave({ name }: Owner): void {
    this.#counts.remove(name);
  }
}
