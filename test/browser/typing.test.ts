/**
 * The page is drawn anew by every event. Nothing that somebody types may get lost by that, and no list may show under a
 * name that is not its own.
 */
import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Locator } from "playwright-core";
import type { Role, Roles } from "../../scripts/lib/roles.ts";
import { closeLater, openForAll } from "../support/closing.ts";
import { askJson, openExecutable } from "../support/executable.ts";
import { until } from "../support/until.ts";
import { inBrowser, type OpenPage, Pages } from "./pages.ts";

const TEST_MS_MAX = 60_000;
/** As somebody types who is in a hurry; about the pace of the events. */
const KEY_MS = 15;

inBrowser("typing while the swarm changes", () => {
  let roles: Roles;
  let pages: Pages;
  let folder = "";
  let tracker: Role;
  let anna: Role;
  let ben: Role;
  let flood: Flood;

  openForAll(async () => {
    roles = await openExecutable();
    ({ folder } = roles);
    mkdirSync(join(folder, "files"));
    for (const name of ["steady", "flood"]) writeFileSync(join(folder, "files", name), name);
    tracker = await roles.tracker();
    [anna, ben] = await Promise.all([roles.peer("anna", tracker), roles.peer("ben", tracker)]);
    for (const peer of [anna, ben])
      await askJson(roles, "peer", peer, "publish", join(folder, "files", "steady"), `of ${peer.name}`);
    pages = await Pages.launch(roles);
    flood = closeLater(new Flood(ben, join(folder, "files", "flood")), (flood) => flood.stop());
  });

  const limits = (...flags: string[]) => askJson(roles, "peer", anna, "limits", ...flags);

  /** Types letter by letter into a field, and looks whether every letter is there. */
  async function type(field: Locator, text: string): Promise<void> {
    await field.click();
    await field.press("ControlOrMeta+a");
    await field.pressSequentially(text, { delay: KEY_MS });
    expect(await field.inputValue()).toBe(text);
  }

  async function typeInto(
    open: OpenPage,
    view: string,
    labels: readonly string[],
    text = "10.20.30.40:506",
  ): Promise<void> {
    await open.goTo(view);
    for (const label of labels) await type(open.page.getByLabel(label), text);
    for (const label of labels) expect(await open.page.getByLabel(label).inputValue()).toBe(text);
  }

  test(
    "every field of the tracker's page",
    async () => {
      const open = await pages.open("tracker", tracker, "desktop");
      await flood.during(async () => {
        await typeInto(open, "Overview", ["Move to address"]);
        await typeInto(open, "Overview", ["Port"], "12345");
        await typeInto(open, "Peers", ["Search addresses and hosts"]);
        await typeInto(open, "Files", ["Search names, paths, peers"]);
        await typeInto(open, "Chunks", ["Search files and holders"]);
        await open.goTo("Peers");
        await open.page.getByRole("button", { name: `Files of ${anna.address}` }).click();
        await type(open.page.getByRole("dialog").getByLabel("Search names, paths, peers"), "of anna");
      });
      expect(open.complaints).toEqual([]);
      await open.close();
    },
    TEST_MS_MAX,
  );

  test(
    "every field of a peer's page",
    async () => {
      const open = await pages.open("peer", ben, "desktop");
      const dialog = open.page.getByRole("dialog");
      await flood.during(async () => {
        await typeInto(open, "Overview", ["Join another tracker"]);
        await typeInto(open, "Overview", ["Receive at most", "Send at most"], "1234.5");
        await typeInto(open, "Files", ["Search names, paths, peers", "Files of one peer: its address"]);
        await open.goTo("Shared");
        await open.page.getByRole("button", { name: "Share a file" }).click();
        const path = dialog.getByLabel("Folder; type another");
        await type(path, join(folder, "files"));
        await path.press("Enter");
        await dialog.getByRole("button", { name: "steady" }).click();
        await type(dialog.getByLabel("Shared as"), "another name of it");
        await type(path, join(folder, "no such folder"));
        await path.press("Enter");
        await dialog.getByText("no such folder").first().waitFor();
        expect(await path.inputValue()).toBe(join(folder, "no such folder"));
        expect(await dialog.getByLabel("Shared as").inputValue()).toBe("another name of it");
        await open.page.keyboard.press("Escape");
        await open.goTo("Transfers");
        await open.page.getByRole("button", { name: "Fetch by name or ticket" }).click();
        await type(dialog.getByLabel("Whose file"), "10.20.30.40:5060");
        await type(dialog.getByLabel("Name or ticket"), "a film that nobody has.mkv");
        expect(await dialog.getByLabel("Whose file").inputValue()).toBe("10.20.30.40:5060");
      });
      expect(open.complaints).toEqual([]);
      await open.close();
    },
    TEST_MS_MAX,
  );

  test(
    "a limit that is being typed is not replaced by one that is set elsewhere",
    async () => {
      const open = await pages.open("peer", anna, "desktop");
      const { page } = open;
      await open.goTo("Overview");
      await type(page.getByLabel("Receive at most"), "7");
      await limits("--down-limit", "5MiB/s", "--up-limit", "3MiB/s");
      // The other field, which nobody typed in, shows that the page knows.
      await until("the new limit shows", async () => (await page.getByLabel("Send at most").inputValue()) === "3");
      expect(await page.getByLabel("Receive at most").inputValue()).toBe("7");
      await page.getByRole("button", { name: "Apply" }).click();
      await page.getByText("The limits hold from now on.").waitFor();
      const status = await askJson(roles, "peer", anna, "status");
      expect(status).toMatchObject({ down_limit: 7 * 1024 * 1024, up_limit: 3 * 1024 * 1024 });
      await limits("--down-limit", "none", "--up-limit", "none");
      await open.close();
    },
    TEST_MS_MAX,
  );

  test(
    "the file list of one peer, of another, and of all always shows what its caption names",
    async () => {
      const open = await pages.open("peer", ben, "desktop");
      const { page } = open;
      await open.goTo("Files");
      await page.getByRole("row").filter({ hasText: "of anna" }).waitFor();
      // Looks at every state of the document, however short.
      await page.evaluate(`
        globalThis.mixed = [];
        const look = () => {
          const named = /^Files of (.*)$/.exec(document.querySelector("caption")?.textContent ?? "")?.[1];
          if (named === undefined) return;
          for (const row of document.querySelectorAll("tbody tr"))
            if (!row.textContent.includes(named)) mixed.push(named + ": " + row.textContent);
        };
        new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
      `);
      await flood.during(async () => {
        for (const peer of [anna, ben, anna]) {
          const field = page.getByLabel("Files of one peer: its address");
          await type(field, peer.address);
          await page.getByRole("button", { name: "Discover" }).click();
          await page
            .getByRole("row")
            .filter({ hasText: `of ${peer.name}` })
            .waitFor();
          await page.getByRole("button", { name: "All peers" }).click();
          expect(await field.inputValue()).toBe("");
        }
      });
      expect(await page.evaluate<string[]>("mixed")).toEqual([]);
      await open.close();
    },
    TEST_MS_MAX,
  );
});

/** Events without end: a peer that publishes a file and takes it back. */
class Flood {
  readonly #peer: Role;
  readonly #path: string;
  #isOn = false;
  #running: Promise<void> = Promise.resolve();

  constructor(peer: Role, path: string) {
    this.#peer = peer;
    this.#path = path;
  }

  async during(work: () => Promise<void>): Promise<void> {
    this.#isOn = true;
    this.#running = this.#run();
    try {
      await work();
    } finally {
      await this.stop();
    }
  }

  stop(): Promise<void> {
    this.#isOn = false;
    return this.#running;
  }

  async #run(): Promise<void> {
    while (this.#isOn) {
      const share = { path: this.#path, lname: "flood", fname: "flood" };
      await (await this.#peer.call("/api/shares", { method: "POST", json: share })).text();
      await (await this.#peer.call("/api/shares/flood", { method: "DELETE" })).text();
    }
  }
}
