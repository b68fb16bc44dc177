/** Alarm marks: shape, letter and colour say the priority; fill says that nobody has acknowledged. Source: ISA-101 §6.
 *
 *     critical octagon · high triangle · medium diamond · low disc
 *     unacknowledged filled (blinks while active) · acknowledged outline · returned, unacknowledged dashed
 */
import type { AlarmAnswer, Priority } from "../api/client";
import { type Key, useT } from "../i18n";
import styles from "./marks.module.css";

export const PRIORITIES: readonly Priority[] = ["critical", "high", "medium", "low"];
export type AlarmState = AlarmAnswer["state"];

const SHAPES: Readonly<Record<Priority, string>> = {
  critical: "M7 2h8l5 5v8l-5 5H7l-5-5V7z",
  high: "M11 1.5 21 19.5H1z",
  medium: "M11 1 21 11 11 21 1 11z",
  low: "M11 2a9 9 0 1 1 0 18 9 9 0 0 1 0-18z",
};
const LETTER_Y: Readonly<Record<Priority, number>> = { critical: 15, high: 17, medium: 15, low: 15 };

const LOOKS: Readonly<Partial<Record<AlarmState, string>>> = {
  "ack-active": styles.outline,
  "latched-ack": styles.outline,
  "unack-cleared": styles.dashed,
  "latched-unack": styles.dashed,
  shelved: styles.quiet,
  suppressed: styles.quiet,
  "out-of-service": styles.quiet,
};

export interface MarkProps {
  priority: Priority;
  state?: AlarmState;
  size?: number;
  /** A mark of nothing: a count of zero stays grey. */
  quiet?: boolean;
}

export function PriorityMark({ priority, state = "unack-active", size = 20, quiet = false }: MarkProps) {
  const t = useT();
  const look = quiet ? styles.quiet : (LOOKS[state] ?? styles.filled);
  const label = `${t(`priority.${priority}` as Key)}${quiet ? "" : `, ${t(`alarmState.${state}` as Key)}`}`;
  return (
    <svg
      role="img"
      aria-label={label}
      className={`${styles.mark} ${look} ${!quiet && state === "unack-active" ? styles.blink : ""}`}
      data-priority={priority}
      width={size}
      height={size}
      viewBox="0 0 22 22"
    >
      <path d={SHAPES[priority]} />
      <text x="11" y={LETTER_Y[priority]} textAnchor="middle">
        {t(`priority.letter.${priority}` as Key)}
      </text>
    </svg>
  );
}

/** Counts by priority, only those that are not zero; nothing at all is the normal sight. */
export function AlarmBadges({ counts, size = 18 }: { counts: Readonly<Record<Priority, number>>; size?: number }) {
  const shown = PRIORITIES.filter((priority) => counts[priority] > 0);
  if (shown.length === 0) return null;
  return (
    <span className={styles.badges}>
      {shown.map((priority) => (
        <span key={priority} className={styles.badge}>
          <PriorityMark priority={priority} state="ack-active" size={size} />
          <span>{counts[priority]}</span>
        </span>
      ))}
    </span>
  );
}
