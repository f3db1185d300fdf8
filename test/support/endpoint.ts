/** Connections of nobody in particular: each is opened by an endpoint of its own, on the real network. */
import type { Address } from "../../src/core/address.ts";
import type { Connection, LocalHello } from "../../src/net/connection.ts";
import { type DialOptions, Endpoint, type Listener, type ListenOptions } from "../../src/net/endpoint.ts";
import { realSystem } from "../../src/net/system.ts";

export function dial(address: Address, options: DialOptions & { local: LocalHello }): Promise<Connection> {
  return new Endpoint({ system: realSystem, local: () => options.local }).dial(address, options);
}

export function listen(options: ListenOptions & { local: () => LocalHello }): Promise<Listener> {
  return new Endpoint({ system: realSystem, local: options.local }).listen(options);
}
