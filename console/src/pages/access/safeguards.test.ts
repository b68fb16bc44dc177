import { describe, expect, it } from "vitest";
import type { SafeguardsAnswer } from "../../api/client";
import { ending, factorsOf, inUnit, lacking, UNITS } from "./safeguards";

const NOW = Date.parse("2026-11-22T08:00:00Z");
const one = (extra: Partial<SafeguardsAnswer>): SafeguardsAnswer => ({
  name: "wang", role: "viewer", disabled: false, must_change_password: false, password: true, totp_since: null, passkeys: 0, passkeys_blocked: 0,
  recovery_codes_left: 0, providers: [], second_factor: false, needed: false, relied_on: false, locked_until: null, sessions: 0, first_session_at: null,
  longest_idle_at: null, ...extra,
});
const names = (people: readonly SafeguardsAnswer[]) => people.map((person) => person.name);

describe("whom a policy of second factors meets", () => {
  const people = [one({}), one({ name: "li", relied_on: true }), one({ name: "zhao", relied_on: true, second_factor: true }), one({ name: "qian", disabled: true, relied_on: true })];
  it.each([
    ["off", []],
    ["administrators", ["li"]],
    ["everyone", ["wang", "li"]],
  ] as const)("%s", (asked, met) => expect(names(lacking(people, asked))).toEqual(met));
});

describe("whom limits of sessions meet", () => {
  const limits = { session_idle_s: 600, session_life_s: 3_600, sessions_max: 2 };
  const at = (secondsAgo: number) => new Date(NOW - secondsAgo * 1_000).toISOString();
  it("says who is out at once, and whose oldest goes with the next sign-in", () => {
    const people = [
      one({ name: "rests", sessions: 1, first_session_at: at(700), longest_idle_at: at(600) }),
      one({ name: "old", sessions: 1, first_session_at: at(3_600), longest_idle_at: at(1) }),
      one({ name: "many", sessions: 3, first_session_at: at(599), longest_idle_at: at(599) }),
      one({ name: "none" }),
    ];
    const met = ending(people, limits, NOW);
    expect(names(met.now)).toEqual(["rests", "old"]);
    expect(names(met.next)).toEqual(["many"]);
  });
});

it("names factors that are there, and a copied key as one that does not count", () => {
  expect(factorsOf(one({ totp_since: "2026-01-01T00:00:00Z", passkeys: 2, passkeys_blocked: 1 })).map(({ key, n }) => `${key} ${n}`)).toEqual(["guard.app 1", "guard.passkeys 2", "guard.blocked 1"]);
  expect(factorsOf(one({}))).toEqual([]);
});

it.each([60, 90, 5_400, 43_200, 604_800, 86_401])("shows %d s in a unit that loses nothing", (seconds) => {
  const { n, unit } = inUnit(seconds);
  expect(Number.isInteger(n)).toBe(true);
  expect(n * UNITS[unit]).toBe(seconds);
});
