/** Resolves a host without a port to the only peer on that host, as the tracker knows, whether it publishes or not. */
import type { Address } from "../core/address.ts";
import type { Deadline } from "../core/deadline.ts";
import { P2pfsError } from "../core/errors.ts";
import { type Names, resolveHost } from "../net/host-name.ts";
import type { Directory } from "./directory.ts";

/** Addresses listed in the error. */
const SHOWN_MAX = 5;

/** Throws `not_found`, `ambiguous`, and as `Directory.peersOn`. */
export async function onlyPeerAt(
  host: string,
  directory: Pick<Directory, "peersOn">,
  deadline: Deadline,
  names: Names,
): Promise<Address> {
  const ip = await resolveHost(host, deadline, names);
  const [only, ...others] = await directory.peersOn(ip, deadline);
  if (only === undefined) throw new P2pfsError("not_found", `no peer is online at ${host}`);
  if (others.length === 0) return only;
  const shown = [only, ...others].slice(0, SHOWN_MAX);
  const more = others.length < SHOWN_MAX ? "" : ", …";
  throw new P2pfsError("ambiguous", `${others.length + 1} peers are on ${host}: ${shown.join(", ")}${more}`, {
    hint: "add the PORT of the peer that you mean",
  });
}
