/** The frame around every view: role, state of the connection, navigation. */
import { useRef } from "hono/jsx/dom";
import { useRoute } from "./hooks.ts";
import { link } from "./live.ts";
import { Icon, type IconName } from "./parts/icons.tsx";
import { runningCount } from "./peer-state.ts";
import { type Role, role } from "./role.ts";
import { useStore } from "./store.ts";
import { type Choice, choice, choose } from "./theme.ts";
import { useEffect } from "./view-state.ts";
import { ActivityView } from "./views/activity.tsx";
import { ApiView } from "./views/api-reference.tsx";
import { PeerFiles } from "./views/peer-files.tsx";
import { PeerOverview } from "./views/peer-overview.tsx";
import { PeerShares } from "./views/peer-shares.tsx";
import { PeerTransfers } from "./views/peer-transfers.tsx";
import { TrackerChunks } from "./views/tracker-chunks.tsx";
import { TrackerFiles } from "./views/tracker-files.tsx";
import { TrackerMembers } from "./views/tracker-members.tsx";
import { TrackerOverview } from "./views/tracker-overview.tsx";
import { TrackerPeers } from "./views/tracker-peers.tsx";

interface View {
  /** After `#/`. */
  readonly route: string;
  readonly title: string;
  readonly icon: IconName;
  readonly body: () => unknown;
}

const lastViews: readonly View[] = [
  { route: "activity", title: "Activity", icon: "activity", body: () => <ActivityView /> },
  { route: "api", title: "API", icon: "api", body: () => <ApiView /> },
];

const viewsOf: Readonly<Record<Role, readonly View[]>> = {
  tracker: [
    { route: "", title: "Overview", icon: "home", body: () => <TrackerOverview /> },
    { route: "peers", title: "Peers", icon: "peers", body: () => <TrackerPeers /> },
    { route: "members", title: "Members", icon: "lock", body: () => <TrackerMembers /> },
    { route: "files", title: "Files", icon: "files", body: () => <TrackerFiles /> },
    { route: "chunks", title: "Chunks", icon: "grid", body: () => <TrackerChunks /> },
    ...lastViews,
  ],
  peer: [
    { route: "", title: "Overview", icon: "home", body: () => <PeerOverview /> },
    { route: "files", title: "Files", icon: "files", body: () => <PeerFiles /> },
    { route: "transfers", title: "Transfers", icon: "down", body: () => <PeerTransfers /> },
    { route: "shares", title: "Shared", icon: "share", body: () => <PeerShares /> },
    ...lastViews,
  ],
};

export function Frame() {
  const route = useRoute();
  const views = viewsOf[role];
  const view = views.find((each) => each.route === route) ?? views[0]!;
  const heading = useRef<HTMLHeadingElement>(null);
  const isFirst = useRef(true);
  useEffect(() => {
    document.title = `${view.title} · p2pfs ${role}`;
    // For keyboards and screen readers: the focus goes to the new view.
    if (!isFirst.current) heading.current?.focus();
    isFirst.current = false;
    scrollTo(0, 0);
  }, [view.route]);
  return (
    <div class="frame">
      <button type="button" class="skip-link" onClick={() => heading.current?.focus()}>
        Skip to the content
      </button>
      <Side views={views} current={view} />
      <div class="main-column">
        <header class="top-bar">
          <h1 ref={heading} tabindex={-1} class="view-title">
            {view.title}
          </h1>
          <LinkState />
          <ThemeSwitch />
        </header>
        <main class="view" key={view.route}>
          <Offline />
          {view.body()}
        </main>
      </div>
    </div>
  );
}

function Side({ views, current }: { views: readonly View[]; current: View }) {
  const running = useStore(runningCount);
  return (
    <nav class="side" aria-label="Views">
      <div class="brand">
        <img src="/assets/icon.svg" alt="" width="28" height="28" />
        <div>
          <strong>p2pfs</strong>
          <span>{role}</span>
        </div>
      </div>
      <ul>
        {views.map(({ route, title, icon }) => (
          <li key={route}>
            <a href={`#/${route}`} {...(route === current.route ? { "aria-current": "page" } : {})}>
              <Icon name={icon} />
              <span>{title}</span>
              {route === "transfers" && running > 0 && (
                <span class="badge-count">
                  {running}
                  <span class="visually-hidden"> running</span>
                </span>
              )}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

const LINK_LABELS = { connecting: "Connecting", live: "Live", offline: "Offline" } as const;

function LinkState() {
  const state = useStore(link);
  return (
    <span class="link-state" role="status" title={`Whether this page hears from the ${role}`}>
      <i class={`dot ${state === "live" ? "good" : state === "offline" ? "bad" : ""}`} aria-hidden="true" />
      {LINK_LABELS[state]}
    </span>
  );
}

function Offline() {
  if (useStore(link) !== "offline") return null;
  return (
    <div class="offline-note" role="alert">
      <Icon name="alert" />
      <span>
        The {role} does not answer. What shows may be old; the page goes on by itself when the {role} is back.
      </span>
    </div>
  );
}

const CHOICES: readonly { readonly value: Choice; readonly icon: IconName; readonly label: string }[] = [
  { value: "auto", icon: "auto", label: "Colours as the system has them" },
  { value: "light", icon: "sun", label: "Light colours" },
  { value: "dark", icon: "moon", label: "Dark colours" },
];

function ThemeSwitch() {
  const chosen = useStore(choice);
  const index = CHOICES.findIndex(({ value }) => value === chosen);
  const next = CHOICES[(index + 1) % CHOICES.length]!;
  return (
    <button
      type="button"
      class="btn btn-icon"
      aria-label={`${CHOICES[index]!.label}. Change`}
      title={CHOICES[index]!.label}
      onClick={() => choose(next.value)}
    >
      <Icon name={CHOICES[index]!.icon} />
    </button>
  );
}
