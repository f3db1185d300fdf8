/** From a typed address to the query of a route. */

/** `ip:port`, `[v6]:port`, `host` or `host:port`, as typed or as listed. */
export function peerQueryOf(address: string): { host: string; port?: string } {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(address.trim());
  if (match === null) return { host: address.trim() };
  const host = match[1] ?? match[2]!;
  return match[3] === undefined ? { host } : { host, port: match[3] };
}

/** The same with the port as a number; undefined without a port. */
export function hostPortOf(address: string): { host: string; port: number } | undefined {
  const { host, port } = peerQueryOf(address);
  return port === undefined ? undefined : { host, port: Number(port) };
}
