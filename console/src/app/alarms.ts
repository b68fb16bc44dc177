/** Alarms that are not normal, kept fresh by the live feed. A flood of transitions asks the server at most twice a second, and
 * less often the more alarms stand: ten thousand are read every five seconds. */
import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import type { AlarmAnswer, AlarmPage, Priority } from "../api/client";
import { alarmsQuery, assetsQuery, queryClient } from "../api/queries";
import { parseTime } from "../format/time";
import { feed } from "../live/feed";

const REFRESH_MS = 500;
const REFRESH_PER_ALARM_MS = 0.5;
const RANK: Readonly<Record<Priority, number>> = { critical: 0, high: 1, medium: 2, low: 3 };

/** What people are told of: neither shelved, nor suppressed, nor out of service. It has been raised, then. */
export type Annunciated = AlarmAnswer & { raised_at: string };

const QUIET: ReadonlySet<AlarmAnswer["state"]> = new Set(["shelved", "suppressed", "out-of-service"]);
export const isQuiet = (alarm: AlarmAnswer) => QUIET.has(alarm.state);
const annunciated = (alarm: AlarmAnswer): alarm is Annunciated => !isQuiet(alarm) && alarm.raised_at !== null;

export const unacknowledged = (alarm: AlarmAnswer) => alarm.state === "unack-active" || alarm.state === "unack-cleared" || alarm.state === "latched-unack";

/** Smaller is more urgent: unacknowledged before acknowledged, then by priority. */
export const rank = (alarm: AlarmAnswer) => (unacknowledged(alarm) ? 0 : 4) + RANK[alarm.priority];

interface Sorted {
  told: readonly Annunciated[];
  quiet: readonly AlarmAnswer[];
}

const NOTHING: Sorted = { told: [], quiet: [] };
const sorted = new WeakMap<AlarmPage, Sorted>();

/** Once for each answer, however many parts of the screen show it. */
function sort(page: AlarmPage): Sorted {
  const known = sorted.get(page);
  if (known) return known;
  const told = page.alarms
    .filter(annunciated)
    .map((alarm) => ({ alarm, rank: rank(alarm), ms: parseTime(alarm.raised_at) }))
    .toSorted((a, b) => a.rank - b.rank || b.ms - a.ms)
    .map(({ alarm }) => alarm);
  const made = { told, quiet: page.alarms.filter(isQuiet) };
  sorted.set(page, made);
  return made;
}

/** Those that people are told of: unacknowledged before acknowledged, then by priority, then newest first. */
export function useAlarms(): readonly Annunciated[] {
  const { data } = useQuery(alarmsQuery);
  return (data ? sort(data) : NOTHING).told;
}

/** Those that are quiet for a reason. */
export function useQuietAlarms(): readonly AlarmAnswer[] {
  const { data } = useQuery(alarmsQuery);
  return (data ? sort(data) : NOTHING).quiet;
}

/** Once, in the shell. */
export function useAlarmFeed(): void {
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = feed.onAlarms(() => {
      const standing = queryClient.getQueryData(alarmsQuery.queryKey)?.alarms.length ?? 0;
      timer ??= setTimeout(() => {
        timer = undefined;
        void queryClient.invalidateQueries({ queryKey: alarmsQuery.queryKey });
        void queryClient.invalidateQueries({ queryKey: assetsQuery.queryKey });
        void queryClient.invalidateQueries({ queryKey: ["alarm-history"] });
      }, REFRESH_MS + standing * REFRESH_PER_ALARM_MS);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, []);
}
