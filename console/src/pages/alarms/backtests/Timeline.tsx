/** When: a lane a rule. A bar would have been, a tick above it was, a dashed one across it is where somebody acknowledged. The table says it in words. */
import type { BacktestResult } from "../../../api/client";
import { moment, parseTime } from "../../../format/time";
import { useT } from "../../../i18n";
import styles from "./backtests.module.css";

const LANES = 12;
const LANE = 26;
const WIDTH = 1_000;

export function Timeline({ data, episodes }: { data: BacktestResult; episodes: BacktestResult["episodes"] }) {
  const t = useT();
  const [start, end] = [parseTime(data.start), parseTime(data.end)];
  const x = (at: string) => Math.max(0, Math.min(WIDTH, ((parseTime(at) - start) / Math.max(1, end - start)) * WIDTH));
  const byRule = new Map<string, BacktestResult["episodes"]>();
  for (const one of episodes) byRule.set(one.rule, [...(byRule.get(one.rule) ?? []), one]);
  const lanes = [...byRule].toSorted((a, b) => b[1].length - a[1].length).slice(0, LANES);
  return (
    <figure className={styles.timeline}>
      <figcaption>
        <span>{moment(start)}</span>
        <span className={styles.legend}>
          <i data-mark="would" /> {t("backtest.would")} <i data-mark="was" /> {t("backtest.was")} <i data-mark="seen" /> {t("backtest.acknowledged")}
        </span>
        <span>{moment(end)}</span>
      </figcaption>
      {lanes.map(([rule, own]) => (
        <div key={rule} className={styles.lane}>
          <span>{rule}</span>
          <svg viewBox={`0 0 ${WIDTH} ${LANE}`} preserveAspectRatio="none" role="img" aria-label={t("backtest.lane", { rule, n: own.length })}>
            <rect x="0" y="12" width={WIDTH} height="10" className={styles.track} />
            {own.map((one) => {
              const from = x(one.raised_at);
              return (
                <g key={one.raised_at}>
                  <rect x={from} y="12" width={Math.max(2, x(one.cleared_at ?? data.end) - from)} height="10" className={styles.would} />
                  {one.really_raised_at !== null && <line x1={x(one.really_raised_at)} x2={x(one.really_raised_at)} y1="0" y2="11" className={styles.was} vectorEffect="non-scaling-stroke" />}
                  {one.acknowledged_at !== null && <line x1={x(one.acknowledged_at)} x2={x(one.acknowledged_at)} y1="13" y2="25" className={styles.seen} vectorEffect="non-scaling-stroke" />}
                </g>
              );
            })}
          </svg>
        </div>
      ))}
    </figure>
  );
}
