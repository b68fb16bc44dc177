/** What part each priority has of what people were told, beside what is advised: 5, 15 and 80 %. Critical counts with high there. */
import type { KpisAnswer } from "../../../api/client";
import { formatNumber } from "../../../format/number";
import { useT } from "../../../i18n";
import { Empty, Panel, parts } from "../../../ui/Page";
import { PRIORITIES, PriorityMark } from "../../../ui/Priority";
import styles from "./figures.module.css";

export function Priorities({ kpis }: { kpis: KpisAnswer }) {
  const t = useT();
  if (kpis.annunciated === 0) {
    return (
      <Panel title={t("figures.priorities")}>
        <Empty>{t("figures.noneTold")}</Empty>
      </Panel>
    );
  }
  return (
    <Panel title={t("figures.priorities")}>
      <table className={`${parts.table} ${styles.priorities}`}>
        <thead>
          <tr>
            <th>{t("alarms.priority")}</th>
            <th className={parts.num}>{t("figures.count")}</th>
            <th>{t("figures.part")}</th>
            <th className={parts.num}>{t("posture.advised")}</th>
          </tr>
        </thead>
        <tbody>
          {PRIORITIES.map((priority) => {
            const share = kpis.priorities[priority];
            if (!share) return null;
            return (
              <tr key={priority}>
                <td>
                  <PriorityMark priority={priority} quiet size={18} /> {t(`priority.${priority}`)}
                </td>
                <td className={parts.num}>{formatNumber(share.count, 0)}</td>
                <td>
                  <Share part={share.share} advised={share.recommended} />
                </td>
                <td className={parts.num}>{share.recommended === null ? t("figures.withHigh") : `${formatNumber(share.recommended * 100, 0)} %`}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
      <p className={styles.foot}>
        {t("figures.ofToday")} {kpis.unknown_priority > 0 && t("figures.unknown", { n: kpis.unknown_priority })}
      </p>
    </Panel>
  );
}

/** A part as a bar and a number; what is advised is a line across it. */
export function Share({ part, advised = null }: { part: number; advised?: number | null }) {
  return (
    <span className={styles.share}>
      <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
        <rect width="100" height="10" fill="var(--track)" />
        <rect width={Math.max(0, Math.min(1, part)) * 100} height="10" fill="var(--band)" />
        {advised !== null && <line x1={advised * 100} x2={advised * 100} y1="0" y2="10" stroke="var(--ink)" strokeWidth="2" vectorEffect="non-scaling-stroke" />}
      </svg>
      <span>{formatNumber(part * 100, part > 0 && part < 0.1 ? 1 : 0)} %</span>
    </span>
  );
}
