/** Icons of 24 × 24 in the colour of the text around them. Each stands beside a text of the same meaning. */

const PATHS = {
  home: "M3 11.5 12 4l9 7.5M5.5 10v10h13V10",
  files: "M7 3h7l5 5v13H7zM14 3v5h5",
  down: "M12 4v11m-5-5 5 5 5-5M5 20h14",
  up: "M12 20V9m-5 5 5-5 5 5M5 4h14",
  share: "M12 15V4m-4 4 4-4 4 4M6 12H4v8h16v-8h-2",
  peers:
    "M12 3.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5M5.5 15.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5M18.5 15.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5M10.8 8.2l-4.1 7.6M13.2 8.2l4.1 7.6M8 18h8",
  activity: "M3 12h4l3-8 4 16 3-8h4",
  api: "m8 8-4 4 4 4m8-8 4 4-4 4m-3-10-2 12",
  grid: "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h6v6h-6z",
  check: "m5 13 5 5L20 7",
  alert: "M12 4 2.5 20h19zM12 10v4m0 3v.01",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13m5 11.5 5 5",
  folder: "M3 6h6l2 2h10v11H3z",
  file: "M7 3h7l4 4v14H7zM14 3v4h4",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  close: "m6 6 12 12M18 6 6 18",
  pause: "M8 5v14M16 5v14",
  retry: "M20 11a8 8 0 1 0-2.3 6.3M20 4v7h-7",
  power: "M12 3v9M6.5 6.5a8 8 0 1 0 11 0",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v2m0 16v2M2 12h2m16 0h2M5 5l1.5 1.5m11 11L19 19M5 19l1.5-1.5m11-11L19 5",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5",
  auto: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 3v18M12 7l6 1m-6 4h8.5M12 17l6-1",
  lock: "M6 11h12v9H6zM8.5 11V7.5a3.5 3.5 0 0 1 7 0V11",
  signal: "M5 19v-4m5 4V11m5 8V7m5 12V4",
  link: "M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1m2 4a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
  trash: "M4 7h16M9 7V4h6v3m3 0-1 13H7L6 7",
  parent: "M12 19V6m-6 6 6-6 6 6",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
