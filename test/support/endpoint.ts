/** Connections of nobody in particular: each is opened by an endpoint of its own, on the real network. */
import type { Address } from "../../src/core/address.ts";
import type { Connection, LocalHello } from "../../src/net/connection.ts";
import { type DialOptions, Endpoint, type Listener, type ListenOptions } from "../../src/net/endpoint.ts";
import type { Security } from "../../src/net/security.ts";
import { realSystem } from "../../src/net/system.ts";

/** Undefined for plain connections. */
export interface Secured {
  readonly security?: Security | undefined;
}

export function dial(address: Address, options: DialOptions & Secured & { local: LocalHello }): Promise<Connection> {
  return endpointOf(() => options.local, options).dial(address, options);
}

export function listen(options: ListenOptions & Secured & { local: () => LocalHello }): Promise<Listener> {
  return endpointOf(options.local, options).listen(options);
}

function endpointOf(local: () => LocalHello, { security }: Secured): Endpoint {
  return new Endpoint({ system: realSystem, local, security: () => security });
}
