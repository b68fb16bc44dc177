/** How accounts are guarded, and whom a rule would meet: what the page on people and the page on the policy both ask. */
import type { Policy, SafeguardsAnswer } from "../../api/client";
import { queryClient, safeguardsQuery, userSessionsQuery } from "../../api/queries";
import { parseTime, SECOND } from "../../format/time";
import type { Key } from "../../i18n";

export const freshSafeguards = (name?: string) => {
  void queryClient.invalidateQueries({ queryKey: safeguardsQuery.queryKey });
  if (name !== undefined) void queryClient.invalidateQueries({ queryKey: userSessionsQuery(name).queryKey });
};

type SecondFactor = Policy["second_factor"];
export const SECOND_FACTOR = ["off", "administrators", "everyone"] as const satisfies readonly SecondFactor[];

/** Who would have to add a second factor first. An account that is disabled meets no rule. */
export function lacking(people: readonly SafeguardsAnswer[], asked: SecondFactor): SafeguardsAnswer[] {
  if (asked === "off") return [];
  return people.filter((one) => !one.disabled && !one.second_factor && (asked === "everyone" || one.relied_on));
}

export interface Limits {
  session_idle_s: number;
  session_life_s: number;
  sessions_max: number;
}

/** Of whom a session would end now, and of whom one would with their next sign-in. */
export function ending(people: readonly SafeguardsAnswer[], limits: Limits, now: number): { now: SafeguardsAnswer[]; next: SafeguardsAnswer[] } {
  const older = (at: string | null, seconds: number) => at !== null && now - parseTime(at) >= seconds * SECOND;
  return {
    now: people.filter((one) => older(one.longest_idle_at, limits.session_idle_s) || older(one.first_session_at, limits.session_life_s)),
    next: people.filter((one) => one.sessions > limits.sessions_max),
  };
}

/** `Authenticator app`, `2 passkeys`, …: what somebody has beside a password. */
export function factorsOf(one: SafeguardsAnswer): { key: Key; n: number }[] {
  const all: { key: Key; n: number }[] = [
    { key: "guard.app", n: one.totp_since === null ? 0 : 1 },
    { key: "guard.passkeys", n: one.passkeys },
    { key: "guard.blocked", n: one.passkeys_blocked },
  ];
  return all.filter(({ n }) => n > 0);
}

/** Seconds as a number and the largest unit that fits: what a field shows, and back. */
export const UNITS = { s: 1, min: 60, h: 3_600, d: 86_400 } as const;
export type Unit = keyof typeof UNITS;
export function inUnit(seconds: number): { n: number; unit: Unit } {
  const unit = (["d", "h", "min", "s"] as const).find((one) => seconds % UNITS[one] === 0) ?? "s";
  return { n: seconds / UNITS[unit], unit };
}
