/** Which few points stand for a machine. Its declaration may say (`attributes: {display.key: "oil.temperature, …"}`);
 * else those that have alarm limits, then analog readings that people look at first. */
import type { PointAnswer } from "../api/client";

const KEY_ATTRIBUTE = "display.key";
const KEY_COUNT = 4;
const TELLING: readonly [RegExp, number][] = [
  [/^(oil|melt|supply|discharge|mould|air)\./, 3],
  [/temperature|pressure/, 3],
  [/power$|^power/, 3],
  [/force|torque|flow|level|vibration/, 2],
  [/cycle\.time/, 2],
  [/speed|position|current/, 1],
  [/setpoint|total|zone|count|hours/, -8],
];

function weight(point: PointAnswer): number {
  let sum = point.alarms.some((rule) => rule.condition === "high" || rule.condition === "low") ? 4 : 0;
  for (const [pattern, points] of TELLING) if (pattern.test(point.name)) sum += points;
  return sum;
}

export function keyPoints(points: readonly PointAnswer[], attributes: Readonly<Record<string, string>>): PointAnswer[] {
  const named = attributes[KEY_ATTRIBUTE]?.split(",").map((name) => name.trim());
  if (named) return named.flatMap((name) => points.find((point) => point.name === name) ?? []).slice(0, KEY_COUNT);
  const analog = points.filter((point) => point.kind === "float64" && point.range && point.access === "read");
  const ranked = analog.map((point) => ({ point, weight: weight(point) })).toSorted((a, b) => b.weight - a.weight);
  // One of each quantity first: four temperatures say less than a temperature, a pressure, a power and a flow.
  const units = new Set<string>();
  const first = ranked.filter(({ point }) => !units.has(point.unit) && units.add(point.unit));
  const rest = ranked.filter((one) => !first.includes(one));
  return [...first, ...rest].slice(0, KEY_COUNT).map(({ point }) => point);
}

export function statePoint(points: readonly PointAnswer[]): PointAnswer | undefined {
  return points.find((point) => point.name === "machine.state" || point.name === "state");
}
