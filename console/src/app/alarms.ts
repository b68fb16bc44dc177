/** Alarms that are not normal, kept fresh by the live feed. A flood of transitions asks the server at most twice a second. */
import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import { type AlarmAnswer, ask, client, type Priority } from "../api/client";
import { alarmsQuery, assetsQuery, queryClient } from "../api/queries";
import { parseTime } from "../format/time";
import { feed } from "../live/feed";

const REFRESH_MS = 500;
const RANK: Readonly<Record<Priority, number>> = { critical: 0, high: 1, medium: 2, low: 3 };

/** What people are told of: neither shelved, nor suppressed, nor out of service. It has been raised, then. */
export type Annunciated = AlarmAnswer & { raised_at: string };

const QUIET: ReadonlySet<AlarmAnswer["state"]> = new Set(["shelved", "suppressed", "out-of-service"]);
const annunciated = (alarm: AlarmAnswer): alarm is Annunciated => !QUIET.has(alarm.state) && alarm.raised_at !== null;

export const unacknowledged = (alarm: AlarmAnswer) => alarm.state === "unack-active" || alarm.state === "unack-cleared" || alarm.state === "latched-unack";

/** Unacknowledged before acknowledged, then by priority, then newest first. */
export function urgency(a: Annunciated, b: Annunciated): number {
  return (
    Number(unacknowledged(b)) - Number(unacknowledged(a)) ||
    RANK[a.priority] - RANK[b.priority] ||
    parseTime(b.raised_at) - parseTime(a.raised_at)
  );
}

export function useAlarms(): readonly Annunciated[] {
  const { data } = useQuery(alarmsQuery);
  return useMemo(() => (data?.alarms ?? []).filter(annunciated).toSorted(urgency), [data]);
}

/** Once, in the shell. */
export function useAlarmFeed(): void {
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = feed.onAlarms(() => {
      timer ??= setTimeout(() => {
        timer = undefined;
        void queryClient.invalidateQueries({ queryKey: alarmsQuery.queryKey });
        void queryClient.invalidateQueries({ queryKey: assetsQuery.queryKey });
        void queryClient.invalidateQueries({ queryKey: ["alarm-history"] });
      }, REFRESH_MS);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, []);
}

export async function acknowledge(rules: readonly string[], comment: string): Promise<void> {
  await ask(client.POST("/api/v1/alarms/acknowledge", { body: { rules: [...rules], comment } }));
  await queryClient.invalidateQueries({ queryKey: alarmsQuery.queryKey });
}
