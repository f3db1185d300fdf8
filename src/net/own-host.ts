/** Recognises IPs of this machine. */
import { networkInterfaces } from "node:os";
import { canonicalIp, isLoopback, isWildcard } from "../core/address.ts";

/** Whether a connection to this IP ends on this machine. */
export function isOwnIp(ip: string): boolean {
  if (isLoopback(ip) || isWildcard(ip)) return true;
  return Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some((address) => canonicalIp(address.address) === ip),
  );
}
