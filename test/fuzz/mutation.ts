/** Changed inputs: what a decoder is given after a valid input has gone through bad hands. */
import type { Mutation } from "./target.ts";

const CHANGES_MAX = 6;
const RUN_BYTES_MAX = 64;
const INPUT_BYTES_MAX = 64 * 1024;
const BYTES = [0x00, 0x01, 0x0a, 0x20, 0x22, 0x2f, 0x7f, 0x80, 0xc0, 0xff];
/** Lengths and numbers near the bounds of their types. */
const NUMBERS = [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

export function oneOf<Item>(items: readonly Item[], random: () => number): Item {
  return items[Math.floor(items.length * random())]!;
}

export function mutated(input: Uint8Array, { others, words, random }: Mutation): Uint8Array {
  let bytes = [...input];
  const below = (count: number) => Math.floor(count * random());
  const runLength = () => 1 + below(RUN_BYTES_MAX);
  const insert = (part: Iterable<number>) => void bytes.splice(below(bytes.length + 1), 0, ...part);
  const replace = (part: Iterable<number>) => {
    const given = [...part];
    bytes.splice(below(bytes.length), given.length, ...given);
  };
  const changes: readonly (() => void)[] = [
    () => {
      if (bytes.length > 0) bytes[below(bytes.length)]! ^= 1 << below(8);
    },
    () => replace([oneOf(BYTES, random)]),
    () => replace([below(256)]),
    () => insert(new Array<number>(runLength()).fill(oneOf(BYTES, random))),
    () => void bytes.splice(below(bytes.length), runLength()),
    () => void bytes.splice(below(bytes.length), 1),
    () => {
      const start = below(bytes.length);
      insert(bytes.slice(start, start + runLength()));
    },
    () => {
      const other = oneOf(others, random);
      const start = below(other.length);
      insert(other.subarray(start, start + runLength()));
    },
    () => {
      bytes = bytes.slice(0, below(bytes.length + 1));
    },
    () => replace(bigEndian(oneOf(NUMBERS, random), oneOf([1, 2, 4], random))),
    () => replace(bigEndian(oneOf(NUMBERS, random), 4).toReversed()),
    () => {
      if (words.length > 0) oneOf([insert, replace], random)(oneOf(words, random));
    },
  ];
  // Mostly one or two.
  for (let count = 1 + Math.floor(CHANGES_MAX * random() ** 3); count > 0; count--) oneOf(changes, random)();
  return Uint8Array.from(bytes.slice(0, INPUT_BYTES_MAX));
}

function bigEndian(number: number, bytes: number): number[] {
  return [number >>> 24, (number >>> 16) & 0xff, (number >>> 8) & 0xff, number & 0xff].slice(4 - bytes);
}
