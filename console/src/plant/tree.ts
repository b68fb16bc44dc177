/** The equipment hierarchy as rows: what is open, what matches, in which order. Pure, so that 100,000 rows can be timed. */
import type { AssetNode } from "../api/client";

export interface Row {
  asset: AssetNode;
  depth: number;
  open: boolean;
  leaf: boolean;
}

/** Every word must be in the path or in a title of any language. */
export function matches(asset: Pick<AssetNode, "path" | "title">, text: string): boolean {
  const hay = `${asset.path}\n${Object.values(asset.title).join("\n")}`.toLowerCase();
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => hay.includes(word));
}

export function childrenOf(assets: readonly AssetNode[]): Map<string, AssetNode[]> {
  const known = new Set(assets.map((asset) => asset.path));
  const found = new Map<string, AssetNode[]>();
  for (const asset of assets) {
    // An asset whose parent nobody declared hangs from the root rather than vanish.
    const parent = asset.parent && known.has(asset.parent) ? asset.parent : "";
    const list = found.get(parent);
    if (list) list.push(asset);
    else found.set(parent, [asset]);
  }
  return found;
}

/** Rows in display order. With a filter, what matches and the way to it; otherwise what is open. */
export function rowsOf(assets: readonly AssetNode[], open: ReadonlySet<string>, filter: string): Row[] {
  const children = childrenOf(assets);
  let kept: Set<string> | undefined;
  if (filter.trim() !== "") {
    kept = new Set();
    for (const asset of assets) {
      if (!matches(asset, filter.trim())) continue;
      for (let path: string = asset.path; path !== ""; path = path.slice(0, Math.max(0, path.lastIndexOf("/")))) {
        if (kept.has(path)) break;
        kept.add(path);
      }
    }
  }
  const rows: Row[] = [];
  const walk = (parent: string, depth: number) => {
    for (const asset of children.get(parent) ?? []) {
      if (kept && !kept.has(asset.path)) continue;
      const leaf = !children.has(asset.path);
      const isOpen = !leaf && (kept !== undefined || open.has(asset.path));
      rows.push({ asset, depth, open: isOpen, leaf });
      if (isOpen) walk(asset.path, depth + 1);
    }
  };
  walk("", 0);
  return rows;
}

/** The path of every ancestor, nearest last: `a`, `a/b` for `a/b/c`. */
export function ancestors(path: string): string[] {
  const found: string[] = [];
  for (let at = path.indexOf("/"); at > 0; at = path.indexOf("/", at + 1)) found.push(path.slice(0, at));
  return found;
}
