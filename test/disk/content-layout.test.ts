/** Positions and lengths of chunks, against the bytes of the entries. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Bitfield } from "../../src/core/bitfield.ts";
import { ContentLayout } from "../../src/disk/content-layout.ts";

/** Small, so that chunks begin and end in the middle of entries. */
const chunkSize = 4;

const layouts = fc.array(fc.nat({ max: 11 }), { maxLength: 6 }).map((sizes) => ({
  layout: new ContentLayout({ entries: sizes.map((size, index) => ({ path: `entry ${index}`, size })), chunkSize }),
  bytes: sizes.reduce((sum, size) => sum + size, 0),
}));

test("every byte of the content is in one chunk, in order", () => {
  fc.assert(
    fc.property(layouts, ({ layout, bytes }) => {
      expect(layout.size).toBe(bytes);
      let position = 0;
      for (let chunk = 0; position < bytes; chunk++) {
        expect(layout.startOf(chunk)).toBe(position);
        expect(layout.lengthOf(chunk)).toBeGreaterThan(0);
        expect(layout.lengthOf(chunk)).toBeLessThanOrEqual(chunkSize);
        position += layout.lengthOf(chunk);
      }
      expect(position).toBe(bytes);
    }),
  );
});

test("a set of chunks has the bytes of each", () => {
  fc.assert(
    fc.property(layouts, fc.array(fc.nat({ max: 15 })), ({ layout }, picked) => {
      const chunks = new Bitfield(Math.ceil(layout.size / chunkSize));
      for (const chunk of picked) if (chunk < chunks.size) chunks.add(chunk);
      const bytes = [...chunks].reduce((sum, chunk) => sum + layout.lengthOf(chunk), 0);
      expect(layout.bytesOf(chunks)).toBe(bytes);
    }),
  );
});
