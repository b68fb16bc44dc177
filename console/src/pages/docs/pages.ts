/** The pages of docs/, bundled with the console: each is loaded when it is read, and needs no internet. */
const LOAD = import.meta.glob<string>("../../../../docs/*.md", { query: "?raw", import: "default" });
/** To the same page in the other language: here the reader's language says which is shown. */
const OTHER_LANGUAGE = /\*?\[(?:中文|English)\]\([^)\s]+\)\*?/g;
const FOLDER = "../../../../docs/";

export const PAGES: readonly string[] = Object.keys(LOAD)
  .map((file) => file.slice(FOLDER.length, -".md".length))
  .filter((name) => !name.endsWith(".zh-CN"))
  .toSorted();

/** Its text in the reader's language, in English where it is written in no other; undefined where there is no such page. */
export async function pageOf(name: string, chinese: boolean): Promise<string | undefined> {
  const found = (chinese ? LOAD[`${FOLDER}${name}.zh-CN.md`] : undefined) ?? LOAD[`${FOLDER}${name}.md`];
  return (await found?.())?.replace(OTHER_LANGUAGE, "");
}

/** Where a link of a page leads: to a page, to a place of this one, out into the world, or to a file that is not bundled. */
export function targetOf(to: string): { page: string; hash?: string } | { hash: string } | { out: string } | null {
  if (/^https?:\/\//.test(to)) return { out: to };
  const [file = "", hash = ""] = to.split("#");
  const place = hash === "" ? {} : { hash: decodeURIComponent(hash) };
  if (file === "") return hash === "" ? null : { hash: decodeURIComponent(hash) };
  const page = file.replace(/^\.\//, "").replace(/(?:\.zh-CN)?\.md$/, "");
  return file.endsWith(".md") && PAGES.includes(page) ? { page, ...place } : null;
}
