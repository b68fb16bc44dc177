/** A live value: digits, unit, and quality by symbol and hatching, never by colour alone. */
import { memo } from "react";
import type { PointAnswer } from "../api/client";
import { formatValue } from "../format/number";
import { qualityName, severity } from "../format/quality";
import { displayUnit } from "../format/unit";
import { type Key, useT } from "../i18n";
import type { Sample } from "../live/feed";
import { useSample } from "../live/hooks";
import styles from "./marks.module.css";

export type Look = "good" | "uncertain" | "bad" | "stale" | "none";

export function lookOf(sample: Sample | undefined): Look {
  if (!sample) return "none";
  if (sample.stale) return "stale";
  return severity(sample.quality);
}

const SYMBOLS: Readonly<Record<Look, string | null>> = {
  good: null,
  none: null,
  uncertain: "M6 4.6a2 2 0 1 1 2.6 2c-.5.2-.6.5-.6 1.1 M8 9.6v.2",
  bad: "M5.4 5.4l5.2 5.2 M10.6 5.4l-5.2 5.2",
  stale: "M8 5v3.2l2 1.2",
};

export function QualitySymbol({ look, size = 14 }: { look: Look; size?: number }) {
  const path = SYMBOLS[look];
  if (path === null) return null;
  return (
    <svg aria-hidden="true" width={size} height={size} viewBox="0 0 16 16" fill="none" stroke="currentColor" strokeWidth={1.5} strokeLinecap="round">
      {look === "bad" ? <rect x="2" y="2" width="12" height="12" rx="1.5" /> : <circle cx="8" cy="8" r="6.2" />}
      <path d={path} />
    </svg>
  );
}

export function QualityWord({ sample }: { sample: Sample | undefined }) {
  const t = useT();
  const look = lookOf(sample);
  return (
    <span className={`${styles.quality} ${look === "bad" || look === "stale" ? styles.bad : ""}`} title={sample ? qualityName(sample.quality) : undefined}>
      <QualitySymbol look={look} />
      {t(`quality.${look}` as Key)}
    </span>
  );
}

interface ValueTextProps {
  sample: Sample | undefined;
  kind: string;
  unit: string;
  decimals?: number | null;
  unitWidth?: number;
  size?: number;
}

export const ValueText = memo(function ValueText({ sample, kind, unit, decimals, unitWidth, size }: ValueTextProps) {
  const t = useT();
  const look = lookOf(sample);
  const shown = displayUnit(unit);
  const flag = kind === "bool" && typeof sample?.value === "boolean";
  return (
    <span className={styles.value} data-quality={look} style={size ? { fontSize: size } : undefined}>
      {SYMBOLS[look] !== null && (
        <span className={styles.symbol}>
          <QualitySymbol look={look} />
          <span className="unseen">{t(`quality.${look}` as Key)}</span>
        </span>
      )}
      {flag ? (
        <span className={styles.flag} data-on={sample.value === true}>
          {sample.value === true ? t("value.on") : t("value.off")}
        </span>
      ) : (
        <span className={styles.number}>{formatValue(sample?.value, kind, decimals)}</span>
      )}
      {(shown !== "" || unitWidth !== undefined) && (
        <span className={styles.unit} style={unitWidth ? { minWidth: unitWidth } : undefined}>
          {shown}
        </span>
      )}
    </span>
  );
});

export function LiveValue({ point, ...rest }: { point: PointAnswer; unitWidth?: number; size?: number }) {
  const sample = useSample(point.path);
  return <ValueText sample={sample} kind={point.kind} unit={point.unit} decimals={point.decimals ?? null} {...rest} />;
}
