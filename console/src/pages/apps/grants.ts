/** What an app asks for, one thing at a time, and what of it is beyond what was granted. Pure. */
import type { PermissionsAnswer } from "../../api/client";

export type GrantKey = "assets" | "read" | "write" | "events" | "publish" | "alarms" | "hosts" | "sign" | "tables" | "documents";

export interface Grant {
  key: GrantKey;
  /** Places, events or hosts. */
  places: { text: string; added: boolean }[];
  mb: number;
  /** It, or something of it, was not granted before. */
  added: boolean;
  /** It reaches beyond reading. */
  weighty: boolean;
}

const LISTS = ["assets", "read", "write", "events", "publish", "hosts"] as const;
const WEIGHTY: ReadonlySet<GrantKey> = new Set(["write", "hosts", "sign"]);

/** `before`: what was granted; null where there is nothing to compare with. */
export function grantsOf(asked: PermissionsAnswer, before: PermissionsAnswer | null = null): Grant[] {
  const found: Grant[] = [];
  const add = (key: GrantKey, places: Grant["places"], mb: number, added: boolean) => found.push({ key, places, mb, added, weighty: WEIGHTY.has(key) });
  for (const key of LISTS) {
    if (asked[key].length === 0) continue;
    const places = asked[key].map((text) => ({ text, added: before !== null && !before[key].includes(text) }));
    add(key, places, 0, places.some((one) => one.added));
  }
  for (const key of ["alarms", "sign"] as const) if (asked[key]) add(key, [], 0, before !== null && !before[key]);
  for (const [key, field] of [["tables", "tables_mb"], ["documents", "documents_mb"]] as const) {
    if (asked[field] > 0) add(key, [], asked[field], before !== null && asked[field] > before[field]);
  }
  return found;
}
