/** Line icons, drawn on a 24 by 24 grid. */

const PATHS = {
  play: "M8 5.5v13l11-6.5z",
  pause: "M8 5.5v13M16 5.5v13",
  next: "M6 6v12l9-6zM18 6v12",
  previous: "M18 6v12l-9-6zM6 6v12",
  volume: "M4 10v4h3.5L12 18V6L7.5 10zM15.5 9a4.5 4.5 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11",
  muted: "M4 10v4h3.5L12 18V6L7.5 10zM16 9.5l5 5M21 9.5l-5 5",
  full: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  unfull: "M9 4v5H4M15 4v5h5M9 20v-5H4M15 20v-5h5",
  gear: "M5 7h8M17 7h2M5 12h2M11 12h8M5 17h6M15 17h4M15 5v4M9 10v4M13 15v4",
  danmaku: "M4 6h16v10H12l-4 3.5V16H4zM8 9.5h5M10 12.5h6",
  chat: "M4 5h16v11H10l-4 3.5V16H4z",
  list: "M4 6.5h16M4 12h10M4 17.5h10M17.5 11.5v6l4-3z",
  people:
    "M9 11a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4zM3 19c.4-3.4 2.8-5.2 6-5.2s5.6 1.8 6 5.2M16 5.2a3 3 0 0 1 0 5.6M17.5 14c2 .7 3.2 2.4 3.5 5",
  link: "M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1-1",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  check: "M5 12.5l4.5 4.5L19 7.5",
  plus: "M12 5v14M5 12h14",
  more: "M5.5 12h.01M12 12h.01M18.5 12h.01",
  close: "M6 6l12 12M18 6L6 18",
  send: "M4 12l16-7-6 15-3-6.5z",
  live: "M12 12h.01M8.5 8.5a5 5 0 0 0 0 7M15.5 8.5a5 5 0 0 1 0 7M5.5 5.5a9 9 0 0 0 0 13M18.5 5.5a9 9 0 0 1 0 13",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  user: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20.5c.7-4 3.7-6 7.5-6s6.8 2 7.5 6",
  drag: "M9 6h.01M15 6h.01M9 12h.01M15 12h.01M9 18h.01M15 18h.01",
  sync: "M19.5 9A8 8 0 0 0 5.5 7.5L4 9M4 4.5V9h4.5M4.5 15a8 8 0 0 0 14 1.5L20 15M20 19.5V15h-4.5",
  film: "M4 5h16v14H4zM8 5v14M16 5v14M4 9.7h4M4 14.3h4M16 9.7h4M16 14.3h4",
  stop: "M6.5 6.5h11v11h-11z",
  reply: "M9.5 6L4 11.5 9.5 17M4.5 11.5H14a6 6 0 0 1 6 6V19",
  undo: "M8.5 5L4 9.5 8.5 14M4.5 9.5H14a5.5 5.5 0 0 1 0 11h-4",
  folder: "M3.5 6h6l2 2.5h9V19h-17z",
  folder_open: "M3.5 18.5V6h6l2 2.5h7V11M3.5 18.5L6.5 11h15l-3 7.5z",
  right: "M9.5 6l6 6-6 6",
  search: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.5L20 20",
  crown: "M4 18h16M4.5 15L3.5 7l5 3.5L12 5l3.5 5.5 5-3.5-1 8z",
  clock: "M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM12 7.5V12l3 2",
  door: "M6 21V4h9v17M15 6h3.5v15M3.5 21h17M12 12.5h.01",
  trash: "M4.5 7h15M9 7V4.5h6V7M6.5 7l1 13h9l1-13M10.5 11v5M13.5 11v5",
  back: "M14.5 6L8.5 12l6 6",
  alert: "M12 4l9 16H3zM12 10v4.5M12 17.2h.01",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 20 }: { name: IconName; size?: number }) {
  const solid = name === "play" || name === "next" || name === "previous";
  return (
    <svg
      class="icon"
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill={solid ? "currentColor" : "none"}
      stroke="currentColor"
      stroke-width={name === "more" || name === "drag" ? 3 : name === "pause" ? 3.4 : 1.8}
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
