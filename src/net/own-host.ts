/** The addresses of this machine. */
import { networkInterfaces } from "node:os";
import { type Address, canonicalIp, type HostPort, hostOf, isLoopback, isWildcard, portOf } from "../core/address.ts";

/** Whether a connection to this IP ends on this machine. */
export function isOwnIp(ip: string): boolean {
  if (isLoopback(ip) || isWildcard(ip)) return true;
  return interfaceAddresses().some(({ address }) => canonicalIp(address) === ip);
}

/**
 * Where other machines reach what listens at the address: for one that means every interface, the IPs of all of them,
 * IPv4 first. Link-local IPv6 is left out, since it means something else on every machine.
 */
export function reachableAt(address: Address): HostPort[] {
  const [host, port] = [hostOf(address), portOf(address)];
  if (!isWildcard(host)) return [{ host, port }];
  const ips = interfaceAddresses()
    .filter(({ internal }) => !internal)
    .map(({ address }) => canonicalIp(address))
    .filter((ip) => !/^fe[89ab]/.test(ip) && (host === "::" || !ip.includes(":")));
  const sorted = ips.sort((a, b) => Number(a.includes(":")) - Number(b.includes(":")));
  return (sorted.length > 0 ? sorted : ["127.0.0.1"]).map((ip) => ({ host: ip, port }));
}

function interfaceAddresses() {
  return Object.values(networkInterfaces()).flatMap((addresses = []) => addresses);
}
