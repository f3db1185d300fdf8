/** State and effects of the page's views, in a browser: what begins ends, once, and what is gone stays gone. */
import { expect, test } from "bun:test";
import { symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Browser, Page } from "playwright-core";
import { launchChromium } from "../../scripts/lib/chromium.ts";
import { closeLater, openForAll } from "../support/closing.ts";
import { temporaryFolder } from "../support/folder.ts";
import { inBrowser } from "./pages.ts";

const repository = resolve(import.meta.dir, "../..");

/** A view that can be shown and hidden, and whose state is set from outside, as an answer does that comes late. */
const program = `
  import { render } from "hono/jsx/dom";
  import { useEffect, useState } from "${repository}/src/admin/ui/view-state.ts";
  const counts = globalThis.counts = { begun: 0, ended: 0, detached: 0 };
  function Inner() {
    const [turn, setTurn] = useState(0);
    globalThis.setTurn = setTurn;
    useEffect(() => {
      counts.begun++;
      if (document.querySelector(".inner") === null) counts.detached++;
      return () => { counts.ended++; };
    }, []);
    return <p class="inner">{turn}</p>;
  }
  function Outer() {
    const [isShown, setShown] = useState(true);
    globalThis.setShown = setShown;
    return <div>{isShown ? <Inner /> : <b>hidden</b>}</div>;
  }
  render(<Outer />, document.getElementById("app"));
  // Drawn again before the browser has drawn it at all.
  queueMicrotask(() => setTurn(1));
`;

inBrowser("state of views", () => {
  let script = "";
  let browser: Browser;

  openForAll(async () => {
    const folder = temporaryFolder();
    await symlink(join(repository, "node_modules"), join(folder, "node_modules"));
    await writeFile(join(folder, "page.tsx"), `/** @jsxImportSource hono/jsx/dom */${program}`);
    const built = await Bun.build({ entrypoints: [join(folder, "page.tsx")], target: "browser", format: "iife" });
    script = await built.outputs[0]!.text();
    browser = closeLater(await launchChromium(), (browser) => browser.close());
  });

  /** The view in a page of its own, after these steps, each of which the browser gets the time to draw. */
  async function after(...steps: readonly string[]): Promise<Page> {
    const page = await browser.newPage();
    await page.setContent('<div id="app"></div>');
    for (const step of [script, ...steps]) {
      await page.evaluate(step);
      await page.evaluate("new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)))");
    }
    return page;
  }

  const shown = (page: Page) => page.locator(".inner").allInnerTexts();
  const counts = (page: Page) => page.evaluate<object>("counts");

  test("an effect begins once, in the document, though the view is drawn again at once; and ends once", async () => {
    const page = await after("setTurn(2)", "setTurn(3)");
    expect(await shown(page)).toEqual(["3"]);
    expect(await counts(page)).toEqual({ begun: 1, ended: 0, detached: 0 });
    await page.evaluate("setShown(false)");
    expect(await counts(page)).toEqual({ begun: 1, ended: 1, detached: 0 });
  });

  test("a state that is set too late does not bring a view back", async () => {
    const page = await after("setShown(false)", "setTurn(1)", "setTurn(2)", "setTurn(3)");
    expect(await shown(page)).toEqual([]);
    expect(await page.locator("#app").textContent()).toBe("hidden");
  });

  test("a view that is gone before the next frame leaves no effect running", async () => {
    const page = await after(
      "setShown(false)",
      "(async () => { setShown(true); await 0; await 0; await 0; setShown(false); })()",
    );
    const { begun, ended } = (await counts(page)) as { begun: number; ended: number };
    expect(begun).toBe(ended);
    expect(await shown(page)).toEqual([]);
  });
});
