/** Consequences folded under their cause: one outage, one line. Pure.
 *
 *     alarms by urgency ─► lines: a root with how many are folded under it, and these beneath it once it is opened
 *
 * An alarm stands for itself where its root is not on the list, or is less urgent than it.
 */
import { type Annunciated, rank } from "../../app/alarms";

export interface Line {
  alarm: Annunciated;
  /** How many are folded under it, seen or not. */
  under: number;
  open: boolean;
  /** It is shown beneath its root. */
  inside: boolean;
}

export function linesOf(alarms: readonly Annunciated[], open: ReadonlySet<string>): Line[] {
  const listed = new Map(alarms.map((alarm) => [alarm.rule, alarm]));
  const under = new Map<string, Annunciated[]>();
  const standing: Annunciated[] = [];
  for (const alarm of alarms) {
    const root = alarm.group === alarm.rule ? undefined : listed.get(alarm.group);
    if (!root || root.group !== root.rule || rank(alarm) < rank(root)) standing.push(alarm);
    else if (under.has(root.rule)) under.get(root.rule)?.push(alarm);
    else under.set(root.rule, [alarm]);
  }
  return standing.flatMap((alarm) => {
    const folded = under.get(alarm.rule) ?? [];
    const line = { alarm, under: folded.length, open: folded.length > 0 && open.has(alarm.rule), inside: false };
    if (!line.open) return [line];
    const inside = folded.toSorted((a, b) => a.first_out - b.first_out);
    return [line, ...inside.map((one) => ({ alarm: one, under: 0, open: false, inside: true }))];
  });
}
