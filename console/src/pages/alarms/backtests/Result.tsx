/** One back-test: how far it is, then for each rule what would have been beside what was, and when. */
import { Button } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ask, type BacktestResult, client, type Priority } from "../../../api/client";
import { queryClient } from "../../../api/queries";
import { formatNumber } from "../../../format/number";
import { moment, parseTime } from "../../../format/time";
import { useT } from "../../../i18n";
import { Empty, Panel, parts, Problem } from "../../../ui/Page";
import { PriorityMark } from "../../../ui/Priority";
import { ProgressBar } from "../../../ui/Progress";
import { useSpan } from "../facts";
import { progressOf } from "./Backtests";
import styles from "./backtests.module.css";
import { Episodes } from "./Episodes";
import { Timeline } from "./Timeline";

const PAGE = 100;

export function Result({ id }: { id: number }) {
  const t = useT();
  const [rule, setRule] = useState<string | null>(null);
  const { data, error } = useQuery({
    queryKey: ["backtests", id],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/backtests/{id}", { params: { path: { id } }, signal })),
    refetchInterval: (query) => (query.state.data && query.state.data.ended_at === null ? 1_000 : false),
  });
  const cancel = useMutation({
    mutationFn: () => ask(client.POST("/api/v1/backtests/{id}/cancel", { params: { path: { id } } })),
    onSettled: () => queryClient.invalidateQueries({ queryKey: ["backtests"] }),
  });
  if (!data) return error ? <Problem error={error} /> : <Empty>{t("state.loading")}</Empty>;
  const running = data.ended_at === null;
  const episodes = rule === null ? data.episodes : data.episodes.filter((one) => one.rule === rule);
  return (
    <Panel
      title={`${t("backtest.nth", { n: id })} · ${moment(parseTime(data.start))} – ${moment(parseTime(data.end))}`}
      aside={
        running && (
          <Button size="xs" variant="default" loading={cancel.isPending} onClick={() => cancel.mutate()}>
            {t("action.cancel")}
          </Button>
        )
      }
    >
      <div className={styles.sum} role="status">
        {running && <ProgressBar part={progressOf(data)} label={t("backtest.nth", { n: id })} />}
        <span>
          {t(running ? "backtest.running" : "backtest.read", { samples: formatNumber(data.samples, 0), rules: data.tested, n: data.raised })}
          {running && ` · ${t("backtest.upto", { at: moment(parseTime(data.upto)) })}`}
        </span>
      </div>
      <Problem error={cancel.error} />
      {data.error !== "" && <Problem error={new Error(data.error)} />}
      {!running && data.error === "" && (
        <>
          <Rules data={data} rule={rule} onRule={setRule} />
          {episodes.length > 0 && (
            <>
              <Timeline data={data} episodes={episodes} />
              <Episodes key={rule} episodes={episodes} end={data.end} />
            </>
          )}
          {data.raised > data.episodes.length && <p className={styles.foot}>{t("backtest.onlyFirst", { n: data.episodes.length, of: data.raised })}</p>}
          <p className={styles.foot}>{t("backtest.differs")}</p>
        </>
      )}
    </Panel>
  );
}

/** Would beside was; a row leads to its own times. */
function Rules({ data, rule, onRule }: { data: BacktestResult; rule: string | null; onRule: (rule: string | null) => void }) {
  const t = useT();
  const words = useSpan();
  const [shown, setShown] = useState(PAGE);
  const change = (would: number, was: number) => (would === was ? t("backtest.same") : `${would > was ? "+" : "−"}${Math.abs(would - was)}`);
  return (
    <div className={parts.scroll}>
      <table className={`${parts.table} ${styles.rules}`}>
        <thead>
          <tr>
            <th>{t("figures.alarm")}</th>
            <th className={parts.num}>{t("backtest.would")}</th>
            <th className={parts.num}>{t("backtest.was")}</th>
            <th className={parts.num}>{t("backtest.difference")}</th>
            <th className={parts.num}>{t("backtest.active")}</th>
            <th className={parts.num}>{t("backtest.longest")}</th>
            <th className={parts.num}>{t("backtest.acknowledged")}</th>
            <th className={parts.num}>{t("backtest.after")}</th>
          </tr>
        </thead>
        <tbody>
          {data.rules.slice(0, shown).map((one) => (
            <tr key={one.rule} data-result={one.rule} data-at={one.rule === rule}>
              <td>
                <button type="button" className={styles.pick} aria-pressed={one.rule === rule} onClick={() => onRule(one.rule === rule ? null : one.rule)}>
                  <PriorityMark priority={one.priority as Priority} quiet={one.raised === 0} state="ack-active" size={16} /> <span>{one.rule}</span>
                </button>
              </td>
              <td className={parts.num}>
                <b>{one.raised}</b>
              </td>
              <td className={parts.num}>{one.really_raised}</td>
              <td className={parts.num}>{change(one.raised, one.really_raised)}</td>
              <td className={parts.num}>{one.raised === 0 ? "—" : words(one.active_s * 1_000)}</td>
              <td className={parts.num}>{one.raised === 0 ? "—" : words(one.longest_s * 1_000)}</td>
              <td className={parts.num}>{one.really_acknowledged}</td>
              <td className={parts.num}>{one.median_acknowledge_s === null ? "—" : words(one.median_acknowledge_s * 1_000)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {data.rules.length > shown && (
        <Button m={12} size="xs" variant="default" onClick={() => setShown(shown + PAGE)}>
          {t("action.more")}
        </Button>
      )}
    </div>
  );
}
