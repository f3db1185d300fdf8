/** DER (X.690) as a tree, so that a change can be one of the structure, with all lengths right. */
import { mutated, oneOf } from "./mutation.ts";
import type { Mutation } from "./target.ts";

const CONSTRUCTED = 0x20;
const DEPTH_MAX = 12;
/** Of the kinds that certificates have. */
const TAGS = [
  0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0c, 0x13, 0x16, 0x17, 0x18, 0x30, 0x31, 0x80, 0x82, 0x86, 0xa0, 0xa3,
];

interface DerNode {
  tag: number;
  /** Undefined for one that has parts. */
  value: Uint8Array | undefined;
  readonly parts: DerNode[];
}

/** Undefined for bytes that are no DER. */
export function parseDer(bytes: Uint8Array): DerNode | undefined {
  const nodes = parseAll(bytes, 0);
  return nodes?.length === 1 ? nodes[0] : undefined;
}

export function encodeDer({ tag, value, parts }: DerNode): Uint8Array {
  const content = value ?? Buffer.concat(parts.map(encodeDer));
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Uint8Array.from([tag, ...size, ...content]);
}

function parseAll(bytes: Uint8Array, depth: number): DerNode[] | undefined {
  const nodes: DerNode[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at]!;
    const first = bytes[at + 1] ?? 0xff;
    const lengthBytes = first < 0x80 ? 0 : first - 0x80;
    const start = at + 2 + lengthBytes;
    if (lengthBytes > 2 || start > bytes.length) return undefined;
    const length = lengthBytes === 0 ? first : bytes.subarray(at + 2, start).reduce((sum, byte) => sum * 256 + byte, 0);
    const value = bytes.subarray(start, start + length);
    if (value.length < length) return undefined;
    const parts = (tag & CONSTRUCTED) !== 0 && depth < DEPTH_MAX ? parseAll(value, depth + 1) : undefined;
    nodes.push({ tag, value: parts === undefined ? value : undefined, parts: parts ?? [] });
    at = start + length;
  }
  return nodes;
}

/** Undefined where the input is no DER. */
export function mutatedDer(input: Uint8Array, mutation: Mutation): Uint8Array | undefined {
  const root = parseDer(input);
  if (root === undefined) return undefined;
  const { random } = mutation;
  const all = (node: DerNode): DerNode[] => [node, ...node.parts.flatMap(all)];
  const donor = parseDer(oneOf(mutation.others, random)) ?? root;
  for (let count = 1 + Math.floor(3 * random()); count > 0; count--) {
    const node = oneOf(all(root), random);
    const at = Math.floor(node.parts.length * random());
    const changes: readonly (() => void)[] = [
      () => {
        node.tag = oneOf(TAGS, random);
      },
      () => {
        if (node.value !== undefined) node.value = mutated(node.value, mutation);
      },
      () => void node.parts.splice(at, 1),
      () => {
        if (node.parts[at] !== undefined) node.parts.splice(at, 0, structuredClone(node.parts[at]));
      },
      () => void node.parts.splice(at, 0, ...node.parts.splice(Math.floor(node.parts.length * random()), 1)),
      () => void Object.assign(node, structuredClone(oneOf(all(donor), random))),
      () => void node.parts.push(structuredClone(oneOf(all(donor), random))),
    ];
    oneOf(changes, random)();
  }
  return encodeDer(root);
}
