/** Calculated points: what each is made of, what failed, and what is being worked out anew. Those in trouble come first. */
import { Button, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { backfillsQuery, calculationsQuery } from "../../api/queries";
import { formatNumber } from "../../format/number";
import { moment, parseTime } from "../../format/time";
import { useT } from "../../i18n";
import { DocLink } from "../../ui/links";
import { Empty, Panel, parts, Problem } from "../../ui/Page";
import { CALCULATED, Counts } from "../explore/Backfill";
import { BackfillState } from "../explore/BackfillState";
import styles from "./system.module.css";

const PAGE = 100;
const failures = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((sum, n) => sum + n, 0);

export function Calculations() {
  const t = useT();
  const [text, setText] = useState("");
  const [shown, setShown] = useState(PAGE);
  const { data, error } = useQuery({ ...calculationsQuery, refetchInterval: 10_000 });
  const words = text.trim().toLowerCase();
  const found = useMemo(
    () => (data ?? []).filter((one) => `${one.path} ${one.expression}`.toLowerCase().includes(words)).toSorted((a, b) => failures(b.counts) - failures(a.counts) || (a.path < b.path ? -1 : 1)),
    [data, words],
  );
  return (
    <div className={styles.runtime}>
      <DocLink name="expressions" hash={CALCULATED} />
      <Problem error={error} />
      <Panel title={t("calculation.list")} aside={<TextInput size="xs" aria-label={t("alarms.filter")} placeholder={t("alarms.filter")} value={text} onChange={(event) => setText(event.currentTarget.value)} />}>
        {found.length === 0 ? (
          <Empty>{!data ? t("state.loading") : data.length === 0 ? t("calculation.none") : t("calculation.noneMatch")}</Empty>
        ) : (
          <div className={parts.scroll}>
            <table className={parts.table}>
              <thead>
                <tr>
                  <th>{t("writes.point")}</th>
                  <th>{t("point.expression")}</th>
                  <th className={parts.num}>{t("calculation.together")}</th>
                  <th>{t("alarms.state")}</th>
                </tr>
              </thead>
              <tbody>
                {found.slice(0, shown).map((one) => (
                  <tr key={one.path} data-calculation={one.path}>
                    <td className={styles.wrap}>
                      <Link to="/explore/$" params={{ _splat: one.path.slice(0, one.path.lastIndexOf("/")) }} search={{ point: one.path }}>
                        {one.path}
                      </Link>
                    </td>
                    <td className={`code ${styles.wrap}`}>{one.expression}</td>
                    <td className={parts.num}>{formatNumber(one.instances, 0)}</td>
                    <td>
                      <Counts counts={Object.entries(one.counts).filter(([, n]) => n > 0)} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Panel>
      {found.length > shown && (
        <div>
          <Button variant="default" onClick={() => setShown(shown + PAGE)}>
            {t("action.more")}
          </Button>
        </div>
      )}
      <Backfills />
    </div>
  );
}

function Backfills() {
  const t = useT();
  const { data, error } = useQuery(backfillsQuery);
  return (
    <Panel title={t("backfill.latest")}>
      <Problem error={error} />
      {!data || data.length === 0 ? (
        <Empty>{data ? t("backfill.none") : t("state.loading")}</Empty>
      ) : (
        <div className={parts.scroll}>
          <table className={parts.table}>
            <thead>
              <tr>
                <th>{t("backtest.stretch")}</th>
                <th>{t("writes.point")}</th>
                <th className={parts.num}>{t("backfill.results")}</th>
                <th>{t("alarms.state")}</th>
                <th>{t("alarms.who")}</th>
              </tr>
            </thead>
            <tbody>
              {data.map((one) => (
                <tr key={one.id} data-backfill={one.id}>
                  <td className={styles.nowrap}>
                    {moment(parseTime(one.start))} – {moment(parseTime(one.end))}
                  </td>
                  <td className={styles.wrap}>
                    {one.points[0]} {one.points.length > 1 && t("overview.moreAlarms", { n: one.points.length - 1 })}
                  </td>
                  <td className={parts.num}>{formatNumber(one.results, 0)}</td>
                  <td>
                    <BackfillState one={one} />
                  </td>
                  <td>{one.actor}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}
