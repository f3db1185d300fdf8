/** Lengths of text are counted in bytes of UTF-8, which every implementation of the protocol can do alike. */

/** Whether the text has at most so many bytes; few texts are so long that they have to be counted. */
export function fitsBytes(text: string, bytesMax: number): boolean {
  return text.length * BYTES_PER_UNIT_MAX <= bytesMax || new TextEncoder().encode(text).length <= bytesMax;
}

/** The text, or as much of its beginning as fits into so many bytes; characters stay whole. */
export function clipToBytes(text: string, bytesMax: number): string {
  if (fitsBytes(text, bytesMax)) return text;
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(bytesMax));
  return text.slice(0, read);
}

/** Of one UTF-16 code unit in UTF-8. */
const BYTES_PER_UNIT_MAX = 3;
