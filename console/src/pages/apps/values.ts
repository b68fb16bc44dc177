/** What widgets show of an answer: where it is in there, and as what. Pure. */
import type { ColumnAnswer } from "../../api/client";
import { formatNumber } from "../../format/number";
import { dateTime, parseTime, span, type SpanWords } from "../../format/time";
import { displayUnit } from "../../format/unit";

/** `total.hours` of an answer; undefined where there is none. */
export function pick(answer: unknown, field: string): unknown {
  let at = answer;
  for (const part of field === "" ? [] : field.split(".")) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, part)) return undefined;
    at = (at as Record<string, unknown>)[part];
  }
  return at;
}

export function rowsOf(answer: unknown, field: string): unknown[] | undefined {
  const found = pick(answer, field);
  return Array.isArray(found) ? found : undefined;
}

export interface Shown {
  text: string;
  unit: string;
}

const NOTHING: Shown = { text: "—", unit: "" };

/** `time` is ns since 1970 or RFC 3339, `duration` s, `percent` a ratio. */
export function shown(value: unknown, { kind, unit, decimals }: Pick<ColumnAnswer, "kind" | "unit" | "decimals">, words: SpanWords): Shown {
  if (value === null || value === undefined || value === "") return NOTHING;
  if (kind === "time") {
    const ms = typeof value === "number" ? value / 1e6 : parseTime(String(value));
    return Number.isFinite(ms) ? { text: dateTime(ms), unit: "" } : NOTHING;
  }
  if (kind === "text" || kind === "asset" || typeof value !== "number") {
    return { text: typeof value === "object" ? JSON.stringify(value) : String(value), unit: typeof value === "number" ? displayUnit(unit) : "" };
  }
  if (!Number.isFinite(value)) return NOTHING;
  if (kind === "duration") return { text: (value < 0 ? "−" : "") + span(Math.abs(value) * 1000, words), unit: "" };
  if (kind === "percent") return { text: formatNumber(value * 100, decimals ?? 1), unit: "%" };
  return { text: formatNumber(value, decimals), unit: unit === "" || unit === "1" ? "" : displayUnit(unit) };
}
