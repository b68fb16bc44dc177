import { describe, expect, it } from "vitest";
import { aligned, bridged, pan, pensOf, refreshMs, SPAN_MAX, SPAN_MIN, statistics, zoom } from "./view";

describe("a trend window", () => {
  it("keeps the moment under the pointer where it is", () => {
    const next = zoom({ from: 0, to: 100_000 }, 0.5, 25_000);
    expect(next).toEqual({ from: 12_500, to: 62_500 });
  });
  it("is never narrower than a second nor wider than two years", () => {
    const one = zoom({ from: 0, to: 2_000 }, 0.001, 500);
    expect(one.to - one.from).toBe(SPAN_MIN);
    const wide = zoom({ from: 0, to: SPAN_MAX }, 10, 0);
    expect(wide.to - wide.from).toBe(SPAN_MAX);
  });
  it("pans by a share of itself", () => expect(pan({ from: 0, to: 100 }, -0.25)).toEqual({ from: -25, to: 75 }));
  it("asks for the same buckets while it moves less than one", () => {
    expect(aligned({ from: 1_003, to: 11_003 }, 100)).toEqual(aligned({ from: 1_050, to: 11_050 }, 100));
  });
  it("asks again once a bucket, within reason", () => {
    expect(refreshMs({ from: 0, to: 1_000 }, 1_000)).toBe(1_000);
    expect(refreshMs({ from: 0, to: 8 * 3_600_000 }, 1_000)).toBe(28_800);
  });
});

describe("what is drawn", () => {
  const data = {
    start_ms: 0, width_ms: 1_000, count: 4,
    series: [{ path: "a", unit: "1", columns: { min: [1, null, null, 3], max: [2, null, null, 9], mean: [1.5, null, null, 6], count: [2, 0, 4, 3], "good-count": [2, 0, 0, 3] } }],
  };
  it("tells no samples from bad ones", () => {
    const { times, pens } = pensOf(data);
    expect(times).toEqual([0.5, 1.5, 2.5, 3.5]);
    expect(pens[0]?.bad).toEqual([false, false, true, false]);
  });
  it("bridges what was not sampled and breaks where it was bad", () => {
    expect(bridged([1, null, 3], [false, false, false], 8)).toEqual([1, undefined, 3]);
    expect(bridged([1, null, 3], [false, true, false], 8)).toEqual([1, null, 3]);
    expect(bridged([1, null, null, null, 3], Array.from({ length: 5 }, () => false), 2)).toEqual([1, null, null, null, 3]);
  });
  it("has statistics of what is in view", () => {
    const pen = pensOf(data).pens[0];
    expect(pen && statistics(pen)).toEqual({ min: 1, max: 9, mean: 3.75 });
  });
});
