/** Each figure beside what is advised: within it is grey and says nothing; beyond it has a symbol and a word. */
import type { ReactNode } from "react";
import type { KpisAnswer } from "../../../api/client";
import { formatNumber } from "../../../format/number";
import { moment, parseTime } from "../../../format/time";
import { useT } from "../../../i18n";
import { Panel, parts } from "../../../ui/Page";
import { QualitySymbol } from "../../../ui/Value";
import { useSpan } from "../facts";
import styles from "./figures.module.css";

interface Figure {
  name: "rate" | "rate10" | "peak" | "excess" | "flood" | "top" | "stale" | "chattering";
  value: number;
  /** The most that is advised, and the most that can be managed where that differs. */
  most: number;
  manageable?: number;
  share?: boolean;
  /** It says nothing of fewer alarms than that. */
  least?: number;
  /** It is a rate: of less than an hour it says nothing. */
  rate?: boolean;
  aside?: ReactNode;
}

/** Source: ISA-18.2-2016 table 7 and §16.5; of a stretch of a day and more. */
const figuresOf = (kpis: KpisAnswer): readonly Figure[] => [
  { name: "rate", value: kpis.per_operator_hour, most: 6, manageable: 12, rate: true },
  { name: "rate10", value: kpis.per_operator_10min, most: 1, manageable: 2, rate: true },
  { name: "peak", value: kpis.peak_10min, most: 10, aside: kpis.peak_10min_start !== null && moment(parseTime(kpis.peak_10min_start)) },
  { name: "excess", value: kpis.slices_in_excess, most: 0.01, share: true, rate: true },
  { name: "flood", value: kpis.flood_share, most: 0.01, share: true, rate: true },
  { name: "top", value: kpis.top_share, most: 0.05, share: true, least: 100 },
  { name: "stale", value: kpis.stale.length, most: 5 },
  { name: "chattering", value: kpis.chattering.length, most: 0 },
];

const HOUR_S = 3_600;
const percent = (share: number) => `${formatNumber(share * 100, share > 0 && share < 0.1 ? 1 : 0)} %`;

export function Advised({ kpis }: { kpis: KpisAnswer }) {
  const t = useT();
  const words = useSpan();
  const show = (value: number, share = false) => (share ? percent(value) : formatNumber(value, Number.isInteger(value) ? 0 : value < 1 ? 2 : value < 10 ? 1 : 0));
  const seconds = (value: number | null) => (value === null ? "—" : words(value * 1_000));
  const facts: readonly (readonly [string, ReactNode])[] = [
    [t("figures.annunciated"), formatNumber(kpis.annunciated, 0)],
    [t("figures.acknowledged"), kpis.acknowledged.count === 0 ? t("figures.nobody") : `${seconds(kpis.acknowledged.median_s)} · ${t("figures.ninety", { span: seconds(kpis.acknowledged.p90_s) })}`],
    [t("figures.never"), formatNumber(kpis.never_acknowledged, 0)],
    [t("alarmState.shelved"), t("figures.timesNow", { n: kpis.shelved, now: kpis.shelved_now })],
    [t("alarmState.suppressed"), t("figures.timesNow", { n: kpis.suppressed, now: kpis.suppressed_now })],
    [t("alarmState.out-of-service"), t("figures.timesNow", { n: kpis.out_of_service, now: kpis.out_of_service_now })],
  ];
  return (
    <Panel title={t("figures.beside")}>
      <div className={styles.advised}>
        <div className={parts.scroll}>
          <table className={parts.table}>
            <thead>
              <tr>
                <th>{t("figures.figure")}</th>
                <th className={parts.num}>{t("explore.value")}</th>
                <th className={parts.num}>{t("figures.atMost")}</th>
                <th>{t("posture.judged")}</th>
              </tr>
            </thead>
            <tbody>
              {figuresOf(kpis).map((one) => {
                const beyond = one.value > (one.manageable ?? one.most);
                return (
                  <tr key={one.name} data-figure={one.name} data-beyond={one.value > one.most}>
                    <td>{t(`figure.${one.name}`)}</td>
                    <td className={parts.num}>
                      <b>{show(one.value, one.share)}</b>
                      {one.aside && one.value > 0 && <small>{one.aside}</small>}
                    </td>
                    <td className={parts.num}>{show(one.most, one.share)}</td>
                    <td>
                      {one.rate && kpis.covered_s < HOUR_S ? (
                        <span className={styles.within}>{t("figures.tooShort")}</span>
                      ) : kpis.annunciated < (one.least ?? 0) ? (
                        <span className={styles.within}>{t("figures.tooFew")}</span>
                      ) : one.value <= one.most ? (
                        <span className={styles.within}>{t("figures.within")}</span>
                      ) : (
                        <span className={styles.beyond}>
                          <QualitySymbol look={beyond ? "bad" : "uncertain"} /> {t(beyond ? "figures.beyond" : "figures.manageable", { n: one.manageable ?? 0 })}
                        </span>
                      )}
                    </td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
        <dl className={parts.facts}>
          {facts.map(([name, value]) => (
            <div key={name} style={{ display: "contents" }}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </div>
    </Panel>
  );
}
