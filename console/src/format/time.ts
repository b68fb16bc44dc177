/** Times in the reader's zone, 24 hours, the most significant part first: they sort as they read. */
const two = (n: number) => String(n).padStart(2, "0");
const three = (n: number) => String(n).padStart(3, "0");

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export function clock(ms: number, millis = false): string {
  const d = new Date(ms);
  const base = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  return millis ? `${base}.${three(d.getMilliseconds())}` : base;
}

export function date(ms: number): string {
  const d = new Date(ms);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}

export const dateTime = (ms: number, millis = false) => `${date(ms)} ${clock(ms, millis)}`;

/** Today shows the time only; the date is there when it matters. */
export function moment(ms: number, now = Date.now()): string {
  return date(ms) === date(now) ? clock(ms) : `${date(ms).slice(5)} ${clock(ms).slice(0, 5)}`;
}

export interface SpanWords {
  s: string;
  min: string;
  h: string;
  d: string;
}

/** At most two parts: `4 s`, `3 min`, `2 h 05 min`, `3 d 4 h`. */
export function span(ms: number, words: SpanWords): string {
  const seconds = Math.max(0, ms / SECOND);
  if (seconds < 60) return `${Math.floor(seconds)} ${words.s}`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} ${words.min}`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} ${words.h} ${two(minutes % 60)} ${words.min}`;
  return `${Math.floor(hours / 24)} ${words.d} ${hours % 24} ${words.h}`;
}

/** RFC 3339 with nanoseconds; the browser keeps milliseconds, which is what a screen can show. */
export const parseTime = (text: string) => Date.parse(text.replace(/(\.\d{3})\d+/, "$1"));

export const rfc3339 = (ms: number) => new Date(ms).toISOString();

/** When something will end, to the minute: the year matters where it is not today. */
export const until = (ms: number, now = Date.now()) => (date(ms) === date(now) ? clock(ms).slice(0, 5) : dateTime(ms).slice(0, 16));

/** What an input of type `datetime-local` takes, and back; NaN for none. */
export const localInput = (ms: number) => `${date(ms)}T${clock(ms).slice(0, 5)}`;
export const parseLocal = (text: string) => (text === "" ? Number.NaN : new Date(text).getTime());
