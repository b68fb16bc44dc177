import { describe, expect, it } from "vitest";
import { shown } from "./values";

const words = { s: "s", min: "min", h: "h", d: "d" };
const of = (value: unknown, kind: "number" | "percent" | "duration" | "text" | "time", unit = "", decimals: number | null = null) => shown(value, { kind, unit, decimals }, words);

describe("what a widget shows", () => {
  it("has no unit where there is none, and UCUM's one is none", () => {
    expect(of(34, "number")).toEqual({ text: "34", unit: "" });
    expect(of(34, "number", "1")).toEqual({ text: "34", unit: "" });
    expect(of(20.26, "number", "Cel", 1)).toEqual({ text: "20.3", unit: "°C" });
  });
  it("shows a ratio in percent", () => {
    expect(of(0.4884, "percent", "", 1)).toEqual({ text: "48.8", unit: "%" });
  });
  it("shows nothing for what is not there, and no number that is none", () => {
    for (const value of [null, undefined, "", Number.NaN, Number.POSITIVE_INFINITY]) expect(of(value, "number").text).toBe("—");
    expect(of(0, "number").text).toBe("0");
  });
  it("shows an object as its JSON, never as [object Object]", () => {
    expect(of({ a: 1 }, "text").text).toBe('{"a":1}');
  });
});
