/**
 * Reads a header's MessagePack without building anything from it: whether it is one map of the kinds of values that the
 * protocol uses, within the bounds of its message, and which request it belongs to. What a stranger's bytes would become
 * is known, and bounded, before the first object is made of them; README.md says what is refused and why.
 *
 * https://github.com/msgpack/msgpack/blob/master/spec.md
 */

/** Lists of maps of lists, inside the map of the fields; nothing in the protocol is nested deeper. */
export const NESTING_MAX = 4;
/** Fields of one map, those of later versions included. */
export const MAP_KEYS_MAX = 32;

export type HeaderScan =
  | {
      /** Why the header is refused; undefined where it is well-formed and within bounds. */
      readonly fault?: undefined;
      /** The field `request`, where it is a request id. */
      readonly request: number | null;
    }
  | { readonly fault: string; readonly request: number | null };

/** What a header may hold, at whatever depth. */
export interface HeaderBounds {
  /** Values of every kind, the keys of its maps included. */
  readonly valuesMax: number;
  /** Maps and arrays among them: each becomes an object, which costs memory even if it is empty. */
  readonly containersMax: number;
}

export function scanHeader(header: Uint8Array, bounds: HeaderBounds): HeaderScan {
  const scanner = new Scanner(header, bounds);
  try {
    scanner.scan();
    return { request: scanner.request };
  } catch (thrown) {
    if (!(thrown instanceof HeaderFault)) throw thrown;
    return { fault: thrown.message, request: scanner.request };
  }
}

class HeaderFault extends Error {
  override readonly name = "HeaderFault";
}

const REQUEST_ID_MAX = 0xffff_ffff;
const REQUEST_KEY = new TextEncoder().encode("request");
const utf8 = new TextDecoder("utf-8", { fatal: true });

class Scanner {
  request: number | null = null;
  readonly #bytes: Uint8Array;
  #offset = 0;
  #valuesLeft: number;
  #containersLeft: number;

  constructor(bytes: Uint8Array, { valuesMax, containersMax }: HeaderBounds) {
    this.#bytes = bytes;
    this.#valuesLeft = valuesMax;
    this.#containersLeft = containersMax;
  }

  scan(): void {
    const kind = this.#takeNumber(1);
    if (kind >> 4 === 0x8) this.#scanMap(kind & 0xf, 1);
    else if (kind === 0xde) this.#scanMap(this.#takeNumber(2), 1);
    else if (kind === 0xdf) this.#scanMap(this.#takeNumber(4), 1);
    else throw new HeaderFault("is not a map");
    if (this.#offset !== this.#bytes.length) throw new HeaderFault("has bytes behind its map");
  }

  #scanMap(count: number, depth: number): void {
    this.#countContainer();
    if (count > MAP_KEYS_MAX) throw new HeaderFault(`has a map of more than ${MAP_KEYS_MAX} fields`);
    /** Start and length of each key so far, in turn. */
    const keys: number[] = [];
    for (let index = 0; index < count; index++) {
      const length = this.#scanKey();
      const start = this.#offset - length;
      for (let i = 0; i < keys.length; i += 2) {
        if (keys[i + 1] === length && this.#areEqual(this.#bytes, keys[i]!, start, length))
          throw new HeaderFault("has a field twice");
      }
      keys.push(start, length);
      const isRequest =
        depth === 1 && length === REQUEST_KEY.length && this.#areEqual(REQUEST_KEY, 0, start, REQUEST_KEY.length);
      const value = this.#scanValue(depth);
      if (isRequest && value !== undefined) this.request = value;
    }
  }

  /** Returns the length of the key, at whose end it stops. */
  #scanKey(): number {
    this.#countValue();
    const length = this.#stringLength(this.#takeNumber(1));
    if (length === undefined) throw new HeaderFault("has a field whose name is no string");
    this.#scanString(length);
    return length;
  }

  /** Passes over one value; a number that can be a request id is returned. */
  #scanValue(depth: number): number | undefined {
    this.#countValue();
    const kind = this.#takeNumber(1);
    if (kind < 0x80) return kind;
    if (kind >= 0xe0) return undefined;
    const stringLength = this.#stringLength(kind);
    if (stringLength !== undefined) return this.#scanString(stringLength);
    if (kind < 0x90) return this.#scanInnerMap(kind & 0xf, depth);
    if (kind < 0xa0) return this.#scanArray(kind & 0xf, depth);
    switch (kind) {
      case 0xc0: // nil
      case 0xc2: // false
      case 0xc3: // true
        return undefined;
      case 0xc4: // bin 8, 16, 32
      case 0xc5:
      case 0xc6:
        return void this.#take(this.#takeNumber(1 << (kind - 0xc4)));
      case 0xca: // float 32, 64
        return asRequestId(this.#view(4).getFloat32(0));
      case 0xcb:
        return asRequestId(this.#view(8).getFloat64(0));
      case 0xcc: // unsigned 8, 16, 32, 64
      case 0xcd:
      case 0xce:
      case 0xcf:
        return asRequestId(this.#takeNumber(1 << (kind - 0xcc)));
      case 0xd0: // signed 8, 16, 32, 64: a number without its sign bit
      case 0xd1:
      case 0xd2:
      case 0xd3: {
        const isNegative = this.#bytes[this.#offset]! >= 0x80;
        const number = this.#takeNumber(1 << (kind - 0xd0));
        return isNegative ? undefined : asRequestId(number);
      }
      case 0xdc: // array 16, 32
      case 0xdd:
        return this.#scanArray(this.#takeNumber(2 << (kind - 0xdc)), depth);
      case 0xde: // map 16, 32
      case 0xdf:
        return this.#scanInnerMap(this.#takeNumber(2 << (kind - 0xde)), depth);
      default:
        throw new HeaderFault("has an extension type, or a byte that MessagePack never uses");
    }
  }

  #scanInnerMap(count: number, depth: number): undefined {
    if (depth === NESTING_MAX) throw new HeaderFault("is nested too deep");
    this.#scanMap(count, depth + 1);
  }

  #scanArray(count: number, depth: number): undefined {
    if (depth === NESTING_MAX) throw new HeaderFault("is nested too deep");
    this.#countContainer();
    if (count > this.#valuesLeft) throw tooManyValues();
    for (let index = 0; index < count; index++) this.#scanValue(depth + 1);
  }

  /** Invalid UTF-8 would be read as other text than was sent, and not as the same by everybody. */
  #scanString(length: number): undefined {
    const start = this.#take(length);
    const bytes = this.#bytes;
    for (let offset = start; offset < this.#offset; offset++) {
      if (bytes[offset]! < 0x80) continue;
      try {
        utf8.decode(bytes.subarray(offset, this.#offset));
        return;
      } catch {
        throw new HeaderFault("has a string that is not UTF-8");
      }
    }
  }

  /** Takes the length that belongs to a string of this kind; undefined for other kinds. */
  #stringLength(kind: number): number | undefined {
    if (kind >> 5 === 0b101) return kind & 0x1f;
    return kind >= 0xd9 && kind <= 0xdb ? this.#takeNumber(1 << (kind - 0xd9)) : undefined;
  }

  #countValue(): void {
    if (this.#valuesLeft-- === 0) throw tooManyValues();
  }

  #countContainer(): void {
    if (this.#containersLeft-- === 0) throw tooManyValues();
  }

  /** Moves past so many bytes; returns where they begin. */
  #take(count: number): number {
    const start = this.#offset;
    if (count > this.#bytes.length - start) throw new HeaderFault("ends early");
    this.#offset = start + count;
    return start;
  }

  /** An unsigned number of so many bytes; above 2^53 not exactly, where the protocol has no use for it. */
  #takeNumber(byteCount: number): number {
    let offset = this.#take(byteCount);
    let number = 0;
    while (offset < this.#offset) number = number * 256 + this.#bytes[offset++]!;
    return number;
  }

  #view(byteCount: number): DataView {
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + this.#take(byteCount), byteCount);
  }

  /** Whether the bytes from `start` of the header are those of `word` from `wordStart`. */
  #areEqual(word: Uint8Array, wordStart: number, start: number, length: number): boolean {
    for (let index = 0; index < length; index++) {
      if (word[wordStart + index] !== this.#bytes[start + index]) return false;
    }
    return true;
  }
}

function asRequestId(value: number): number | undefined {
  return Number.isInteger(value) && value >= 0 && value <= REQUEST_ID_MAX ? value : undefined;
}

function tooManyValues(): HeaderFault {
  return new HeaderFault("has more values than its message can have");
}
