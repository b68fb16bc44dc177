/** A machine at a glance: what it does, its few key values in their range, and its alarms. Quiet while normal. */
import { useIntersection } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { AssetNode, PointAnswer } from "../api/client";
import { pointsQuery } from "../api/queries";
import { formatValue } from "../format/number";
import { type Key, useT, useTitle } from "../i18n";
import { useSample } from "../live/hooks";
import { AlarmBadges } from "../ui/Priority";
import { RangeBar } from "../ui/RangeBar";
import { LiveValue, lookOf, QualitySymbol } from "../ui/Value";
import { keyPoints, statePoint } from "./keyPoints";
import styles from "./tile.module.css";

export function MachineTile({ asset }: { asset: AssetNode }) {
  const title = useTitle();
  const { ref, entry } = useIntersection({ rootMargin: "200px" });
  const seen = entry?.isIntersecting ?? false;
  const { data } = useQuery({ ...pointsQuery(asset.path, 200), enabled: seen });
  const own = data?.points.filter((point) => point.asset === asset.path) ?? [];
  const state = statePoint(own);
  return (
    <Link ref={ref} to="/explore/$" params={{ _splat: asset.path }} className={styles.tile}>
      <span className={styles.head}>
        <span className={styles.title}>{title(asset.title, asset.path)}</span>
        <AlarmBadges counts={asset.alarms} />
      </span>
      <span className={styles.state}>{state ? <StateText point={state} /> : " "}</span>
      <span className={styles.rows}>
        {seen &&
          keyPoints(own, asset.attributes).map((point) => (
            <span key={point.path} className={styles.row}>
              <span className={styles.label}>{title(point.title, point.path)}</span>
              <RangeBar point={point} />
              <LiveValue point={point} unitWidth={34} />
            </span>
          ))}
      </span>
    </Link>
  );
}

/** States as PackML-like numbers 0 to 4, or whatever text the machine gives. */
export function StateText({ point }: { point: PointAnswer }) {
  const t = useT();
  const sample = useSample(point.path);
  const look = lookOf(sample);
  const value = sample?.value;
  const known = typeof value === "number" && value >= 0 && value <= 4 ? t(`machineState.${value}` as Key) : undefined;
  return (
    <>
      {look !== "good" && look !== "none" && <QualitySymbol look={look} />}
      <span data-fault={value === 4}>{look === "bad" ? t("quality.bad") : (known ?? formatValue(value, point.kind))}</span>
    </>
  );
}
