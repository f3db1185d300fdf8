/** The boot id outlives processes. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { bootId } from "../../src/disk/boot-id.ts";
import { outputOf } from "../support/child.ts";

test("the boot id is the same in every process of this boot", () => {
  const module = join(import.meta.dir, "../../src/disk/boot-id.ts");
  const script = `import { bootId } from "${module}"; console.log(bootId())`;
  const other = outputOf(script);
  expect(other).not.toBe("");
  expect(other).toBe(bootId());
});
