/**
 * The dashboard in a real browser, over the compiled executable. A page is opened as a user opens it: by the link that
 * `dashboard` prints. With P2PFS_SCREENSHOTS=DIR every `look` leaves a picture there, to be looked at.
 */
import { describe } from "bun:test";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { launchChromium } from "../../scripts/lib/chromium.ts";
import { missingPackage } from "../../scripts/lib/debian.ts";
import type { Role, Roles } from "../../scripts/lib/roles.ts";
import { closeLater } from "../support/closing.ts";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** Longer than any machine needs; nothing depends on how long it takes. */
const WAIT_MS_MAX = 20_000;

export const viewports = {
  desktop: { width: 1280, height: 860 },
  phone: { width: 390, height: 844 },
} as const;
export type Viewport = keyof typeof viewports;

const missing = missingPackage("chromium");

/** As `describe`, skipped with the reason where there is no browser. */
export function inBrowser(title: string, body: () => void): void {
  describe.skipIf(missing !== undefined)(missing === undefined ? title : `${title} ${missing}`, body);
}

/** The same, once for each viewport. */
export function inEachViewport(title: string, body: (viewport: Viewport) => void): void {
  for (const viewport of Object.keys(viewports) as Viewport[])
    inBrowser(`${title} on a ${viewport}`, () => body(viewport));
}

export interface OpenPage {
  readonly page: Page;
  /** What the page complained about: errors in scripts, refusals of the policy. */
  readonly complaints: string[];
  /** Goes to a view by its entry in the navigation. */
  goTo(view: string): Promise<void>;
  /** Faults that axe calls serious or critical; takes a picture as well. */
  look(name: string): Promise<string[]>;
  /** Whether the page has to be scrolled sideways. */
  overflows(): Promise<boolean>;
  close(): Promise<void>;
}

export class Pages {
  readonly #browser: Browser;
  readonly #roles: Roles;

  private constructor(browser: Browser, roles: Roles) {
    this.#browser = browser;
    this.#roles = roles;
  }

  /** The browser is closed after the test, and every page with it. */
  static async launch(roles: Roles): Promise<Pages> {
    const browser = closeLater(await launchChromium(), (browser) => browser.close());
    return new Pages(browser, roles);
  }

  /** The page of a running role. */
  async open(
    kind: "tracker" | "peer",
    role: Pick<Role, "data">,
    viewport: Viewport,
    colorScheme: "light" | "dark" = "light",
  ): Promise<OpenPage> {
    const link = await this.#roles.ask([kind, "dashboard", "--data", role.data]);
    const context = await this.#browser.newContext({ viewport: viewports[viewport], colorScheme });
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS_MAX);
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      // The browser reports a role that ended as well; that is for the page to show.
      if (message.type() === "error" && !/net::ERR_|status of (?:4|5)\d\d/.test(message.text()))
        complaints.push(message.text());
    });
    await page.goto(link.trim());
    await page.getByText("Live", { exact: true }).waitFor();
    return {
      page,
      complaints,
      goTo: async (view) => {
        await page.getByRole("navigation", { name: "Views" }).getByRole("link", { name: view }).click();
        await page.getByRole("heading", { level: 1, name: view }).waitFor();
      },
      look: (name) => look(page, `${kind}-${viewport}-${colorScheme}-${name}`),
      overflows: () => page.evaluate("document.documentElement.scrollWidth > innerWidth"),
      close: () => context.close(),
    };
  }

  /** The page of a role by a link that leads nowhere any more. */
  async openLocked(role: Pick<Role, "data">, viewport: Viewport): Promise<Pick<OpenPage, "page" | "look" | "close">> {
    const { url } = JSON.parse(readFileSync(join(role.data, "admin.json"), "utf8")) as { url: string };
    const context = await this.#browser.newContext({ viewport: viewports[viewport] });
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS_MAX);
    await page.goto(`${url}/#code=${"x".repeat(43)}`);
    return { page, look: (name) => look(page, `${viewport}-${name}`), close: () => context.close() };
  }
}

async function look(page: Page, name: string): Promise<string[]> {
  const folder = process.env.P2PFS_SCREENSHOTS;
  if (folder !== undefined) await page.screenshot({ path: join(folder, `${name}.png`) });
  // Evaluated by the debugger's way, which the page's policy does not concern.
  await page.evaluate(axeSource);
  const violations = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } };
    return (await axe.run()).violations;
  });
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${name}: ${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`);
}

interface Violation {
  readonly id: string;
  readonly impact: string | null;
  readonly nodes: readonly { readonly html: string }[];
}
