/** Every function of a peer on its page (F13–F18, N3), with real transfers, at the width of a desk and of a phone. */
import { expect } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Role, Roles } from "../../scripts/lib/roles.ts";
import { KiB, MiB } from "../../src/core/units.ts";
import { openForAll } from "../support/closing.ts";
import { askJson, openExecutable } from "../support/executable.ts";
import { expectBytes } from "../support/folder.ts";
import { story } from "../support/story.ts";
import { inEachViewport, type OpenPage, Pages } from "./pages.ts";

const film = randomBytes(24_000_000);

inEachViewport("the peer's page", (viewport) => {
  const step = story();
  let roles: Roles;
  let folder = "";
  let tracker: Role;
  let anna: Role;
  let ben: Role;
  let clara: Role;
  let open: OpenPage;

  openForAll(async () => {
    roles = await openExecutable();
    ({ folder } = roles);
    mkdirSync(join(folder, "browse", "downloads"), { recursive: true });
    writeFileSync(join(folder, "browse", "notes.txt"), "notes");
    writeFileSync(join(folder, "film"), film);
    tracker = await roles.tracker();
    [anna, ben] = await Promise.all([roles.peer("anna", tracker), roles.peer("ben", tracker)]);
    for (const peer of [anna, ben]) await askJson(roles, "peer", peer, "publish", join(folder, "film"), "film.mkv");
    // Joined to nobody yet: the page is to connect it.
    const args = ["peer", "start", "--tracker", "127.0.0.1:1", "--browse", join(folder, "browse")];
    clara = await roles.start("clara", args, () => "not joined");
    const pages = await Pages.launch(roles);
    open = await pages.open("peer", clara, viewport, viewport === "phone" ? "dark" : "light");
  });

  step("connect (F13)", async () => {
    const { page } = open;
    await page.getByText("Not reached").waitFor();
    expect(await open.look("not-joined")).toEqual([]);
    await page.getByLabel("Join another tracker").fill(tracker.address);
    await page.getByRole("button", { name: "Connect" }).click();
    await page.getByText(/^Joined as 127\.0\.0\.1:\d+$/).waitFor();
  });

  step("list files (F14)", async () => {
    const { page } = open;
    await open.goTo("Files");
    await page.getByRole("row").filter({ hasText: "film.mkv" }).nth(1).waitFor();
    expect(await page.getByRole("row").filter({ hasText: "film.mkv" }).count()).toBe(2);
    expect(await open.look("files")).toEqual([]);
  });

  step("publish a file of the peer's machine (F16)", async () => {
    const { page } = open;
    await open.goTo("Shared");
    await page.getByText("You share nothing yet").waitFor();
    expect(await open.look("nothing-shared")).toEqual([]);
    await page.getByRole("button", { name: "Share a file" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: /notes\.txt/ }).click();
    await dialog.getByLabel("Shared as").fill("my notes.txt");
    expect(await open.look("publish")).toEqual([]);
    await dialog.getByRole("button", { name: "Share", exact: true }).click();
    await dialog.getByText(/^p2pfs:\/\/.*\/my%20notes\.txt\?id=/).waitFor();
    expect(await open.look("published")).toEqual([]);
    await dialog.getByRole("button", { name: "Done" }).click();
    const share = page.getByRole("listitem").filter({ hasText: "my notes.txt" });
    await share.getByText("shown to others as notes.txt").waitFor();
    expect(await open.look("shared")).toEqual([]);
  });

  step("nothing outside of --browse is listed", async () => {
    const { page } = open;
    await page.getByRole("button", { name: "Share a file" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel(/^Folder; type another/).fill(folder);
    await dialog.getByLabel(/^Folder; type another/).press("Enter");
    await dialog.getByText("it shows only what is in").waitFor();
    expect(await open.look("outside")).toEqual([]);
    await page.keyboard.press("Escape");
  });

  step("discover another peer, and itself (F15)", async () => {
    const { page } = open;
    await open.goTo("Files");
    const own = (await askJson(roles, "peer", clara, "status")).address as string;
    for (const [address, name] of [
      [anna.address, "film.mkv"],
      [own, "my notes.txt"],
    ] as const) {
      await page.getByLabel("Files of one peer: its address").fill(address);
      await page.getByRole("button", { name: "Discover" }).click();
      await page.getByRole("button", { name: "All peers" }).waitFor();
      await page.getByRole("row").filter({ hasText: name }).waitFor();
      expect(await page.locator("tbody tr").count()).toBe(1);
      await page.getByRole("button", { name: "All peers" }).click();
      await page.getByRole("button", { name: "Discover" }).waitFor();
    }
  });

  step("limits", async () => {
    const { page } = open;
    await open.goTo("Overview");
    await page.getByLabel("Send at most").fill("2.5");
    // So slow that there is time for everything that is to be seen and done during a fetch.
    await page.getByLabel("Receive at most").fill("0.5");
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByText("The limits hold from now on.").waitFor();
    const status = await askJson(roles, "peer", clara, "status");
    expect(status).toMatchObject({ up_limit: 2.5 * MiB, down_limit: 512 * KiB });
    await open.goTo("Files");
  });

  step("fetch with a chosen source and destination, and its progress (F17)", async () => {
    const { page } = open;
    await page.getByRole("row").filter({ hasText: ben.address }).getByRole("button", { name: "Fetch" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("radio").nth(1).waitFor();
    await dialog.getByRole("radio", { name: new RegExp(anna.address) }).check();
    await dialog.getByRole("button", { name: "Choose a folder" }).click();
    await dialog.getByRole("button", { name: "downloads" }).click();
    expect(await open.look("fetch")).toEqual([]);
    await dialog.getByRole("button", { name: "Fetch", exact: true }).click();
    const card = page.getByRole("region", { name: "Fetch of film.mkv" });
    await card.getByText("2 sources").waitFor();
    await card.getByRole("listitem").filter({ hasText: ben.address }).waitFor();
    await card.getByRole("img", { name: /^Chunks of film\.mkv: [1-9]\d* of 367/ }).waitFor();
    await card.getByText(/^(?:\d+ min )?\d+ s left$/).waitFor();
    expect(await open.look("fetching")).toEqual([]);
  });

  step("the chunk map of the swarm during the fetch", async () => {
    const { page } = open;
    await open.goTo("Files");
    await page
      .getByRole("button", { name: /holders of film\.mkv/ })
      .first()
      .click();
    await page
      .getByRole("dialog")
      .getByRole("img", { name: /holds 367 of 367 chunks/ })
      .first()
      .waitFor();
    expect(await open.look("chunk-map")).toEqual([]);
    await page.keyboard.press("Escape");
    await open.goTo("Overview");
    await page.getByRole("progressbar", { name: "Fetch of film.mkv" }).waitFor();
    expect(await open.look("overview")).toEqual([]);
  });

  step("pause, resume, cancel, retry", async () => {
    const { page } = open;
    const destination = join(folder, "browse", "downloads", "film.mkv");
    await open.goTo("Transfers");
    await page.getByRole("button", { name: /^Pause/ }).click();
    await page.getByText("Stopped").waitFor();
    expect(await open.look("paused")).toEqual([]);
    await page.getByRole("button", { name: /^Go on/ }).click();
    await page.getByRole("button", { name: /^Cancel/ }).click();
    expect(await open.look("cancel")).toEqual([]);
    await page.getByRole("button", { name: "Cancel and delete" }).click();
    await page.getByText("Cancelled", { exact: true }).waitFor();
    expect(existsSync(destination)).toBe(false);
    await askJson(roles, "peer", clara, "limits", "--down-limit", "none");
    await page.getByRole("button", { name: /^Retry/ }).click();
    await page.getByText("Done", { exact: true }).waitFor();
    expectBytes(destination, film);
    expect(await open.look("done")).toEqual([]);
  });

  step("fetch by ticket, and an error that says what to do", async () => {
    const { page } = open;
    const { ticket } = await askJson(roles, "peer", ben, "publish", join(folder, "browse", "notes.txt"), "b.txt");
    for (const [what, text] of [
      ["no such file", "no online peer shares no such file"],
      [ticket, "Fetching b.txt"],
    ] as const) {
      await page.getByRole("button", { name: "Fetch by name or ticket" }).click();
      await page.getByLabel("Name or ticket").fill(what);
      await page.getByRole("dialog").getByRole("button", { name: "Fetch", exact: true }).click();
      await page
        .getByRole(what === ticket ? "status" : "alert")
        .getByText(text)
        .waitFor();
      expect(await open.look(what === ticket ? "ticket" : "refused")).toEqual([]);
      if (what !== ticket) await page.keyboard.press("Escape");
    }
    await page.getByRole("listitem").filter({ hasText: "b.txt" }).getByText("Done").waitFor();
    expect(readFileSync(join(clara.data, "files", "b.txt"), "utf8")).toBe("notes");
  });

  step("stop sharing", async () => {
    const { page } = open;
    await open.goTo("Shared");
    await page.getByRole("button", { name: /^Stop sharing my notes/ }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Stop sharing" }).click();
    await page.getByText("You share nothing yet").waitFor();
  });

  step("exit (F18)", async () => {
    const { page } = open;
    await open.goTo("Overview");
    await page.getByRole("button", { name: "Exit" }).click();
    await page.getByRole("button", { name: "End the peer" }).click();
    expect(await clara.ended).toBe(0);
    await page.getByText("The peer does not answer").waitFor();
    expect(await open.look("offline")).toEqual([]);
    expect(open.complaints).toEqual([]);
  });
});
