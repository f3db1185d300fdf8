/** Contents of files. */

/** Pseudo-random bytes by xorshift32: fast, and the same everywhere. Equal sizes and seeds give equal bytes. */
export function randomBytes(size: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(size / 4));
  let state = seed * 2654435761 || 1;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return new Uint8Array(words.buffer).subarray(0, size);
}
