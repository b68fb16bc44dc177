/** What alarm rules would have raised over a stretch of history, beside what was raised and what operators did.
 *
 *     rules as declared, or a changed file ─► stretch ─► start ─► progress (cancel) ─► result ─► timeline ─► trend
 */
import { useQuery } from "@tanstack/react-query";
import { Link, useSearch } from "@tanstack/react-router";
import { ask, type BacktestAnswer, client } from "../../../api/client";
import { moment, parseTime } from "../../../format/time";
import { useT } from "../../../i18n";
import { Empty, Panel, parts, Problem } from "../../../ui/Page";
import { ProgressBar } from "../../../ui/Progress";
import styles from "./backtests.module.css";
import { NewBacktest } from "./NewBacktest";
import { Result } from "./Result";

const RUNNING_MS = 1_000;
const RESTING_MS = 15_000;

export const progressOf = (test: BacktestAnswer) => {
  const [start, end] = [parseTime(test.start), parseTime(test.end)];
  return end > start ? (parseTime(test.upto) - start) / (end - start) : 0;
};

export function Backtests() {
  const t = useT();
  const { test } = useSearch({ from: "/shell/alarms" });
  const { data, error } = useQuery({
    queryKey: ["backtests"],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/backtests", { signal })),
    refetchInterval: (query) => (query.state.data?.some((one) => one.ended_at === null) ? RUNNING_MS : RESTING_MS),
  });
  return (
    <div className={styles.page}>
      {test !== undefined && <Result key={test} id={test} />}
      <NewBacktest />
      <Problem error={error} />
      <Panel title={t("backtest.latest")}>
        {data === undefined || data.length === 0 ? (
          <Empty>{data ? t("backtest.none") : t("state.loading")}</Empty>
        ) : (
          <div className={parts.scroll}>
            <table className={`${parts.table} ${styles.latest}`}>
              <thead>
                <tr>
                  <th>{t("backtest.number")}</th>
                  <th>{t("backtest.stretch")}</th>
                  <th className={parts.num}>{t("backtest.tested")}</th>
                  <th className={parts.num}>{t("backtest.would")}</th>
                  <th>{t("alarms.state")}</th>
                  <th>{t("alarms.who")}</th>
                </tr>
              </thead>
              <tbody>
                {data.map((one) => (
                  <tr key={one.id} data-backtest={one.id} data-at={one.id === test}>
                    <td>
                      <Link to="/alarms" search={{ tab: "backtests", test: one.id }}>
                        {t("backtest.nth", { n: one.id })}
                      </Link>
                    </td>
                    <td>
                      {moment(parseTime(one.start))} – {moment(parseTime(one.end))}
                    </td>
                    <td className={parts.num}>{one.tested}</td>
                    <td className={parts.num}>{one.raised}</td>
                    <td>{one.ended_at === null ? <ProgressBar part={progressOf(one)} label={t("backtest.nth", { n: one.id })} /> : one.error || t("backtest.done")}</td>
                    <td>{one.actor}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
        <p className={styles.foot}>{t("backtest.kept")}</p>
      </Panel>
    </div>
  );
}
