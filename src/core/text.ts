/** Lengths of text in bytes of UTF-8, which all implementations of the protocol count alike. */

/** Whether the text has at most `bytesMax` bytes. Most texts are short enough to tell without encoding them. */
export function fitsBytes(text: string, bytesMax: number): boolean {
  return text.length * BYTES_PER_UNIT_MAX <= bytesMax || new TextEncoder().encode(text).length <= bytesMax;
}

/** The text, or as many characters from its beginning as fit into `bytesMax`. */
export function clipToBytes(text: string, bytesMax: number): string {
  if (fitsBytes(text, bytesMax)) return text;
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(bytesMax));
  return text.slice(0, read);
}

/** Bytes of one UTF-16 code unit in UTF-8. */
const BYTES_PER_UNIT_MAX = 3;
