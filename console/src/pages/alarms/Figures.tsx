/** How the alarm system did over a stretch, beside what is advised. Source: ISA-18.2-2016 §16, EEMUA 191. */
import { NativeSelect, NumberInput, SegmentedControl } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ask, client } from "../../api/client";
import { assetsQuery } from "../../api/queries";
import { HOUR, MINUTE, parseTime, rfc3339 } from "../../format/time";
import { useT, useTitle } from "../../i18n";
import { useNow } from "../../live/hooks";
import { Empty, Problem } from "../../ui/Page";
import { useSpan } from "./facts";
import { Advised } from "./figures/Advised";
import styles from "./figures/figures.module.css";
import { Floods, Offenders, Stale } from "./figures/Lists";
import { Priorities } from "./figures/Priorities";

const SPANS = [
  { key: "8h", hours: 8 },
  { key: "1d", hours: 24 },
  { key: "1w", hours: 168 },
  { key: "30d", hours: 720 },
  { key: "1y", hours: 8_760 },
] as const;
type Span = (typeof SPANS)[number];
const AREAS: ReadonlySet<string> = new Set(["enterprise", "site", "area", "line"]);
/** The journal is young where it knows less than this part of what was asked for. */
const WHOLE = 0.98;

export function Figures() {
  const t = useT();
  const title = useTitle();
  const words = useSpan();
  const [span, setSpan] = useState<Span>(SPANS[1]);
  const [area, setArea] = useState("");
  const [operators, setOperators] = useState(1);
  // Asked anew once a minute, so that a figure stays long enough to be read; up to the moment of asking.
  const minute = Math.floor(useNow() / MINUTE);
  const { data: assets } = useQuery(assetsQuery);
  const areas = (assets ?? []).filter((asset) => AREAS.has(asset.level));
  const { data, error, isPlaceholderData } = useQuery({
    queryKey: ["alarm-kpis", span.key, area, operators, minute],
    queryFn: ({ signal }) => {
      const end = Date.now();
      return ask(client.GET("/api/v1/alarms/kpis", { params: { query: { start: rfc3339(end - span.hours * HOUR), end: rfc3339(end), operators, ...(area ? { area } : {}) } }, signal }));
    },
    placeholderData: keepPreviousData,
    staleTime: MINUTE,
  });
  const asked = data ? (parseTime(data.end) - parseTime(data.start)) / 1_000 : 0;
  return (
    <>
      <div className={styles.bar}>
        <SegmentedControl
          aria-label={t("trend.span")}
          value={span.key}
          onChange={(value) => setSpan(SPANS.find((one) => one.key === value) ?? SPANS[1])}
          data={SPANS.map((one) => ({ value: one.key, label: t(`trend.quick.${one.key}`) }))}
        />
        <NativeSelect
          label={t("figures.area")}
          value={area}
          onChange={(event) => setArea(event.currentTarget.value)}
          data={[{ value: "", label: t("figures.everywhere") }, ...areas.map((asset) => ({ value: asset.path, label: title(asset.title, asset.path) }))]}
        />
        <NumberInput label={t("figures.operators")} value={operators} min={1} max={1_000} allowDecimal={false} clampBehavior="strict" onChange={(value) => setOperators(Number(value) || 1)} />
      </div>
      <Problem error={error} />
      {!data ? (
        !error && <Empty>{t("state.loading")}</Empty>
      ) : data.covered_s <= 0 ? (
        <Empty>{t("figures.noData")}</Empty>
      ) : (
        <div className={styles.figures} aria-busy={isPlaceholderData}>
          {data.covered_s < asked * WHOLE && (
            <p className={styles.note} role="status">
              {t("figures.partly", { span: words(data.covered_s * 1_000), of: words(asked * 1_000) })}
            </p>
          )}
          <Advised kpis={data} />
          <div className={styles.pair}>
            <Priorities kpis={data} />
            <Offenders label={t("figures.top")} text={t("figures.topText")} rows={data.top} />
          </div>
          <div className={styles.pair}>
            <Floods kpis={data} />
            <Stale kpis={data} />
          </div>
          <div className={styles.pair}>
            <Offenders label={t("figures.chattering")} text={t("figures.chatteringText")} rows={data.chattering} />
            <Offenders label={t("figures.fleeting")} text={t("figures.fleetingText")} rows={data.fleeting} />
          </div>
        </div>
      )}
    </>
  );
}
