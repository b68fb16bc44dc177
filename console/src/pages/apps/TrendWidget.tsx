/** A trend of points on a page of an app: one line a point, over the same span; each opens in the trends. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ask, client } from "../../api/client";
import { TREND_AGGREGATES, pointQuery } from "../../api/queries";
import { formatShort } from "../../format/number";
import { clock, rfc3339, SECOND, span } from "../../format/time";
import { displayUnit } from "../../format/unit";
import { useT, useTitle } from "../../i18n";
import { Empty, Panel, Problem } from "../../ui/Page";
import { Sparkline } from "../../ui/Sparkline";
import { QualitySymbol } from "../../ui/Value";
import { useAssetTitle } from "../access/AssetPicker";
import styles from "./apps.module.css";
import type { WidgetProps } from "./widgets";

const BUCKETS = 200;
const REFRESH_MS = 30_000;

export function TrendWidget({ widget, refreshS }: WidgetProps) {
  const t = useT();
  const title = useTitle();
  const { points, span_s } = widget;
  const { data, error, dataUpdatedAt } = useQuery({
    queryKey: ["app-trend", points, span_s],
    queryFn: ({ signal }) => {
      const end = Date.now();
      const query = { path: [...points], start: rfc3339(end - span_s * SECOND), end: rfc3339(end), count: BUCKETS, aggregate: [...TREND_AGGREGATES] };
      return ask(client.GET("/api/v1/history/downsample", { params: { query }, signal }));
    },
    refetchInterval: refreshS > 0 ? refreshS * SECOND : REFRESH_MS,
  });
  const words = { s: t("unit.s"), min: t("unit.min"), h: t("unit.h"), d: t("unit.d") };
  const name = title(widget.title, "") || t("page.span", { span: span(span_s * SECOND, words) });
  return (
    <Panel
      label={name}
      title={
        <Link to="/trend" search={{ p: [...points], last: span_s }} className={styles.source} title={t("page.trend")}>
          {name}
        </Link>
      }
      aside={
        <small className={styles.asOf} data-stale={error !== null}>
          {error !== null && <QualitySymbol look="stale" size={12} />} {dataUpdatedAt > 0 && t(error ? "page.stale" : "page.asOf", { time: clock(dataUpdatedAt) })}
        </small>
      }
    >
      <div className={styles.widget} data-widget="trend">
        {!data && (error ? <Problem error={error} /> : <Empty>…</Empty>)}
        {data?.series.map((series) => <Line key={series.path} path={series.path} unit={series.unit} columns={series.columns} spanS={span_s} />)}
      </div>
    </Panel>
  );
}

type Column = (number | null)[];

function Line({ path, unit, columns, spanS }: { path: string; unit: string; columns: Readonly<Record<string, Column>>; spanS: number }) {
  const t = useT();
  const title = useTitle();
  const assetTitle = useAssetTitle();
  const { data: point } = useQuery(pointQuery(path));
  const { min = [], max = [], mean = [] } = columns;
  const known = [...min, ...max].filter((value) => value !== null && value !== undefined);
  const [low, high] = known.length > 0 ? [Math.min(...known), Math.max(...known)] : [null, null];
  const name = `${assetTitle(path.slice(0, path.lastIndexOf("/")))} · ${title(point?.title, path)}`;
  const range = low === null || high === null ? t("page.noData") : `${t("page.range", { low: formatShort(Number(low.toPrecision(4))), high: formatShort(Number(high.toPrecision(4))) })} ${displayUnit(unit)}`;
  return (
    <div className={styles.trendLine}>
      <Link to="/trend" search={{ p: [path], last: spanS }} title={path}>
        {name}
      </Link>
      <span>{range}</span>
      <Sparkline min={min} max={max} mean={mean} label={`${name}: ${range}`} />
    </div>
  );
}
