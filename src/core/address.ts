/**
 * Addresses of peers and trackers: an IP literal and a port, as one string (`10.0.0.7:7700`, `[fe80::1]:7700`), so that
 * the same value is a map key, a wire field and a JSON field. Host names are resolved before they come here.
 */
import * as v from "valibot";

const PORT_MAX = 65_535;
const ipSchema = v.pipe(v.string(), v.ip());

export const AddressSchema = v.pipe(
  v.string(),
  v.maxLength(60),
  v.check((text) => splitAddress(text) !== undefined, "expected IP:PORT or [IPV6]:PORT in canonical form"),
  v.brand("Address"),
);
export type Address = v.InferOutput<typeof AddressSchema>;

/** An IP literal in canonical form. */
export const IpSchema = v.pipe(
  v.string(),
  v.maxLength(60),
  v.check((text) => isIp(text) && canonicalIp(text) === text, "expected an IP in canonical form"),
);

export const PortSchema = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(PORT_MAX));

/** The address of an IP literal and a port from 1 to 65535. IPv4 mapped into IPv6 becomes plain IPv4. */
export function makeAddress(ip: string, port: number): Address {
  const host = canonicalIp(ip);
  return v.parse(AddressSchema, host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);
}

export function hostOf(address: Address): string {
  return splitAddress(address)!.host;
}

export function portOf(address: Address): number {
  return splitAddress(address)!.port;
}

/**
 * The canonical form of an IP: lower case, compressed as in RFC 5952, without brackets and zone; an IPv4-mapped IPv6
 * address becomes IPv4. A text that is no IP is returned in lower case.
 */
export function canonicalIp(ip: string): string {
  if (DOTTED.test(ip)) return ip;
  const bare = ip
    .toLowerCase()
    .replace(/^\[|\]$/g, "")
    .replace(/%.*$/, "");
  const url = bare.includes(":") ? URL.parse(`http://[${bare}]/`) : null;
  if (url === null) return bare;
  const compressed = url.hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(compressed);
  if (mapped === null) return compressed;
  const [high, low] = [Number.parseInt(mapped[1]!, 16), Number.parseInt(mapped[2]!, 16)];
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join(".");
}

const DOTTED = /^[\d.]+$/;

/**
 * Whose address it is, for bounds on what comes from one machine: the IP, of IPv6 its first 64 bits, since a machine can
 * have all addresses that begin with them. The IP is in canonical form.
 */
export function sourceOf(ip: string): string {
  if (!ip.includes(":")) return ip;
  const [before = [], after = []] = ip.split("::").map((part) => part.split(":").filter((group) => group !== ""));
  const zeros = Array<string>(IPV6_GROUPS - before.length - after.length).fill("0");
  return [...before, ...zeros, ...after].slice(0, IPV6_GROUPS / 2).join(":");
}

const IPV6_GROUPS = 8;

export function isIp(text: string): boolean {
  return v.is(ipSchema, text);
}

export function isLoopback(host: string): boolean {
  return host === "::1" || host === "localhost" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** Whether a listener bound to this host takes connections on every interface. */
export function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

/** A host (name or IP) and a port, as typed by a person. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Reads `HOST:PORT`, `[V6]:PORT`; undefined for any other text. Port 0, which asks for any port, is allowed. */
export function parseHostPort(text: string): HostPort | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  return port <= PORT_MAX ? { host: match[1] ?? match[2]!, port } : undefined;
}

export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Undefined unless the text is canonical: two spellings of one address would count as two peers. */
function splitAddress(text: string): HostPort | undefined {
  const parsed = parseHostPort(text);
  if (parsed === undefined || parsed.port === 0 || !isIp(parsed.host)) return undefined;
  const canonical = formatHostPort({ host: canonicalIp(parsed.host), port: parsed.port });
  return canonical === text ? parsed : undefined;
}
