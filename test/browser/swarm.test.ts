/** The members of a private swarm on the tracker's page: invite, approve, remove (S2, S5), on a desk and on a phone. */
import { expect } from "bun:test";
import { join } from "node:path";
import { lastingPort } from "../../scripts/lib/ports.ts";
import type { Role, Roles } from "../../scripts/lib/roles.ts";
import { openForAll } from "../support/closing.ts";
import { openExecutable } from "../support/executable.ts";
import { story } from "../support/story.ts";
import { inEachViewport, type OpenPage, Pages } from "./pages.ts";

inEachViewport("the members on the tracker's page", (viewport) => {
  const step = story();
  let roles: Roles;
  let tracker: Role;
  let open: OpenPage;

  openForAll(async () => {
    roles = await openExecutable();
    await roles.ask(["swarm", "create", "lab", "--data", join(roles.folder, "tracker")]);
    const start = ["tracker", "start", "127.0.0.1", `${await lastingPort()}`, "--admin", "127.0.0.1:0"];
    tracker = await roles.start("tracker", start, ({ address }) => address);
    const pages = await Pages.launch(roles);
    open = await pages.open("tracker", tracker, viewport, viewport === "phone" ? "dark" : "light");
  });

  const joins = (name: string, line: string) =>
    roles.spawn(["swarm", "join", line.split(" ").at(-1)!, "--name", name, "--data", join(roles.folder, name)]);

  async function invite(fill: () => Promise<void>): Promise<string> {
    const { page } = open;
    await page.getByRole("button", { name: "Let machines in" }).click();
    await fill();
    await page.getByRole("button", { name: "Make the invitation" }).click();
    await page.getByRole("img", { name: "The same line as a QR code" }).waitFor();
    const line = (await page.locator(".invitation-line code").textContent())!;
    expect(await open.look("invitation")).toEqual([]);
    await page.getByRole("button", { name: "Done" }).click();
    return line;
  }

  step("an invitation shows its line and a QR code, and lets a machine in (S2)", async () => {
    const { page } = open;
    await open.goTo("Members");
    const line = await invite(() => page.getByLabel("Note").fill("room 12"));
    expect(line).toMatch(/^p2pfs swarm join p2pfs-join:[\w-]+$/);
    await page.getByRole("table", { name: "Invitations" }).getByText("room 12").waitFor();
    expect(await joins("anna", line).exited).toBe(0);
    await page.getByRole("table", { name: "Members" }).getByText("anna", { exact: true }).first().waitFor();
    expect(await open.look("members")).toEqual([]);
    expect(await open.overflows()).toBe(false);
  });

  step("a machine that waits is let in by Approve (S2, S5)", async () => {
    const { page } = open;
    const line = await invite(() => page.getByLabel("waits until somebody approves").check());
    const joining = joins("ben", line);
    await page.getByRole("button", { name: "Approve ben" }).click();
    expect(await joining.exited).toBe(0);
    await page.getByText("ben is a member now.").waitFor();
    await page.getByRole("button", { name: "Approve ben" }).waitFor({ state: "detached" });
  });

  step("a member is removed after the page has asked (S5)", async () => {
    const { page } = open;
    await page.getByRole("button", { name: "Remove ben" }).click();
    expect(await open.look("remove")).toEqual([]);
    await page.getByRole("button", { name: "Remove it" }).click();
    await page.getByText("ben is no member any more.").waitFor();
    await page.getByRole("button", { name: "Remove ben" }).waitFor({ state: "detached" });
  });

  step("an invitation is ended from its row (S2)", async () => {
    const { page } = open;
    await invite(() => page.getByLabel("Machines that can join by it").fill("30"));
    await page.getByText("0 of 30").waitFor();
    await page.getByRole("row", { name: "0 of 30" }).getByRole("button", { name: "End" }).click();
    await page.getByText("0 of 30").waitFor({ state: "detached" });
    expect(open.complaints).toEqual([]);
  });
});
