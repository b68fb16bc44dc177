import { describe, expect, it } from "vitest";
import { formatBytes, formatNumber, formatShort, formatValue, parseNumber } from "./number";
import { qualityName, severity } from "./quality";
import { parseTime, span } from "./time";
import { displayUnit } from "./unit";

const WORDS = { s: "s", min: "min", h: "h", d: "d" };

describe("numbers", () => {
  it("keep their decimals, so that digits stay in their column", () => {
    expect(formatNumber(61.5, 2)).toBe("61.50");
    expect(formatNumber(-0.04, 1)).toBe("0.0");
    expect(formatNumber(-12.34, 1)).toBe("−12.3");
  });
  it("are grouped from five digits on", () => {
    expect(formatNumber(9999, 0)).toBe("9999");
    expect(formatNumber(1234567.5, 1)).toBe("1 234 567.5");
  });
  it("show five significant digits where nobody said more", () => {
    expect(formatNumber(0.0123456)).toBe("0.012346");
    expect(formatNumber(1e-9)).toBe("1.000e−9");
  });
  it("show an int64 beyond 2^53 in full", () => {
    expect(formatValue("9007199254740993", "int64")).toBe("9 007 199 254 740 993");
    expect(formatValue(null, "float64")).toBe("—");
  });
  it("are read as people type them", () => {
    expect(parseNumber(" 12,5 ", "float64")).toBe(12.5);
    expect(parseNumber("−3", "int64")).toBe(-3);
    expect(parseNumber("9007199254740993", "int64")).toBe("9007199254740993");
    for (const wrong of ["", "1.5.2", "twelve", "0x10", "NaN", "1e999"]) expect(parseNumber(wrong, "float64")).toBeUndefined();
    expect(parseNumber("1.5", "int64")).toBeUndefined();
  });
  it("that people set are shown as they would write them", () => {
    expect([4.5, 2.5, 65, 0.1 + 0.2, 1_234_567, -3].map(formatShort)).toEqual(["4.5", "2.5", "65", "0.3", "1 234 567", "−3"]);
  });
  it("of bytes use powers of ten", () => expect(formatBytes(12_345_678)).toBe("12.3 MB"));
});

describe("quality", () => {
  it("takes severity from the two top bits", () => {
    expect([0, 0x40900000, 0x800a0000, 0xc0000000].map(severity)).toEqual(["good", "uncertain", "bad", "bad"]);
  });
  it("has the standard's names", () => {
    expect(qualityName(0x800a0000)).toBe("BadTimeout");
    expect(qualityName(0x80ff0000)).toBe("Bad 0x80FF0000");
  });
});

describe("units", () => {
  it.each([
    ["Cel", "°C"], ["m3/h", "m³/h"], ["/min", "1/min"], ["1", ""], ["kW.h", "kWh"], ["mm2/s", "mm²/s"],
    ["N.m", "N·m"], ["{parts}/h", "parts/h"], ["%", "%"], ["kg.m-3", "kg·m⁻³"],
  ])("%s reads %s", (ucum, shown) => expect(displayUnit(ucum)).toBe(shown));
});

describe("times", () => {
  it("of a span have two parts at most", () => {
    expect(span(400, WORDS)).toBe("0 s");
    expect(span(59_900, WORDS)).toBe("59 s");
    expect(span(125 * 60_000, WORDS)).toBe("2 h 05 min");
    expect(span(76 * 3_600_000, WORDS)).toBe("3 d 4 h");
  });
  it("with nanoseconds are understood", () => {
    expect(parseTime("2026-11-22T08:00:00.250000001Z")).toBe(Date.UTC(2026, 10, 22, 8, 0, 0, 250));
  });
});
