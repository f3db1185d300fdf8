/** Every function of the tracker on its page (F6–F12, N3), at the width of a desk and of a phone. */
import { expect } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Role, Roles } from "../../scripts/lib/roles.ts";
import { openForAll } from "../support/closing.ts";
import { askJson, openExecutable } from "../support/executable.ts";
import { story } from "../support/story.ts";
import { inEachViewport, type OpenPage, Pages } from "./pages.ts";

const MARKUP = "<img src=x onerror=alert(1)>";
/** 255 bytes, the longest name that a file can have. */
const LONG = `${"ü".repeat(125)}.docx`;

inEachViewport("the tracker's page", (viewport) => {
  const step = story();
  let roles: Roles;
  let pages: Pages;
  let folder = "";
  let tracker: Role;
  let peer: Role;
  let open: OpenPage;

  openForAll(async () => {
    roles = await openExecutable();
    ({ folder } = roles);
    // Running, and not listening: that is what the page is for.
    tracker = await roles.start("tracker", ["tracker", "--admin", "127.0.0.1:0"], () => "not listening");
    pages = await Pages.launch(roles);
    open = await pages.open("tracker", tracker, viewport, viewport === "phone" ? "dark" : "light");
  });

  async function publish(name: string, bytes: number): Promise<void> {
    // Its path, which others are shown, would read "source exe.txt" if the sign in it had its way.
    const path = join(folder, `source ${bytes} \u202Etxt.exe`);
    writeFileSync(path, new Uint8Array(bytes).fill(name.length));
    await askJson(roles, "peer", peer, "publish", path, name);
  }

  step("a page without a token says how to get one", async () => {
    const { page, look, close } = await pages.openLocked(tracker, viewport);
    await page.getByRole("heading", { name: "This tracker is locked" }).waitFor();
    await page.getByText("p2pfs tracker dashboard").waitFor();
    expect(page.url()).not.toContain("#");
    await page.getByText("I have the token").click();
    await page.getByLabel("Token from").fill("wrong");
    await page.getByRole("button", { name: "Unlock" }).click();
    await page.getByText("This is not the token").waitFor();
    expect(await look("locked")).toEqual([]);
    const { token } = JSON.parse(readFileSync(join(tracker.data, "admin.json"), "utf8")) as { token: string };
    await page.getByLabel("Token from").fill(token);
    await page.getByRole("button", { name: "Unlock" }).click();
    await page.getByText("Live", { exact: true }).waitFor();
    await close();
  });

  step("start (F6)", async () => {
    const { page } = open;
    await page.getByRole("heading", { name: "Not listening yet" }).waitFor();
    expect(await open.look("not-listening")).toEqual([]);
    await page.getByLabel("Port").fill("0");
    await page.getByRole("button", { name: "Start listening" }).click();
    await page.getByRole("heading", { name: "Listening", exact: true }).waitFor();
    const { address } = await askJson(roles, "tracker", tracker, "status");
    await page.getByRole("main").getByText(address, { exact: true }).first().waitFor();
    peer = await roles.peer("peer", { address });
  });

  step("peers show as they join (F7), and answer a ping (F8)", async () => {
    const { page } = open;
    await open.goTo("Peers");
    const row = page.getByRole("row").filter({ hasText: peer.address });
    await row.waitFor();
    await row.getByRole("button", { name: "Ping" }).click();
    await row
      .getByRole("status")
      .filter({ hasText: /^\d+(?:\.\d+)? ms$/ })
      .waitFor();
    expect(await open.look("peers")).toEqual([]);
  });

  step("files show as they are published (F10), names as text", async () => {
    const { page } = open;
    await open.goTo("Files");
    await page.getByText("Nothing is shared yet").waitFor();
    expect(await open.look("nothing-shared")).toEqual([]);
    await publish("a film.mkv", 3_000_000);
    await publish(MARKUP, 100);
    await publish(LONG, 1000);
    for (const name of ["a film.mkv", MARKUP, LONG])
      await page.getByRole("cell").getByText(name, { exact: true }).waitFor();
    expect(await page.locator("img[src=x]").count()).toBe(0);
    expect(await page.getByText("U+202E").count()).toBe(3);
    expect(await page.content()).not.toContain("\u202E");
    expect(await open.look("files")).toEqual([]);
    expect(await open.overflows()).toBe(false);
    await page.getByRole("searchbox").fill("FILM");
    await page.getByText(LONG).waitFor({ state: "detached" });
    expect(await page.getByRole("row").filter({ hasText: "a film.mkv" }).count()).toBe(1);
    await page.getByRole("searchbox").fill("");
  });

  step("the chunk map says who holds which chunks", async () => {
    const { page } = open;
    await page.getByRole("button", { name: /holders of a film\.mkv/ }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("img", { name: /every chunk has at least 1 holder/ }).waitFor();
    await dialog.getByRole("img", { name: new RegExp(`${peer.address} holds 46 of 46 chunks`) }).waitFor();
    expect(await open.look("chunk-map")).toEqual([]);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
  });

  step("by keyboard: a dialog keeps the focus, closes by Escape and gives the focus back", async () => {
    const { page } = open;
    const button = page.getByRole("button", { name: /holders of a film\.mkv/ });
    await button.focus();
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("dialog");
    await dialog.waitFor();
    for (let turn = 0; turn < 6; turn++) await page.keyboard.press("Tab");
    expect(
      await page.evaluate(
        "document.activeElement.closest('dialog') !== null || document.activeElement === document.body",
      ),
    ).toBe(true);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    expect(await page.evaluate<string>("String(document.activeElement.ariaLabel)")).toContain("holders of a film.mkv");
    await page.getByRole("link", { name: "Peers" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: "Peers" }).waitFor();
    expect(await page.evaluate("document.activeElement.textContent")).toBe("Peers");
  });

  step("the files of one peer (F9)", async () => {
    const { page } = open;
    await open.goTo("Peers");
    await page.getByRole("row").filter({ hasText: peer.address }).getByRole("button", { name: "Files" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("a film.mkv", { exact: true }).waitFor();
    expect(await dialog.getByRole("row").count()).toBeGreaterThanOrEqual(3);
    expect(await open.look("discover")).toEqual([]);
    await dialog.getByRole("button", { name: "Close" }).click();
  });

  step("which peer holds which chunks of every file (F11)", async () => {
    const { page } = open;
    await open.goTo("Chunks");
    await page.getByRole("img", { name: new RegExp(`${peer.address} holds 100 % of a film\\.mkv`) }).waitFor();
    expect(await open.look("chunks")).toEqual([]);
  });

  step("the activity list, and the API reference", async () => {
    const { page } = open;
    await open.goTo("Activity");
    await page.getByText(`${peer.address} joined`).first().waitFor();
    expect(await open.look("activity")).toEqual([]);
    await open.goTo("API");
    await page.getByText("/api/ping", { exact: true }).click();
    await page.getByText("duration_ms: number").waitFor();
    expect(await open.look("api")).toEqual([]);
  });

  step("exit (F12), and the page after it", async () => {
    const { page } = open;
    await open.goTo("Overview");
    expect(await open.look("overview")).toEqual([]);
    await page.getByRole("button", { name: "Exit" }).click();
    expect(await open.look("exit")).toEqual([]);
    await page.getByRole("button", { name: "End the tracker" }).click();
    expect(await tracker.ended).toBe(0);
    await page.getByText("The tracker does not answer").waitFor();
    expect(await open.look("offline")).toEqual([]);
    expect(open.complaints).toEqual([]);
  });
});
