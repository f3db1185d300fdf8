/** Which peer is meant where only a host is given: the one peer that has it, as far as its files tell. */
import { type Address, hostOf } from "../core/address.ts";
import type { Deadline } from "../core/deadline.ts";
import { P2pfsError } from "../core/errors.ts";
import { type LookUp, resolveHost } from "../net/host-name.ts";
import type { FilePage } from "./types.ts";

/** `own`: the address of the peer that asks, which counts as well. Throws `not_found`, `ambiguous`. */
export async function onlyPeerAt(
  host: string,
  own: Address | null,
  listFiles: (cursor: string | null) => Promise<FilePage>,
  deadline: Deadline,
  lookUp?: LookUp,
): Promise<Address> {
  const ip = await resolveHost(host, deadline, lookUp);
  const addresses = new Set<Address>(own !== null && hostOf(own) === ip ? [own] : []);
  let cursor: string | null = null;
  do {
    const page: FilePage = await listFiles(cursor);
    for (const { address } of page.rows) if (hostOf(address) === ip) addresses.add(address);
    cursor = page.next;
  } while (cursor !== null && addresses.size < 2);
  const [only, ...others] = addresses;
  if (only === undefined) throw new P2pfsError("not_found", `no online peer shares files at ${host}`);
  if (others.length > 0) {
    const hint = `add the PORT: ${[only, ...others].join(", ")}`;
    throw new P2pfsError("ambiguous", `${host} has several peers`, { hint });
  }
  return only;
}
