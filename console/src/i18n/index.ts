/** Words in the reader's language: `t("alarms.count", { n: 3 })`. Both catalogs are complete by type and by test.
 *
 * English plurals: `{n|alarm|alarms}` picks by the number `n`. Chinese has none.
 */
import { useCallback, useSyncExternalStore } from "react";
import { en } from "./en";
import { zh } from "./zh";

export type Language = "en" | "zh";
export type Key = keyof typeof en;
export type Params = Readonly<Record<string, string | number>>;
export type Translate = (key: Key, params?: Params) => string;
export type Title = Readonly<Record<string, string>>;

export const catalogs: Readonly<Record<Language, Readonly<Record<Key, string>>>> = { en, zh };
export const LANGUAGES: readonly { code: Language; name: string }[] = [
  { code: "en", name: "English" },
  { code: "zh", name: "中文" },
];
const STORAGE = "headrace.language";

export function translate(language: Language, key: Key, params?: Params): string {
  return catalogs[language][key].replace(/\{(\w+)(?:\|([^|}]*)\|([^}]*))?\}/g, (_, name: string, one?: string, many?: string) => {
    const value = params?.[name];
    if (one !== undefined && many !== undefined) return Number(value) === 1 ? one : many;
    return value === undefined ? "" : String(value);
  });
}

function initial(): Language {
  try {
    return (localStorage.getItem(STORAGE) ?? navigator.language).startsWith("zh") ? "zh" : "en";
  } catch {
    return "en";
  }
}

let current: Language | undefined;
const listeners = new Set<() => void>();

export function getLanguage(): Language {
  current ??= initial();
  return current;
}

export function setLanguage(language: Language): void {
  current = language;
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  try {
    localStorage.setItem(STORAGE, language);
  } catch {
    // Kept for this visit only.
  }
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const useLanguage = () => useSyncExternalStore(subscribe, getLanguage);

export function useT(): Translate {
  const language = useLanguage();
  return useCallback((key, params) => translate(language, key, params), [language]);
}

/** The title in the reader's language, else in any language, else the last part of the path. */
export function pickTitle(title: Title | undefined, path: string, language: Language): string {
  return title?.[language] ?? title?.en ?? Object.values(title ?? {})[0] ?? path.slice(path.lastIndexOf("/") + 1);
}

export function useTitle(): (title: Title | undefined, path: string) => string {
  const language = useLanguage();
  return useCallback((title, path) => pickTitle(title, path, language), [language]);
}

/** Words side by side, with the mark that the language puts between them. */
export function useList(): (words: readonly string[]) => string {
  const language = useLanguage();
  return useCallback((words) => words.join(language === "zh" ? "、" : ", "), [language]);
}
