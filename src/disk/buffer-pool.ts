/**
 * A pool of chunk buffers. Allocating a chunk's memory each time costs page faults and garbage collection, which is
 * noticeable at a gigabyte a second. The pool bounds the idle buffers; its users bound those in use.
 */
import { CHUNK_SIZE_MAX, CHUNK_SIZE_MIN } from "../core/limits.ts";

export class BufferPool {
  readonly #idleBytesMax: number;
  readonly #idle = new Map<number, ArrayBufferLike[]>();
  readonly #taken = new Set<ArrayBufferLike>();
  #idleBytes = 0;
  #takenBytes = 0;

  constructor(idleBytesMax: number) {
    this.#idleBytesMax = idleBytesMax;
  }

  get idleBytes(): number {
    return this.#idleBytes;
  }

  /** Total capacity of the buffers in use, in bytes. */
  get takenBytes(): number {
    return this.#takenBytes;
  }

  /** A buffer of exactly this length, with arbitrary content. */
  acquire(bytes: number): Uint8Array {
    const capacity = capacityFor(bytes);
    const reused = this.#idle.get(capacity)?.pop();
    if (reused !== undefined) this.#idleBytes -= capacity;
    const memory = reused ?? Buffer.allocUnsafeSlow(capacity).buffer;
    this.#taken.add(memory);
    this.#takenBytes += capacity;
    return new Uint8Array(memory, 0, bytes);
  }

  /** Returns the buffer to the pool; neither it nor a view of it may be used afterwards. */
  release(buffer: Uint8Array): void {
    const memory = buffer.buffer;
    if (!this.#taken.delete(memory)) throw new RangeError("a buffer is released that is not in use");
    this.#takenBytes -= memory.byteLength;
    if (this.#idleBytes + memory.byteLength > this.#idleBytesMax) return;
    this.#idleBytes += memory.byteLength;
    const shelf = this.#idle.get(memory.byteLength);
    if (shelf === undefined) this.#idle.set(memory.byteLength, [memory]);
    else shelf.push(memory);
  }
}

/** A power of two, so that last chunks, which may have any length, share the buffers of whole ones. */
function capacityFor(bytes: number): number {
  if (bytes > CHUNK_SIZE_MAX) throw new RangeError(`no chunk has ${bytes} bytes`);
  let capacity = CHUNK_SIZE_MIN;
  while (capacity < bytes) capacity *= 2;
  return capacity;
}
