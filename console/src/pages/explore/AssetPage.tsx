/** One asset: where it stands, what it is, its alarms, and every value live with its range and its last quarter of an hour. */
import { ActionIcon } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { lazy, memo, Suspense, useMemo, useRef, useState } from "react";
import type { AssetNode, PointAnswer } from "../../api/client";
import { downsampleQuery, pointsQuery } from "../../api/queries";
import { useAlarms } from "../../app/alarms";
import { useSession } from "../../app/session";
import { useFirmTitle, useShared } from "../../app/shared";
import { MINUTE } from "../../format/time";
import { type Key, useT, useTitle } from "../../i18n";
import { useNow, useSample } from "../../live/hooks";
import { keyPoints, statePoint } from "../../plant/keyPoints";
import { MachineTile, StateText } from "../../plant/MachineTile";
import tileStyles from "../../plant/tile.module.css";
import { ancestors } from "../../plant/tree";
import { Icon } from "../../ui/Icon";
import { ButtonLink, IconLink } from "../../ui/links";
import { Age, Empty, Panel, Problem } from "../../ui/Page";
import { AlarmBadges, PriorityMark } from "../../ui/Priority";
import { RangeBar } from "../../ui/RangeBar";
import { Sparkline } from "../../ui/Sparkline";
import { LiveValue, QualityWord } from "../../ui/Value";
import styles from "./explore.module.css";

const WriteDialog = lazy(() => import("../../write/WriteDialog").then((m) => ({ default: m.WriteDialog })));

const SPARK_SPAN = 15 * MINUTE;
const SPARK_STEP = 15_000;
const SPARK_BUCKETS = 60;
const SPARK_SERIES_MAX = 60;

export function AssetPage({ asset, assets }: { asset: AssetNode; assets: readonly AssetNode[] }) {
  const t = useT();
  const title = useTitle();
  const { data, error } = useQuery(pointsQuery(asset.path));
  const own = useMemo(() => (data?.points ?? []).filter((point) => point.asset === asset.path), [data, asset.path]);
  const children = assets.filter((one) => one.parent === asset.path);
  const owner = useShared().ownerOf(asset.path);
  const firmTitle = useFirmTitle();
  const byPath = new Map(assets.map((one) => [one.path, one]));
  const state = statePoint(own);
  const facts = Object.entries(asset.attributes).filter(([key]) => !key.startsWith("display."));
  const favourites = keyPoints(own, asset.attributes);
  return (
    <div className={styles.asset}>
      <nav className={styles.crumbs} aria-label={t("explore.crumbs")}>
        <Link to="/explore/$" params={{ _splat: "" }} className={styles.backToTree}>
          <Icon name="left" size={14} /> {t("nav.explore")}
        </Link>
        {ancestors(asset.path).map((path) => (
          <Link key={path} to="/explore/$" params={{ _splat: path }}>
            {title(byPath.get(path)?.title, path)}
          </Link>
        ))}
      </nav>
      <div className={styles.assetHead}>
        <h1>{title(asset.title, asset.path)}</h1>
        {state && (
          <span className={styles.assetState}>
            <StateText point={state} />
          </span>
        )}
        <AlarmBadges counts={asset.alarms} size={20} />
        {favourites.length > 0 && (
          <ButtonLink to="/trend" search={{ p: favourites.map((point) => point.path), last: 900 }} variant="default" leftSection={<Icon name="trend" size={16} />}>
            {t("explore.trend")}
          </ButtonLink>
        )}
      </div>
      <p className={styles.facts}>
        {owner !== null && <b>{t("explore.sharedByLong", { firm: firmTitle(owner) })}</b>}
        <span>{t(`level.${asset.level}` as Key)}</span>
        {asset.type && <span>{asset.type}</span>}
        {facts.map(([key, value]) => (
          <span key={key}>
            {attributeName(key, t)} <b>{value}</b>
          </span>
        ))}
        <span className="code">{asset.path}</span>
      </p>
      <Problem error={error} />
      <AssetAlarms path={asset.path} />
      {children.length > 0 && (
        <div className={tileStyles.grid}>
          {children.map((child) =>
            child.level === "equipment" ? (
              <MachineTile key={child.path} asset={child} />
            ) : (
              <Link key={child.path} to="/explore/$" params={{ _splat: child.path }} className={styles.folder}>
                <span className={tileStyles.title}>{title(child.title, child.path)}</span>
                <AlarmBadges counts={child.alarms} />
                <small>
                  {t(`level.${child.level}` as Key)} · {t("explore.pointCount", { n: child.points })}
                </small>
              </Link>
            ),
          )}
        </div>
      )}
      {own.length > 0 && <Points points={own} />}
      {data && own.length === 0 && children.length === 0 && <Empty>{t("explore.noPoints")}</Empty>}
    </div>
  );
}

function attributeName(key: string, t: ReturnType<typeof useT>): string {
  const known: Readonly<Record<string, Key>> = { maker: "attribute.maker", model: "attribute.model", year: "attribute.year", serial: "attribute.serial" };
  const name = known[key];
  return name ? t(name) : key;
}

function AssetAlarms({ path }: { path: string }) {
  const t = useT();
  const title = useTitle();
  const mine = useAlarms().filter((alarm) => alarm.asset === path || alarm.asset.startsWith(`${path}/`));
  if (mine.length === 0) return null;
  return (
    <Panel label={t("nav.alarms")}>
      <ul className={styles.alarms}>
        {mine.slice(0, 6).map((alarm) => (
          <li key={alarm.rule}>
            <PriorityMark priority={alarm.priority} state={alarm.state} />
            <Link to="/explore/$" params={{ _splat: alarm.asset }} search={{ point: alarm.point }}>
              {title(alarm.message, alarm.rule)}
            </Link>
            <span>
              <Age at={alarm.raised_at} />
            </span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

/** Values by what they are: readings, setpoints, then states and counters. */
function Points({ points }: { points: readonly PointAnswer[] }) {
  const t = useT();
  const { may } = useSession();
  const [writing, setWriting] = useState<PointAnswer | null>(null);
  const minute = Math.floor(useNow() / SPARK_STEP) * SPARK_STEP;
  const groups = [
    { key: "explore.readings", list: points.filter((p) => p.access === "read" && p.kind === "float64") },
    { key: "explore.setpoints", list: points.filter((p) => p.access === "read-write") },
    { key: "explore.states", list: points.filter((p) => p.access === "read" && p.kind !== "float64") },
  ] as const;
  const drawn = useMemo(() => points.filter((p) => p.kind === "float64").slice(0, SPARK_SERIES_MAX).map((p) => p.path), [points]);
  const { data: past } = useQuery(downsampleQuery(drawn, minute - SPARK_SPAN, minute, SPARK_BUCKETS, ["min", "max", "mean"]));
  const series = useMemo(() => new Map(past?.series.map((one) => [one.path, one.columns])), [past]);
  const mayWrite = may("write");
  return (
    <>
      {groups.map(({ key, list }) =>
        list.length === 0 ? null : (
          <Panel key={key} title={t(key)} aside={<small className={styles.count}>{list.length}</small>}>
            <div role="table" aria-label={t(key)} className={styles.points}>
              <div role="row" className={styles.pointHead}>
                {(["explore.point", "explore.value", "explore.rangeColumn", "explore.quality", "explore.age", "explore.past", "explore.actions"] as const).map((head) => (
                  <span key={head} role="columnheader">
                    {head === "explore.actions" ? <span className="unseen">{t(head)}</span> : t(head)}
                  </span>
                ))}
              </div>
              {list.map((point) => (
                <PointRow key={point.path} point={point} columns={series.get(point.path)} onWrite={mayWrite && point.access === "read-write" ? setWriting : undefined} />
              ))}
            </div>
          </Panel>
        ),
      )}
      <Suspense>{writing && <WriteDialog point={writing} onClose={() => setWriting(null)} />}</Suspense>
    </>
  );
}

interface PointRowProps {
  point: PointAnswer;
  columns: Readonly<Record<string, (number | null)[]>> | undefined;
  onWrite: ((point: PointAnswer) => void) | undefined;
}

const PointRow = memo(function PointRow({ point, columns, onWrite }: PointRowProps) {
  const t = useT();
  const title = useTitle();
  const navigate = useNavigate();
  const opener = useRef<HTMLButtonElement>(null);
  const name = title(point.title, point.path);
  return (
    <div role="row" className={styles.point} data-point={point.name}>
      <span role="cell" className={styles.pointName}>
        <button
          ref={opener}
          type="button"
          title={point.path}
          onClick={() => void navigate({ to: "/explore/$", params: { _splat: point.asset }, search: { point: point.path } })}
        >
          {name}
        </button>
      </span>
      <span role="cell" className={styles.pointValue}>
        <LiveValue point={point} unitWidth={44} />
      </span>
      <span role="cell" className={styles.pointBar}>
        <RangeBar point={point} />
      </span>
      <span role="cell" className={styles.pointQuality}>
        <PointQuality path={point.path} />
      </span>
      <span role="cell" className={styles.pointAge}>
        <PointAge path={point.path} />
      </span>
      <span role="cell" className={styles.pointSpark}>
        {columns && <Sparkline min={columns.min ?? []} max={columns.max ?? []} mean={columns.mean ?? []} label={t("explore.pastOf", { point: name })} />}
      </span>
      <span role="cell" className={styles.pointActions}>
        {onWrite && (
          <ActionIcon variant="default" aria-label={t("write.title", { point: name })} onClick={() => onWrite(point)}>
            <Icon name="pencil" size={16} />
          </ActionIcon>
        )}
        {point.kind !== "text" && (
          <IconLink to="/trend" search={{ p: [point.path], last: 900 }} variant="subtle" color="gray" aria-label={t("explore.trendOf", { point: name })}>
            <Icon name="trend" size={16} />
          </IconLink>
        )}
      </span>
    </div>
  );
});

function PointQuality({ path }: { path: string }) {
  return <QualityWord sample={useSample(path)} />;
}

function PointAge({ path }: { path: string }) {
  return <Age at={useSample(path)?.time} />;
}
