/** Changed inputs: what a decoder is given after a valid input has gone through bad hands. */

const CHANGES_MAX = 6;
const RUN_BYTES_MAX = 64;
const BYTES = [0x00, 0x01, 0x0a, 0x20, 0x22, 0x2f, 0x7f, 0x80, 0xc0, 0xff];
/** Lengths and numbers near the bounds of their types. */
const NUMBERS = [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/** @param others inputs from which parts are taken */
export function mutated(input: Uint8Array, others: readonly Uint8Array[], random: () => number): Uint8Array {
  let bytes = [...input];
  const below = (count: number) => Math.floor(count * random());
  const oneOf = <Item>(items: readonly Item[]) => items[below(items.length)]!;
  const changes: readonly (() => void)[] = [
    () => {
      if (bytes.length > 0) bytes[below(bytes.length)]! ^= 1 << below(8);
    },
    () => {
      if (bytes.length > 0) bytes[below(bytes.length)] = oneOf(BYTES);
    },
    () => bytes.splice(below(bytes.length + 1), 0, ...run(oneOf(BYTES), 1 + below(RUN_BYTES_MAX))),
    () => bytes.splice(below(bytes.length), 1 + below(RUN_BYTES_MAX)),
    () => {
      const start = below(bytes.length);
      bytes.splice(below(bytes.length + 1), 0, ...bytes.slice(start, start + 1 + below(RUN_BYTES_MAX)));
    },
    () => {
      const other = oneOf(others);
      const start = below(other.length);
      bytes.splice(below(bytes.length + 1), 0, ...other.subarray(start, start + 1 + below(RUN_BYTES_MAX)));
    },
    () => {
      bytes = bytes.slice(0, below(bytes.length + 1));
    },
    () => bytes.splice(below(bytes.length), 4, ...bigEndian(oneOf(NUMBERS))),
    () => bytes.splice(below(bytes.length), 4, ...bigEndian(oneOf(NUMBERS)).toReversed()),
  ];
  for (let count = 1 + below(CHANGES_MAX); count > 0; count--) oneOf(changes)();
  return Uint8Array.from(bytes);
}

function run(byte: number, length: number): number[] {
  return new Array<number>(length).fill(byte);
}

function bigEndian(number: number): number[] {
  return [number >>> 24, (number >>> 16) & 0xff, (number >>> 8) & 0xff, number & 0xff];
}
