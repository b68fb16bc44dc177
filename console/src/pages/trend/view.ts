/** What a trend shows, as numbers: windows, how they move, and the columns that the chart draws. Pure. */
import type { Downsampled } from "../../api/client";
import { DAY, HOUR, MINUTE, SECOND } from "../../format/time";

export interface Window {
  from: number;
  to: number;
}

export const SPAN_MIN = SECOND;
export const SPAN_MAX = 2 * 366 * DAY;
export const QUICK = [
  { key: "5m", seconds: 300 },
  { key: "1h", seconds: 3_600 },
  { key: "8h", seconds: 28_800 },
  { key: "1d", seconds: 86_400 },
  { key: "1w", seconds: 604_800 },
  { key: "1y", seconds: 31_536_000 },
] as const;

/** Zoom by a factor around a moment that stays where it is on screen. */
export function zoom(view: Window, factor: number, around: number): Window {
  const span = Math.min(SPAN_MAX, Math.max(SPAN_MIN, (view.to - view.from) * factor));
  const share = (around - view.from) / (view.to - view.from);
  const from = around - span * share;
  return { from, to: from + span };
}

export function pan(view: Window, share: number): Window {
  const shift = (view.to - view.from) * share;
  return { from: view.from + shift, to: view.to + shift };
}

/** How often a live window asks again: once a bucket, but not more than once a second nor less than twice a minute. */
export function refreshMs(view: Window, buckets: number): number {
  return Math.min(30 * SECOND, Math.max(SECOND, (view.to - view.from) / Math.max(1, buckets)));
}

/** Bucket edges on round numbers, so that a moving window asks for the same buckets again and lines do not shimmer. */
export function aligned(view: Window, buckets: number): Window & { count: number } {
  const width = Math.max(1, Math.ceil((view.to - view.from) / buckets));
  const from = Math.floor(view.from / width) * width;
  const count = Math.ceil((view.to - from) / width);
  return { from, to: from + count * width, count };
}

export interface Pen {
  path: string;
  mean: (number | null)[];
  min: (number | null)[];
  max: (number | null)[];
  /** True where samples arrived and none of them was good. */
  bad: boolean[];
}

/** Times of bucket centres in seconds, and one pen a series. */
export function pensOf(data: Downsampled): { times: number[]; pens: Pen[] } {
  const times = Array.from({ length: data.count }, (_, i) => (data.start_ms + (i + 0.5) * data.width_ms) / 1000);
  const pens = data.series.map(({ path, columns }) => {
    const count = columns.count ?? [];
    const good = columns["good-count"] ?? [];
    return {
      path,
      mean: columns.mean ?? [],
      min: columns.min ?? [],
      max: columns.max ?? [],
      bad: times.map((_, i) => (count[i] ?? 0) > 0 && (good[i] ?? 0) === 0),
    };
  });
  return { times, pens };
}

/** A line across buckets that no sample fell into, but not across bad ones: sampling slower than the screen is no gap. */
export function bridged(values: readonly (number | null)[], bad: readonly boolean[], reach: number): (number | null | undefined)[] {
  // uPlot draws a line across `undefined` and breaks it at `null`.
  const out: (number | null | undefined)[] = values.slice();
  let last = -1;
  for (let i = 0; i < values.length; i += 1) {
    if (values[i] === null || values[i] === undefined) continue;
    if (last >= 0 && i - last > 1 && i - last <= reach && !bad.slice(last, i).some(Boolean)) {
      for (let k = last + 1; k < i; k += 1) out[k] = undefined;
    }
    last = i;
  }
  return out;
}

export interface Statistics {
  min: number | null;
  max: number | null;
  mean: number | null;
}

export function statistics(pen: Pen): Statistics {
  let min: number | null = null;
  let max: number | null = null;
  let sum = 0;
  let n = 0;
  for (let i = 0; i < pen.mean.length; i += 1) {
    const [a, b, m] = [pen.min[i], pen.max[i], pen.mean[i]];
    if (a !== null && a !== undefined && (min === null || a < min)) min = a;
    if (b !== null && b !== undefined && (max === null || b > max)) max = b;
    if (m !== null && m !== undefined) {
      sum += m;
      n += 1;
    }
  }
  return { min, max, mean: n > 0 ? sum / n : null };
}

export const spanWords = (view: Window) => {
  const span = view.to - view.from;
  return span < MINUTE ? "second" : span < HOUR * 2 ? "minute" : span < 2 * DAY ? "hour" : "day";
};
