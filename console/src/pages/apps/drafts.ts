/** A form of settings between what was filled in and what is sent: texts as they are typed. Pure. */
import type { Key, Params } from "../../i18n";
import { parseNumber } from "../../format/number";
import type { SettingAnswer } from "../../api/client";

export type Draft = string | boolean | Draft[] | { [name: string]: Draft };
export type Drafts = Record<string, Draft>;
/** Where it is: `zone`, or `shifts.2.start`, rows from 1. */
export interface Wrong {
  at: string;
  key?: Key;
  params?: Params;
  /** In the platform's words. */
  text?: string;
}

const DURATION = /^\d+(\.\d+)?\s*(ns|us|ms|s|m|min|h|d|w)$/;

export function blank(setting: SettingAnswer): Draft {
  return draftOf(setting, setting.default);
}

export function draftOf(setting: SettingAnswer, value: unknown): Draft {
  if (setting.kind === "table") return list(value).map((row) => Object.fromEntries(setting.columns.map((column) => [column.name, draftOf(column, (row as Record<string, unknown>)[column.name] ?? column.default)])));
  if (setting.many) return list(value).map((one) => single(setting, one));
  return single(setting, value);
}

const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

function single(setting: SettingAnswer, value: unknown): Draft {
  if (setting.kind === "boolean") return value === true;
  return value === null || value === undefined ? "" : String(value);
}

/** What is sent for a whole form, or all that does not fit. `gone`: secrets that are taken away. */
export function valuesOf(form: readonly SettingAnswer[], drafts: Drafts, filled: readonly string[] = [], gone: readonly string[] = []): { values: Record<string, unknown>; wrong: Wrong[] } {
  const wrong: Wrong[] = [];
  const values: Record<string, unknown> = {};
  for (const setting of form) {
    const draft = drafts[setting.name] ?? blank(setting);
    if (setting.kind === "secret" && draft === "") {
      if (gone.includes(setting.name)) values[setting.name] = null;
      if (filled.includes(setting.name) && !gone.includes(setting.name)) continue;
    }
    const value = valueOf(setting, draft, setting.name, wrong);
    if (value !== undefined) values[setting.name] = value;
  }
  return { values, wrong };
}

function valueOf(setting: SettingAnswer, draft: Draft, at: string, wrong: Wrong[]): unknown {
  if (setting.kind === "table") {
    return list(draft).map((row, index) => {
      const given = row as Drafts;
      const cells = setting.columns.map((column) => [column.name, valueOf(column, given[column.name] ?? "", `${at}.${index + 1}.${column.name}`, wrong)] as const);
      return Object.fromEntries(cells.filter(([, value]) => value !== undefined));
    });
  }
  if (setting.many) return list(draft).map((one, index) => one_(setting, one as Draft, `${at}.${index + 1}`, wrong)).filter((value) => value !== undefined);
  return one_(setting, draft, at, wrong);
}

function one_(setting: SettingAnswer, draft: Draft, at: string, wrong: Wrong[]): unknown {
  if (typeof draft === "boolean") return draft;
  const text = String(draft).trim();
  if (text === "") {
    if (!setting.optional && (setting.default === null || setting.default === undefined)) wrong.push({ at, key: "apps.settings.needed" });
    return undefined;
  }
  if (setting.kind === "duration") {
    if (!DURATION.test(text)) wrong.push({ at, key: "apps.settings.noDuration" });
    return text;
  }
  if (setting.kind !== "number" && setting.kind !== "integer") return String(draft);
  const number = parseNumber(text, "float64");
  if (typeof number !== "number") {
    wrong.push({ at, key: "apps.settings.noNumber" });
    return undefined;
  }
  if (setting.kind === "integer" && !Number.isInteger(number)) wrong.push({ at, key: "apps.settings.noWhole" });
  const bounds = boundsOf(setting);
  if (bounds && ((setting.low !== null && number < setting.low) || (setting.high !== null && number > setting.high))) wrong.push({ at, ...bounds });
  return number;
}

/** How far a number may go, in words. */
export function boundsOf(setting: SettingAnswer): { key: Key; params: Params } | null {
  // Of durations they are in seconds.
  const [low, high] = [setting.low, setting.high].map((one) => (one !== null && setting.kind === "duration" ? `${one} s` : one)) as [number | string | null, number | string | null];
  if (low !== null && high !== null) return { key: "apps.settings.within", params: { low, high } };
  if (low !== null) return { key: "apps.settings.least", params: { low } };
  return high === null ? null : { key: "apps.settings.most", params: { high } };
}

/** Where a refusal of the platform belongs: `setting 'shifts', row 2: setting 'start' …`. */
export function placeOf(message: string): Wrong | null {
  const found = /^setting '([^']+)'(?:, row (\d+): (?:setting '([^']+)')?)?:?\s*(.*)$/s.exec(message);
  if (!found) return null;
  const [, name, row, column, text = ""] = found;
  // A whole row is no field: its table says it.
  if (row !== undefined && column === undefined) return { at: name as string, text: `${row}: ${text}` };
  return { at: [name, row, column].filter((one) => one !== undefined).join("."), text: text.replace(/^:\s*/, "") };
}
