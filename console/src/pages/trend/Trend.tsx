/** Several points over time: from a year to a second, live at its right edge. What is shown is in the address.
 *
 *     address ──► window ──► chart at once (what is there already)
 *                   └─settled─► history/downsample, a bucket a pixel ──► chart
 */
import "uplot/dist/uPlot.min.css";
import { ActionIcon, Button, Menu, SegmentedControl, useComputedColorScheme } from "@mantine/core";
import { useDebouncedValue, useElementSize } from "@mantine/hooks";
import { useQueries, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { type KeyboardEvent, lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { PointAnswer } from "../../api/client";
import { assetsQuery, downsampleQuery, drawnPointQuery } from "../../api/queries";
import { formatValue } from "../../format/number";
import { dateTime, rfc3339 } from "../../format/time";
import { displayUnit } from "../../format/unit";
import { useT, useTitle } from "../../i18n";
import { feed } from "../../live/feed";
import { useNow } from "../../live/hooks";
import { useLatest } from "../../ui/useLatest";
import { Icon } from "../../ui/Icon";
import { Empty, Page, Problem } from "../../ui/Page";
import { LiveValue } from "../../ui/Value";
import { DASHES, TrendChart } from "./chart";
import styles from "./trend.module.css";
import { aligned, pan, pensOf, QUICK, refreshMs, statistics, type Window, zoom } from "./view";

const PointPicker = lazy(() => import("./PointPicker").then((m) => ({ default: m.PointPicker })));

const SETTLE_MS = 160;
const DEFAULT_LAST_S = 3_600;
const BUCKETS_MAX = 2_000;
const PENS_MAX = 8;

export function Trend() {
  const t = useT();
  const search = useSearch({ from: "/shell/trend" });
  const navigate = useNavigate({ from: "/trend" });
  const paths = useMemo(() => (search.p ?? []).slice(0, PENS_MAX), [search.p]);
  const [picking, setPicking] = useState(false);
  const now = useNow();

  // The window: live (its right edge is now) unless somebody moved it.
  const last = search.from === undefined ? (search.last ?? DEFAULT_LAST_S) : undefined;
  const [fixed, setFixed] = useState<Window | null>(search.from !== undefined && search.to !== undefined ? { from: search.from, to: search.to } : null);
  const view = useMemo<Window>(() => fixed ?? { from: now - (last ?? DEFAULT_LAST_S) * 1000, to: now }, [fixed, now, last]);

  const move = useCallback((next: Window) => {
    const wall = Date.now() + feed.clockOffset;
    // Nothing is measured in the future: the window stops with its right edge a tenth beyond now.
    const ahead = next.to - (wall + (next.to - next.from) * 0.1);
    setFixed(ahead > 0 ? { from: next.from - ahead, to: next.to - ahead } : next);
  }, []);
  const [settled] = useDebouncedValue(fixed, 400);
  useEffect(() => {
    if (!settled || settled !== fixed) return;
    void navigate({ search: { p: paths, from: Math.round(settled.from), to: Math.round(settled.to) }, replace: true });
  }, [settled, fixed, navigate, paths]);
  const goLive = useCallback(
    (seconds: number) => {
      setFixed(null);
      void navigate({ search: { p: paths, last: seconds }, replace: true });
    },
    [navigate, paths],
  );
  const setPaths = (next: string[]) =>
    void navigate({ search: fixed ? { p: next, from: Math.round(fixed.from), to: Math.round(fixed.to) } : { p: next, last: last ?? DEFAULT_LAST_S }, replace: true });

  // What was: one bucket a pixel, asked once the window has come to rest.
  const { ref: sizeRef, width } = useElementSize<HTMLDivElement>();
  const buckets = Math.min(BUCKETS_MAX, Math.max(100, Math.round(width) || 800));
  const step = refreshMs(view, buckets);
  const resting: Window = fixed ?? { from: Math.floor(view.from / step) * step, to: Math.ceil(view.to / step) * step };
  const [askFrom] = useDebouncedValue(resting.from, fixed ? SETTLE_MS : 0);
  const [askTo] = useDebouncedValue(resting.to, fixed ? SETTLE_MS : 0);
  const asked = aligned({ from: askFrom, to: Math.max(askTo, askFrom + 1) }, buckets);
  const points = usePoints(paths);
  const drawable = useMemo(() => points.filter((point) => point.kind !== "text"), [points]);
  const { data, error, isFetching } = useQuery({
    ...downsampleQuery(drawable.map((point) => point.path), asked.from, asked.to, asked.count),
    enabled: drawable.length > 0 && width > 0,
  });
  const drawn = useMemo(() => (data ? pensOf(data) : { times: [], pens: [] }), [data]);

  const onKey = (event: KeyboardEvent) => {
    const moves: Partial<Record<string, () => void>> = {
      ArrowLeft: () => move(pan(view, -0.1)),
      ArrowRight: () => move(pan(view, 0.1)),
      "+": () => move(zoom(view, 0.5, (view.from + view.to) / 2)),
      "=": () => move(zoom(view, 0.5, (view.from + view.to) / 2)),
      "-": () => move(zoom(view, 2, (view.from + view.to) / 2)),
      l: () => goLive(Math.round((view.to - view.from) / 1000)),
      Home: () => goLive(Math.round((view.to - view.from) / 1000)),
    };
    const act = moves[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };
  const exportUrl = (format: string) =>
    `/api/v1/history/export?${paths.map((path) => `path=${encodeURIComponent(path)}&`).join("")}start=${rfc3339(view.from)}&end=${rfc3339(view.to)}&format=${format}`;
  const quick = fixed ? "" : (QUICK.find((one) => one.seconds === last)?.key ?? "");
  return (
    <div className={styles.trend}>
      <Page
        title={t("nav.trend")}
        aside={
          <>
            <SegmentedControl
              aria-label={t("trend.span")}
              value={quick}
              onChange={(key) => goLive(QUICK.find((one) => one.key === key)?.seconds ?? DEFAULT_LAST_S)}
              data={QUICK.map((one) => ({ value: one.key, label: t(`trend.quick.${one.key}`) }))}
            />
            <Button
              variant={fixed ? "default" : "light"}
              aria-pressed={!fixed}
              leftSection={<Icon name={fixed ? "pause" : "live"} size={16} />}
              onClick={() => (fixed ? goLive(Math.round((view.to - view.from) / 1000)) : move(view))}
            >
              {fixed ? t("trend.goLive") : t("trend.live")}
            </Button>
            <div className={styles.zoomers}>
              <ActionIcon variant="default" size={34} aria-label={t("trend.zoomIn")} onClick={() => move(zoom(view, 0.5, fixed ? (view.from + view.to) / 2 : view.to))}>
                <Icon name="plus" size={16} />
              </ActionIcon>
              <ActionIcon variant="default" size={34} aria-label={t("trend.zoomOut")} onClick={() => move(zoom(view, 2, fixed ? (view.from + view.to) / 2 : view.to))}>
                <Icon name="minus" size={16} />
              </ActionIcon>
            </div>
            <Menu position="bottom-end" shadow="none">
              <Menu.Target>
                <ActionIcon variant="default" size={34} aria-label={t("trend.export")} disabled={paths.length === 0}>
                  <Icon name="export" size={16} />
                </ActionIcon>
              </Menu.Target>
              <Menu.Dropdown>
                {["csv", "parquet"].map((format) => (
                  <Menu.Item key={format} component="a" href={exportUrl(format)} download>
                    {t("trend.exportAs", { format: format === "csv" ? "CSV" : "Parquet" })}
                  </Menu.Item>
                ))}
              </Menu.Dropdown>
            </Menu>
            <Button leftSection={<Icon name="plus" size={16} />} onClick={() => setPicking(true)} disabled={paths.length >= PENS_MAX}>
              {t("trend.add")}
            </Button>
          </>
        }
      >
        <Problem error={error} />
        <div className={styles.range} data-testid="trend-range" data-from={view.from} data-to={view.to}>
          <span>{dateTime(view.from, view.to - view.from < 10_000)}</span>
          <span aria-hidden="true">–</span>
          <span>{dateTime(view.to, view.to - view.from < 10_000)}</span>
          {isFetching && fixed && <span className={styles.fetching}>{t("state.loading")}</span>}
        </div>
        <section ref={sizeRef} className={styles.frame} tabIndex={0} onKeyDown={onKey} aria-label={t("trend.chart", { n: paths.length })} data-testid="trend-chart">
          {paths.length === 0 ? (
            <Empty>
              {t("trend.empty")}{" "}
              <Link to="/explore/$" params={{ _splat: "" }}>
                {t("nav.explore")}
              </Link>
            </Empty>
          ) : (
            <Chart points={drawable} view={view} drawn={drawn} onView={move} paths={paths} onRemove={(path) => setPaths(paths.filter((one) => one !== path))} />
          )}
        </section>
        <Suspense>{picking && <PointPicker taken={paths} max={PENS_MAX} onPick={setPaths} onClose={() => setPicking(false)} />}</Suspense>
      </Page>
    </div>
  );
}

/** Points that are declared or have history, in the order of the address. */
function usePoints(paths: readonly string[]): PointAnswer[] {
  return useQueries({
    queries: paths.map((path) => drawnPointQuery(path)),
    combine: (results) => results.flatMap((result) => (result.data ? [result.data] : [])),
  });
}

interface ChartProps {
  points: readonly PointAnswer[];
  paths: readonly string[];
  view: Window;
  drawn: ReturnType<typeof pensOf>;
  onView: (view: Window) => void;
  onRemove: (path: string) => void;
}

function Chart({ points, paths, view, drawn, onView, onRemove }: ChartProps) {
  const t = useT();
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<TrendChart | null>(null);
  const [cursor, setCursor] = useState<number | null>(null);
  const scheme = useComputedColorScheme("light");
  const latest = useLatest({ view, drawn });
  const identity = points.map((point) => point.path).join("\n");
  useEffect(() => {
    if (!host.current || points.length === 0) return undefined;
    const pens = points.map((point) => ({ path: point.path, unit: displayUnit(point.unit), range: point.range, number: (paths.indexOf(point.path) % PENS_MAX) + 1 }));
    const made = new TrendChart(host.current, pens, latest.current.view, { onView, onCursor: setCursor });
    made.setData(latest.current.drawn.times, latest.current.drawn.pens);
    chart.current = made;
    return () => {
      chart.current = null;
      made.destroy();
    };
    // A new drawing only for other points or another theme; data and window are handed to the one there is.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [identity, scheme, onView]);
  useEffect(() => chart.current?.setData(drawn.times, drawn.pens), [drawn]);
  useEffect(() => chart.current?.setView(view), [view]);
  const at = cursor === null ? undefined : drawn.times[cursor];
  return (
    <>
      <div ref={host} className={styles.canvas} />
      <div className={styles.readout} aria-hidden={at === undefined}>
        {at === undefined ? t("trend.hint") : dateTime(at * 1000, view.to - view.from < 600_000)}
      </div>
      <div className={styles.scroll}>
        <table className={styles.legend}>
          <thead>
            <tr>
              <th>{t("trend.pen")}</th>
              <th>{t("explore.point")}</th>
              <th className={styles.num}>{t("trend.now")}</th>
              <th className={styles.num}>{t("trend.cursor")}</th>
              <th className={styles.num}>{t("trend.min")}</th>
              <th className={styles.num}>{t("trend.mean")}</th>
              <th className={styles.num}>{t("trend.max")}</th>
              <th>
                <span className="unseen">{t("explore.actions")}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {points.map((point) => (
              <LegendRow key={point.path} point={point} number={paths.indexOf(point.path) + 1} drawn={drawn} cursor={cursor} onRemove={onRemove} />
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

interface LegendRowProps {
  point: PointAnswer;
  number: number;
  drawn: ReturnType<typeof pensOf>;
  cursor: number | null;
  onRemove: (path: string) => void;
}

function LegendRow({ point, number, drawn, cursor, onRemove }: LegendRowProps) {
  const t = useT();
  const title = useTitle();
  const { data: assets } = useQuery(assetsQuery);
  const pen = drawn.pens.find((one) => one.path === point.path);
  const stats = useMemo(() => (pen ? statistics(pen) : undefined), [pen]);
  const asset = assets?.find((one) => one.path === point.asset);
  const show = (value: number | null | undefined) => formatValue(value ?? null, "float64", point.decimals);
  const name = title(point.title, point.path);
  return (
    <tr>
      <td>
        <svg width="34" height="14" aria-label={t("trend.penNumber", { n: number })} role="img">
          <line x1="0" x2="34" y1="7" y2="7" stroke={`var(--pen-${number})`} strokeWidth="2.5" strokeDasharray={DASHES[number - 1]?.join(" ")} />
        </svg>
      </td>
      <td className={styles.name}>
        <Link to="/explore/$" params={{ _splat: point.asset }} search={{ point: point.path }}>
          {name}
        </Link>{" "}
        <small>{title(asset?.title, point.asset)}</small>
      </td>
      <td className={styles.num}>
        <LiveValue point={point} />
      </td>
      <td className={styles.num}>{cursor === null ? "" : pen?.bad[cursor] ? t("quality.bad") : show(pen?.mean[cursor])}</td>
      <td className={styles.num}>{show(stats?.min)}</td>
      <td className={styles.num}>{show(stats?.mean)}</td>
      <td className={styles.num}>{show(stats?.max)}</td>
      <td>
        <ActionIcon variant="subtle" color="gray" aria-label={t("trend.remove", { point: name })} onClick={() => onRemove(point.path)}>
          <Icon name="close" size={14} />
        </ActionIcon>
      </td>
    </tr>
  );
}
