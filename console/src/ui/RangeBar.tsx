/** Moving analog indicator: the range, the normal band between alarm limits, and where the value is. Source: ISA-101. */
import type { PointAnswer, Priority } from "../api/client";
import { useSample } from "../live/hooks";
import styles from "./marks.module.css";
import { lookOf } from "./Value";

export interface Limit {
  value: number;
  side: "high" | "low";
  priority: Priority;
}

/** High and low limits of a point's rules; rates, deviations and stale rules have no place on a scale. */
export function limitsOf(point: PointAnswer): Limit[] {
  const found: Limit[] = [];
  for (const rule of point.alarms) {
    if (rule.condition === "high" || rule.condition === "low") {
      found.push({ value: rule.limit, side: rule.condition, priority: rule.priority });
    }
  }
  return found;
}

const WIDTH = 100;

export function RangeBar({ point }: { point: PointAnswer }) {
  const sample = useSample(point.path);
  const range = point.range;
  if (!range || range.high <= range.low) return null;
  const x = (value: number) => Math.min(WIDTH, Math.max(0, ((value - range.low) / (range.high - range.low)) * WIDTH));
  const limits = limitsOf(point);
  const lows = limits.filter((limit) => limit.side === "low").map((limit) => limit.value);
  const highs = limits.filter((limit) => limit.side === "high").map((limit) => limit.value);
  const bandLow = lows.length > 0 ? Math.max(...lows) : range.low;
  const bandHigh = highs.length > 0 ? Math.min(...highs) : range.high;
  const value = typeof sample?.value === "number" ? sample.value : undefined;
  const beyond = value !== undefined && (value < bandLow || value > bandHigh);
  return (
    <svg className={styles.bar} viewBox={`0 0 ${WIDTH} 14`} preserveAspectRatio="none" aria-hidden="true">
      <rect className={styles.track} x="0" y="6" width={WIDTH} height="6" />
      {limits.length > 0 && bandHigh > bandLow && (
        <rect className={styles.band} x={x(bandLow)} y="6" width={x(bandHigh) - x(bandLow)} height="6" />
      )}
      {limits.map((limit) => (
        <line
          key={`${limit.side}${limit.value}`}
          className={styles.limit}
          data-priority={limit.priority}
          data-calm={value === undefined || (limit.side === "high" ? value <= limit.value : value >= limit.value)}
          x1={x(limit.value)}
          x2={x(limit.value)}
          y1="5"
          y2="13"
          vectorEffect="non-scaling-stroke"
        />
      ))}
      {value !== undefined && (
        <path
          className={styles.pointer}
          data-quality={lookOf(sample)}
          data-beyond={beyond}
          vectorEffect="non-scaling-stroke"
          d="M-2.4 0h4.8L0 9z"
          style={{ transform: `translateX(${x(value)}px)` }}
        />
      )}
    </svg>
  );
}
