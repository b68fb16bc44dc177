/** What is said of an alarm in few signs, wherever it is shown. */
import type { AlarmAnswer } from "../../api/client";
import { formatShort } from "../../format/number";
import { parseTime, span } from "../../format/time";
import { type Key, useT } from "../../i18n";
import { useNow } from "../../live/hooks";
import { QualitySymbol } from "../../ui/Value";
import styles from "./alarms.module.css";

/** The point that an alarm is of, by its name: `<path>:<rule>`. */
export const pointOf = (rule: string) => rule.slice(0, rule.lastIndexOf(":"));

const SIGNS: Readonly<Record<string, string>> = { high: ">", low: "<", equals: "=" };

/** What was measured against what is allowed: `68.2 > 65`. */
export function Comparison({ alarm }: { alarm: Pick<AlarmAnswer, "condition" | "limit" | "value"> }) {
  const t = useT();
  const value = alarm.value === null ? "—" : formatShort(Number(alarm.value.toPrecision(4)));
  const limit = formatShort(alarm.limit);
  const sign = SIGNS[alarm.condition];
  return (
    <>
      <b>{value}</b> {sign ? `${sign} ${limit}` : `· ${t(`condition.${alarm.condition}` as Key, { limit })}`}
    </>
  );
}

/** What is not allowed, of an alarm that does not stand: `> 65`. */
export function Limit({ rule, unit = "" }: { rule: { readonly condition: string; readonly limit: number }; unit?: string }) {
  const t = useT();
  const limit = formatShort(rule.limit);
  const sign = SIGNS[rule.condition];
  return <>{sign ? `${sign} ${limit}${unit === "" ? "" : ` ${unit}`}` : t(`condition.${rule.condition}` as Key, { limit })}</>;
}

export function useSpan(): (ms: number) => string {
  const t = useT();
  return (ms) => span(ms, { s: t("unit.s"), min: t("unit.min"), h: t("unit.h"), d: t("unit.d") });
}

/** How long somebody has left to respond, while the condition holds; nothing where nobody said how long there is. */
export function TimeLeft({ alarm }: { alarm: AlarmAnswer }) {
  const t = useT();
  const now = useNow();
  const words = useSpan();
  const seconds = alarm.rationale?.time_to_respond_s;
  if (seconds === null || seconds === undefined || !alarm.active || alarm.raised_at === null) return null;
  const left = parseTime(alarm.raised_at) + seconds * 1_000 - now;
  return (
    <span className={styles.left} data-late={left < 0}>
      <QualitySymbol look={left < 0 ? "bad" : "stale"} /> {left < 0 ? t("alarms.late", { span: words(-left) }) : t("alarms.left", { span: words(left) })}
    </span>
  );
}
