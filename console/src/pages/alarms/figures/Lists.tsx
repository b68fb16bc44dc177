/** Which alarms make the figures: each leads to its record. */
import { Link } from "@tanstack/react-router";
import type { KpisAnswer } from "../../../api/client";
import { formatNumber } from "../../../format/number";
import { moment, parseTime } from "../../../format/time";
import { useT } from "../../../i18n";
import { Age, Empty, Panel, parts } from "../../../ui/Page";
import { useSpan } from "../facts";
import styles from "./figures.module.css";
import { Share } from "./Priorities";

const SHOWN = 10;

export function RuleLink({ rule }: { rule: string }) {
  return (
    <Link to="/alarms" search={{ tab: "figures", alarm: rule }} className={styles.rule}>
      {rule}
    </Link>
  );
}

interface OffendersProps {
  label: string;
  text: string;
  rows: KpisAnswer["top"];
}

export function Offenders({ label, text, rows }: OffendersProps) {
  const t = useT();
  return (
    <Panel title={label}>
      {rows.length === 0 ? (
        <Empty>{t("figures.none")}</Empty>
      ) : (
        <table className={`${parts.table} ${styles.offenders}`}>
          <thead>
            <tr>
              <th>{t("figures.alarm")}</th>
              <th className={parts.num}>{t("figures.count")}</th>
              <th>{t("figures.part")}</th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, SHOWN).map((one) => (
              <tr key={one.rule}>
                <td>
                  <RuleLink rule={one.rule} />
                </td>
                <td className={parts.num}>{formatNumber(one.count, 0)}</td>
                <td>
                  <Share part={one.share} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <p className={styles.foot}>
        {text} {rows.length > SHOWN && t("overview.moreAlarms", { n: rows.length - SHOWN })}
      </p>
    </Panel>
  );
}

export function Floods({ kpis }: { kpis: KpisAnswer }) {
  const t = useT();
  const words = useSpan();
  return (
    <Panel title={t("figures.floods")}>
      {kpis.floods.length === 0 ? (
        <Empty>{t("figures.none")}</Empty>
      ) : (
        <table className={parts.table}>
          <thead>
            <tr>
              <th>{t("figures.began")}</th>
              <th>{t("figures.lasted")}</th>
              <th className={parts.num}>{t("figures.count")}</th>
              <th className={parts.num}>{t("figures.peak")}</th>
            </tr>
          </thead>
          <tbody>
            {kpis.floods.slice(0, SHOWN).map((flood) => (
              <tr key={flood.start}>
                <td>{moment(parseTime(flood.start))}</td>
                <td>{flood.end === null ? <b>{t("figures.goesOn")}</b> : words(parseTime(flood.end) - parseTime(flood.start))}</td>
                <td className={parts.num}>{formatNumber(flood.annunciated, 0)}</td>
                <td className={parts.num}>{formatNumber(flood.peak, 0)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <p className={styles.foot}>{t("figures.floodsText")}</p>
    </Panel>
  );
}

export function Stale({ kpis }: { kpis: KpisAnswer }) {
  const t = useT();
  return (
    <Panel title={t("figures.stale")}>
      {kpis.stale.length === 0 ? (
        <Empty>{t("figures.none")}</Empty>
      ) : (
        <table className={`${parts.table} ${styles.offenders}`}>
          <thead>
            <tr>
              <th>{t("figures.alarm")}</th>
              <th>{t("figures.began")}</th>
              <th>{t("figures.ended")}</th>
            </tr>
          </thead>
          <tbody>
            {kpis.stale.slice(0, SHOWN).map((one) => (
              <tr key={`${one.rule}${one.start}`}>
                <td>
                  <RuleLink rule={one.rule} />
                </td>
                <td className={styles.nowrap}>{one.start === null ? t("figures.before") : moment(parseTime(one.start))}</td>
                <td className={styles.nowrap}>
                  {one.end === null ? (
                    <b>
                      {t("figures.stands")} {one.start !== null && <Age at={one.start} />}
                    </b>
                  ) : (
                    moment(parseTime(one.end))
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <p className={styles.foot}>
        {t("figures.staleText")} {kpis.stale.length > SHOWN && t("overview.moreAlarms", { n: kpis.stale.length - SHOWN })}
      </p>
    </Panel>
  );
}
