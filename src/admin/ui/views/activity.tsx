/** The recorded events, newest first. */
import { formatSize } from "../../../core/human.ts";
import { type Activity, activity, type LiveEvent } from "../live.ts";
import { Card, Empty, Name } from "../parts/basics.tsx";
import { Icon, type IconName } from "../parts/icons.tsx";
import { useStore } from "../store.ts";

export function ActivityView() {
  return (
    <Card title="What happened lately" flush>
      <ActivityList max={200} />
    </Card>
  );
}

export function ActivityList({ max }: { max: number }) {
  const all = useStore(activity);
  if (all.length === 0)
    return (
      <Empty icon="activity" title="Quiet so far">
        Peers that come and go, publications and fetches show here as they happen.
      </Empty>
    );
  return (
    <ol class="activity" aria-label="Events, the newest first">
      {all.slice(0, max).map((each, index) => (
        <ActivityLine key={all.length - index} {...each} />
      ))}
    </ol>
  );
}

function ActivityLine({ at, event }: Activity) {
  const { icon, tone = "", text } = described(event);
  return (
    <li class={tone}>
      <Icon name={icon} />
      <span class="activity-text">{text}</span>
      <time dateTime={at.toISOString()}>{at.toLocaleTimeString("en-GB")}</time>
    </li>
  );
}

interface Line {
  readonly icon: IconName;
  readonly tone?: "good" | "bad" | "";
  readonly text: unknown;
}

const text = (value: unknown) => <Name text={String(value)} />;

function described(event: LiveEvent): Line {
  const fetch = (event.fetch ?? {}) as { fname?: string; state?: string; error?: { message: string } | null };
  switch (event.type) {
    case "listening":
      return { icon: "signal", tone: "good", text: <>Listening on {text(event.address)}</> };
    case "peer_joined":
      return {
        icon: "peers",
        tone: "good",
        text: (
          <>
            {text(event.address)} joined{event.host_name !== undefined && <> from {text(event.host_name)}</>}
          </>
        ),
      };
    case "peer_left":
      return {
        icon: "peers",
        text: (
          <>
            {text(event.address)} left{event.reason === "expired" && ", silent for too long"}
          </>
        ),
      };
    case "published":
      return {
        icon: "share",
        tone: "good",
        text: (
          <>
            {text(event.key)} published, {formatSize(Number(event.size))}
          </>
        ),
      };
    case "unpublished":
      return { icon: "share", text: <>{text(event.key ?? event.fname)} is shared no longer</> };
    case "tracker_joined":
      return { icon: "link", tone: "good", text: <>Joined the tracker {text(event.tracker)}</> };
    case "tracker_lost":
      return { icon: "link", tone: "bad", text: <>Lost the tracker: {text(event.reason)}</> };
    case "share_lost":
      return {
        icon: "alert",
        tone: "bad",
        text: (
          <>
            {text(event.path)} is not served any more: {text(event.reason)}
          </>
        ),
      };
    case "fetch_started":
      return { icon: "down", text: <>Fetching {text(fetch.fname)}</> };
    case "fetch_ended":
      return {
        icon: fetch.state === "done" ? "check" : "close",
        tone: fetch.state === "done" ? "good" : fetch.state === "failed" ? "bad" : "",
        text: (
          <>
            {text(fetch.fname)} is {fetch.state}
            {fetch.state === "failed" && <>: {text(fetch.error?.message)}</>}
          </>
        ),
      };
    case "log":
      return { icon: "alert", tone: event.level === "error" ? "bad" : "", text: text(event.message) };
    default:
      return { icon: "activity", text: text(event.type) };
  }
}
