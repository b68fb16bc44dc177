/** A calculated point: how it fares, and working a stretch of it out anew from what history holds of its inputs. */
import { Button, NativeSelect } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ask, client } from "../../api/client";
import { backfillsQuery, calculationsQuery, queryClient } from "../../api/queries";
import { useSession } from "../../app/session";
import { moment, parseTime } from "../../format/time";
import { useT } from "../../i18n";
import { DocLink } from "../../ui/links";
import { Problem } from "../../ui/Page";
import { QualitySymbol } from "../../ui/Value";
import { BackfillState } from "./BackfillState";
import styles from "./explore.module.css";

const SPANS = ["now-8h", "now-1d", "now-7d", "now-30d"] as const;
const SHOWN = 3;

/** Where calculated points are described. */
export const CALCULATED = { en: "calculated-points", zh: "计算点" } as const;

export function Backfill({ path }: { path: string }) {
  const t = useT();
  const { may } = useSession();
  const [start, setStart] = useState<string>("now-1d");
  const { data: calculations } = useQuery(calculationsQuery);
  const { data: fills } = useQuery(backfillsQuery);
  const counts = Object.entries(calculations?.find((one) => one.path === path)?.counts ?? {}).filter(([, n]) => n > 0);
  const own = (fills ?? []).filter((one) => one.points.includes(path)).slice(0, SHOWN);
  const run = useMutation({
    mutationFn: () => ask(client.POST("/api/v1/calculations/backfills", { body: { points: [path], start } })),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: backfillsQuery.queryKey }),
  });
  const working = own.some((one) => one.ended_at === null);
  return (
    <section className={styles.backfill}>
      <h3>{t("calculation.title")}</h3>
      <Counts counts={counts} />
      {may("configure") && (
        <div className={styles.backfillAsk}>
          <NativeSelect label={t("backfill.from")} value={start} onChange={(event) => setStart(event.currentTarget.value)} data={SPANS.map((one) => ({ value: one, label: t(`backfillFrom.${one}`) }))} />
          <Button variant="default" loading={run.isPending} disabled={working} onClick={() => run.mutate()}>
            {t("backfill.start")}
          </Button>
        </div>
      )}
      <Problem error={run.error} />
      {own.length > 0 && (
        <ul>
          {own.map((one) => (
            <li key={one.id} data-backfill={one.id}>
              <span>
                {moment(parseTime(one.start))} – {moment(parseTime(one.end))} · {one.actor}
              </span>
              <BackfillState one={one} />
            </li>
          ))}
        </ul>
      )}
      <p>
        {t("backfill.text")} <DocLink name="expressions" hash={CALCULATED} />
      </p>
    </section>
  );
}

/** What failed and what came late since it began; nothing of that is normal and is said in grey. */
export function Counts({ counts }: { counts: readonly (readonly [string, number])[] }) {
  const t = useT();
  if (counts.length === 0) return <span className={styles.calm}>{t("calculation.fine")}</span>;
  return (
    <span className={styles.counted}>
      {counts.map(([reason, n]) => (
        <span key={reason}>
          <QualitySymbol look={reason === "late" ? "uncertain" : "bad"} /> {reason === "late" ? t("calculation.late", { n }) : t("calculation.failed", { n, reason })}
        </span>
      ))}
    </span>
  );
}
