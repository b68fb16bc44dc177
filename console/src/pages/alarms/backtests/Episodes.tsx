/** Each alarm that would have been, the real one beside it, and what somebody did; its time opens in the trend. */
import { Button } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { BacktestResult } from "../../../api/client";
import { formatShort } from "../../../format/number";
import { MINUTE, moment, parseTime } from "../../../format/time";
import { useT } from "../../../i18n";
import { parts } from "../../../ui/Page";
import { pointOf, useSpan } from "../facts";
import styles from "./backtests.module.css";

const PAGE = 50;
/** So much before and after an alarm, at least. */
const AROUND = 5 * MINUTE;

export function Episodes({ episodes, end }: { episodes: BacktestResult["episodes"]; end: string }) {
  const t = useT();
  const words = useSpan();
  const [shown, setShown] = useState(PAGE);
  return (
    <div className={parts.scroll}>
      <table className={`${parts.table} ${styles.rules}`}>
        <thead>
          <tr>
            <th>{t("backtest.wouldAt")}</th>
            <th>{t("figures.lasted")}</th>
            <th className={parts.num}>{t("explore.value")}</th>
            <th>{t("backtest.wasAt")}</th>
            <th>{t("backtest.then")}</th>
            <th>{t("figures.alarm")}</th>
          </tr>
        </thead>
        <tbody>
          {episodes.slice(0, shown).map((one) => {
            const from = parseTime(one.raised_at);
            const to = parseTime(one.cleared_at ?? end);
            const around = Math.max(AROUND, (to - from) / 2);
            return (
              <tr key={`${one.rule}${one.raised_at}`}>
                <td>
                  <Link to="/trend" search={{ p: [pointOf(one.rule)], from: Math.round(from - around), to: Math.round(to + around) }}>
                    {moment(from)}
                  </Link>
                </td>
                <td>{one.cleared_at === null ? t("backtest.toTheEnd") : words(to - from)}</td>
                <td className={parts.num}>{one.value === null ? "—" : formatShort(Number(one.value.toPrecision(4)))}</td>
                <td>{one.really_raised_at === null ? t("backtest.notReally") : moment(parseTime(one.really_raised_at))}</td>
                <td>{one.acknowledged_at === null ? "—" : [`${one.acknowledged_by} ${moment(parseTime(one.acknowledged_at))}`, one.comment].filter(Boolean).join(" · ")}</td>
                <td className={styles.name}>{one.rule}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {episodes.length > shown && (
        <Button m={12} size="xs" variant="default" onClick={() => setShown(shown + PAGE)}>
          {t("action.more")}
        </Button>
      )}
    </div>
  );
}
