/** What stands between a setpoint and its device, before anybody sends: second person, limits, interlocks, locks. */
import { useQuery } from "@tanstack/react-query";
import type { ConditionsAnswer, PointAnswer } from "../api/client";
import { conditionsQuery } from "../app/guards";
import { formatShort } from "../format/number";
import { span } from "../format/time";
import { displayUnit } from "../format/unit";
import { useT, useTitle } from "../i18n";
import { Icon } from "../ui/Icon";
import { QualitySymbol } from "../ui/Value";
import styles from "./write.module.css";

export function useConditions(path: string): ConditionsAnswer | undefined {
  return useQuery(conditionsQuery(path)).data;
}

export function Conditions({ point, conditions }: { point: PointAnswer; conditions: ConditionsAnswer | undefined }) {
  const t = useT();
  const title = useTitle();
  if (!conditions) return null;
  const { limits } = conditions;
  const unit = displayUnit(point.unit);
  const words = { s: t("unit.s"), min: t("unit.min"), h: t("unit.h"), d: t("unit.d") };
  const said = [
    limits.step !== null && t("limit.step", { n: formatShort(limits.step), unit }),
    limits.rate !== null && t("limit.rate", { n: formatShort(limits.rate), unit }),
    limits.interval_s !== null && t("limit.interval", { span: span(limits.interval_s * 1_000, words) }),
    limits.writes !== null && t("limit.writes", { n: limits.writes }),
    limits.writes_each !== null && t("limit.writesEach", { n: limits.writes_each }),
  ].filter((one) => one !== false);
  if (!conditions.critical && said.length === 0 && conditions.interlocks.length === 0 && conditions.locks.length === 0) return null;
  return (
    <ul className={styles.conditions} aria-label={t("write.conditions")}>
      {conditions.locks.map((lock) => (
        <li key={lock.id} data-holds="false">
          <Icon name="lock" size={18} />
          <span>
            <strong>{lock.path ? t("lock.path", { path: lock.path }) : t("lock.everything")}</strong>
            <small>
              {lock.reason} · {lock.locked_by}
            </small>
          </span>
        </li>
      ))}
      {conditions.waiting && (
        <li data-holds="false">
          <Icon name="user" size={18} />
          <span>
            {t("write.waitsAlready")}
            <small>
              {conditions.waiting.actor} · {conditions.waiting.reason}
            </small>
          </span>
        </li>
      )}
      {conditions.critical && (
        <li>
          <Icon name="user" size={18} />
          <span>
            {t("write.critical")}
            <small>{t("write.criticalText", { span: span(conditions.approval_s * 1_000, words) })}</small>
          </span>
        </li>
      )}
      {conditions.interlocks.map((one) => (
        <li key={`${one.point} ${one.condition} ${String(one.limit)} ${one.low}`} data-holds={one.holds}>
          {one.holds ? <Icon name="check" size={18} /> : <QualitySymbol look="bad" size={18} />}
          <span>
            {title(one.text, one.point)}
            <small>{one.holds ? t("interlock.holds") : `${t("interlock.open")}: ${one.why}`}</small>
          </span>
        </li>
      ))}
      {said.length > 0 && (
        <li>
          <Icon name="minus" size={18} />
          <span>{said.join(" · ")}</span>
        </li>
      )}
    </ul>
  );
}
