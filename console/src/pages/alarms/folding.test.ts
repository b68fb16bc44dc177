import { describe, expect, it } from "vitest";
import type { Annunciated } from "../../app/alarms";
import { linesOf } from "./folding";

const alarm = (rule: string, more: Partial<Annunciated> = {}) =>
  ({ rule, group: rule, first_out: 0, state: "unack-active", priority: "medium", raised_at: "2026-11-26T08:00:00Z", ...more }) as Annunciated;
const names = (alarms: readonly Annunciated[], open: string[] = []) => linesOf(alarms, new Set(open)).map((line) => `${line.inside ? "  " : ""}${line.alarm.rule}${line.under ? `+${line.under}` : ""}`);

describe("consequences", () => {
  const pump = alarm("pump");
  const [a, b] = [alarm("a", { group: "pump", first_out: 2 }), alarm("b", { group: "pump", first_out: 1, priority: "low" })];
  it("are folded under their root with their number, and opened first-out", () => {
    expect(names([pump, a, b])).toEqual(["pump+2"]);
    expect(names([pump, a, b], ["pump"])).toEqual(["pump+2", "  b", "  a"]);
  });
  it("stand for themselves where the root is not on the list", () => {
    expect(names([a, b])).toEqual(["a", "b"]);
  });
  it("are never folded under what is less urgent", () => {
    expect(names([alarm("x", { group: "pump", priority: "high" }), pump, a])).toEqual(["x", "pump+1"]);
    const seen = alarm("pump", { state: "ack-active", priority: "critical" });
    expect(names([a, seen])).toEqual(["a", "pump"]);
    expect(names([seen, alarm("c", { group: "pump", state: "ack-active" })])).toEqual(["pump+1"]);
  });
  it("are all there, once, however they are grouped", () => {
    const many = Array.from({ length: 200 }, (_, i) => alarm(`r${i}`, { group: `r${i % 7}`, priority: i % 3 ? "low" : "high", state: i % 5 ? "unack-active" : "ack-active" }));
    const lines = linesOf(many, new Set(many.map((one) => one.rule)));
    expect(lines.map((line) => line.alarm.rule).toSorted()).toEqual(many.map((one) => one.rule).toSorted());
  });
});
