/** Line icons on a 20-unit grid, drawn for this console: one weight, no fill, no ornament. */
const PATHS = {
  home: "M3 9.5 10 4l7 5.5V16H3z M8 16v-4h4v4",
  tree: "M4 4h5v3H4z M11 9h5v3h-5z M11 14h5v3h-5z M6 7v8.5h5 M6 10.5h5",
  trend: "M3 3v14h14 M5.5 13l3-4 3 2.5L16 5",
  bell: "M5 14V9a5 5 0 0 1 10 0v5l1.5 1.5h-13z M8.5 17.5h3",
  system: "M3 4h14v5H3z M3 11h14v5H3z M6 6.5h.01 M6 13.5h.01 M9 6.5h5 M9 13.5h5",
  device: "M6 6h8v8H6z M8.5 3v3 M11.5 3v3 M8.5 14v3 M11.5 14v3 M3 8.5h3 M3 11.5h3 M14 8.5h3 M14 11.5h3",
  edge: "M7 3h6v4H7z M3 13h5v4H3z M12 13h5v4h-5z M10 7v3 M5.5 13v-3h9v3",
  file: "M5 3h7l3 3v11H5z M12 3v3h3 M7.5 10h5 M7.5 13h5",
  lock: "M5 9h10v8H5z M7 9V6.5a3 3 0 0 1 6 0V9 M10 12.5v1.5",
  write: "M3 6h6 M13 6h4 M11 4v4 M3 14h2 M9 14h8 M7 12v4",
  apps: "M3 3h6v6H3z M11 3h6v6h-6z M3 11h6v6H3z M14 11.5v5 M11.5 14h5",
  page: "M3 4h14v12H3z M3 7.5h14 M6 11h4 M6 13.5h8",
  search: "M8.5 3.5a5 5 0 1 1 0 10 5 5 0 0 1 0-10z M12.2 12.2 17 17",
  user: "M10 4a3 3 0 1 1 0 6 3 3 0 0 1 0-6z M4 17c.5-3.5 3-5 6-5s5.5 1.5 6 5",
  right: "M8 5l5 5-5 5",
  down: "M5 8l5 5 5-5",
  left: "M12 5l-5 5 5 5",
  close: "M5 5l10 10 M15 5 5 15",
  plus: "M10 4v12 M4 10h12",
  minus: "M4 10h12",
  check: "M4 10.5l4 4 8-9",
  pencil: "M4 16l1-4L13.5 3.5l3 3L8 15z M11.5 5.5l3 3",
  live: "M10 9a1 1 0 1 1 0 2 1 1 0 0 1 0-2z M6.5 13.5a5 5 0 0 1 0-7 M13.5 6.5a5 5 0 0 1 0 7 M4 16a8.5 8.5 0 0 1 0-12 M16 4a8.5 8.5 0 0 1 0 12",
  pause: "M7 4v12 M13 4v12",
  export: "M10 3v9 M6.5 8.5 10 12l3.5-3.5 M3.5 13v4h13v-4",
  sun: "M10 6.5a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7z M10 1.5v2 M10 16.5v2 M1.5 10h2 M16.5 10h2 M4 4l1.4 1.4 M14.6 14.6 16 16 M16 4l-1.4 1.4 M5.4 14.6 4 16",
  moon: "M15.5 12.5A6.5 6.5 0 1 1 8 4a5.2 5.2 0 0 0 7.5 8.5z",
  keyboard: "M2.5 5.5h15v9h-15z M5 8.5h.01 M8 8.5h.01 M11 8.5h.01 M14 8.5h.01 M6.5 11.5h7",
  link: "M8 12l4-4 M9 6l2-2a3.5 3.5 0 0 1 5 5l-2 2 M11 14l-2 2a3.5 3.5 0 0 1-5-5l2-2",
  out: "M8 4H4v12h4 M8 10h9 M13.5 6.5 17 10l-3.5 3.5",
  more: "M4.5 10h.01 M10 10h.01 M15.5 10h.01",
  refresh: "M16 10a6 6 0 1 1-2-4.5 M16 3v3.5h-3.5",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 20 }: { name: IconName; size?: number }) {
  return (
    <svg
      aria-hidden="true"
      width={size}
      height={size}
      viewBox="0 0 20 20"
      fill="none"
      stroke="currentColor"
      strokeWidth={1.5}
      strokeLinecap="round"
      strokeLinejoin="round"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The mark: water led from the river to the wheel. */
export function Mark({ size = 26 }: { size?: number }) {
  return (
    <svg aria-hidden="true" width={size} height={size} viewBox="0 0 32 32" fill="none" strokeWidth={2.6}>
      <path d="M3 9h16l9 14H3" stroke="currentColor" />
      <path d="M3 16h11.5l4.5 7" stroke="var(--accent)" />
    </svg>
  );
}
