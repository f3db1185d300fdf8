/** A process to be killed while it writes: writes a part file, one chunk after the other, and prints the number of each that counts. */
import { PartFile } from "../../src/disk/part-file.ts";
import { contentOf } from "./fixtures.ts";

const [destination = "", size = "0"] = process.argv.slice(2);
const content = contentOf(Number(size));
const part = await PartFile.open({ destination, contentId: content.contentId, manifest: content.manifest });
for (let chunk = 0; chunk < content.chunkCount; chunk++) {
  await part.write(chunk, content.chunk(chunk));
  process.stdout.write(`${chunk}\n`);
}
// Stays with the lock held until it is killed.
setInterval(() => undefined, 60_000);
