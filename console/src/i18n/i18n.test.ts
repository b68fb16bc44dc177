import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { catalogs, type Key, LANGUAGES, pickTitle, translate } from ".";

const keys = Object.keys(catalogs.en) as Key[];
const holes = (text: string) => new Set([...text.matchAll(/\{(\w+)[^}]*\}/g)].map((match) => match[1]));

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? sources(join(folder, entry.name)) : /\.tsx?$/.test(entry.name) && !/\.test\.|i18n/.test(join(folder, entry.name)) ? [readFileSync(join(folder, entry.name), "utf8")] : [],
  );
}

describe("the catalogs", () => {
  it("have every key in every language, and no empty text", () => {
    for (const { code } of LANGUAGES) {
      expect(Object.keys(catalogs[code]).toSorted()).toEqual(keys.toSorted());
      for (const key of keys) expect(catalogs[code][key], `${code} ${key}`).toMatch(/\S/);
    }
  });
  it("fill the same holes", () => {
    for (const key of keys) expect(holes(catalogs.zh[key]), key).toEqual(holes(catalogs.en[key]));
  });
  it("are written in their own script", () => {
    const latinOnly = keys.filter((key) => !/[一-鿿]/.test(catalogs.zh[key]));
    expect(latinOnly).toEqual([]);
    expect(keys.filter((key) => /[一-鿿]/.test(catalogs.en[key]))).toEqual([]);
  });
  it("hold what the pages ask for, and nothing else", () => {
    const text = sources("src").join("\n");
    const asked = [...text.matchAll(/\bt\(\s*(?:[\w.?= !]+\? )?"([\w.-]+)"/g)].map((match) => match[1] as string);
    expect(asked.filter((key) => !keys.includes(key as Key))).toEqual([]);
    const families = [...text.matchAll(/`([a-zA-Z]+(?:\.[a-zA-Z]+)*)\.\$\{/g)].map((match) => `${match[1]}.`);
    const unused = keys.filter((key) => !text.includes(`"${key}"`) && !families.some((family) => key.startsWith(family)));
    expect(unused).toEqual([]);
  });
});

describe("words", () => {
  it("count", () => {
    expect(translate("en", "explore.pointCount", { n: 1 })).toBe("1 point");
    expect(translate("en", "explore.pointCount", { n: 12 })).toBe("12 points");
    expect(translate("zh", "explore.pointCount", { n: 12 })).toBe("12 个点");
  });
  it("of a title fall back to another language, then to the path", () => {
    expect(pickTitle({ en: "Press 3", zh: "3号压机" }, "a/press-3", "zh")).toBe("3号压机");
    expect(pickTitle({ en: "Press 3" }, "a/press-3", "zh")).toBe("Press 3");
    expect(pickTitle({}, "a/press-3", "en")).toBe("press-3");
  });
});
