import { describe, expect, it } from "vitest";
import type { AssetNode } from "../api/client";
import { ancestors, matches, rowsOf } from "./tree";

const asset = (path: string, zh = ""): AssetNode => ({
  path, parent: path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : null, level: "equipment", title: { en: path, ...(zh ? { zh } : {}) },
  type: null, attributes: {}, feeds: [], points: 0, alarms: { critical: 0, high: 0, medium: 0, low: 0 }, worst_quality: null,
});
const plant = [asset("a"), asset("a/shop", "压制车间"), asset("a/shop/press-1", "1号压机"), asset("a/shop/press-2"), asset("a/store"), asset("lost/child")];
const shown = (open: string[], filter = "") => rowsOf(plant, new Set(open), filter).map((row) => `${"  ".repeat(row.depth)}${row.asset.path}`);

describe("the tree", () => {
  it("shows what is open, and never loses an asset whose parent is unknown", () => {
    expect(shown([])).toEqual(["a", "lost/child"]);
    expect(shown(["a"])).toEqual(["a", "  a/shop", "  a/store", "lost/child"]);
  });
  it("shows what matches and the way to it, in either language", () => {
    expect(shown([], "press-2")).toEqual(["a", "  a/shop", "    a/shop/press-2"]);
    expect(shown([], "1号")).toEqual(["a", "  a/shop", "    a/shop/press-1"]);
    expect(shown([], "nothing")).toEqual([]);
  });
  it("wants every word", () => {
    expect(matches(asset("a/press-1", "1号压机"), "PRESS 压机")).toBe(true);
    expect(matches(asset("a/press-1"), "press 2")).toBe(false);
  });
  it("knows the way up", () => expect(ancestors("a/b/c")).toEqual(["a", "a/b"]));
  it("finds among 100,000 in a blink", () => {
    const many = Array.from({ length: 100_000 }, (_, i) => asset(`a/line-${i % 100}/machine-${i}`));
    expect(rowsOf(many, new Set(), "machine-99999")).toHaveLength(1);
  });
});
