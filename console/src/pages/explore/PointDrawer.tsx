/** Every number opens to its source: which device, which address, how often, how good, and what was written to it. */
import { Button, Drawer } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { lazy, Suspense, useState } from "react";
import { ask, client, type PointAnswer } from "../../api/client";
import { connectionsQuery, downsampleQuery, pointQuery } from "../../api/queries";
import { useSession } from "../../app/session";
import { formatShort, formatValue } from "../../format/number";
import { qualityName } from "../../format/quality";
import { dateTime, HOUR, MINUTE, moment, parseTime } from "../../format/time";
import { displayUnit } from "../../format/unit";
import { type Key, useT, useTitle } from "../../i18n";
import { useNow, useSample } from "../../live/hooks";
import { Icon } from "../../ui/Icon";
import { ButtonLink } from "../../ui/links";
import { parts, Problem } from "../../ui/Page";
import { RangeBar } from "../../ui/RangeBar";
import { PriorityMark } from "../../ui/Priority";
import { Sparkline } from "../../ui/Sparkline";
import { LiveValue, QualityWord } from "../../ui/Value";
import { Limit } from "../alarms/facts";
import { Backfill } from "./Backfill";
import styles from "./explore.module.css";

const WriteDialog = lazy(() => import("../../write/WriteDialog").then((m) => ({ default: m.WriteDialog })));

export function PointDrawer() {
  const t = useT();
  const title = useTitle();
  const { point: path } = useSearch({ from: "/shell/explore/$" });
  const { _splat = "" } = useParams({ from: "/shell/explore/$" });
  const navigate = useNavigate();
  const { data: point, error } = useQuery({ ...pointQuery(path ?? ""), enabled: path !== undefined });
  const close = () => void navigate({ to: "/explore/$", params: { _splat }, search: {} });
  return (
    <Drawer
      opened={path !== undefined}
      onClose={close}
      position="right"
      size={440}
      title={<span className={styles.drawerTitle}>{path === undefined ? "" : title(point?.title, path)}</span>}
      closeButtonProps={{ "aria-label": t("action.close") }}
    >
      <Problem error={error} />
      {point && <Details point={point} />}
    </Drawer>
  );
}

function Details({ point }: { point: PointAnswer }) {
  const t = useT();
  const title = useTitle();
  const { may } = useSession();
  const [writing, setWriting] = useState(false);
  const sample = useSample(point.path);
  const { data: connections } = useQuery(connectionsQuery);
  const link = connections?.find((one) => one.name === point.connection);
  const unit = displayUnit(point.unit);
  return (
    <div className={styles.details}>
      <div className={styles.big}>
        <LiveValue point={point} size={30} />
        <QualityWord sample={sample} />
      </div>
      <RangeBar point={point} />
      {point.range && (
        <div className={styles.ends}>
          <span>{formatShort(point.range.low)}</span>
          <span>
            {formatShort(point.range.high)} {unit}
          </span>
        </div>
      )}
      {point.kind !== "text" && <LastHour point={point} />}
      <div className={styles.buttons}>
        {point.access === "read-write" && (
          <Button onClick={() => setWriting(true)} disabled={!may("write")} leftSection={<Icon name="pencil" size={16} />}>
            {t("write.open")}
          </Button>
        )}
        {point.kind !== "text" && (
          <ButtonLink to="/trend" search={{ p: [point.path], last: 3600 }} variant="default" leftSection={<Icon name="trend" size={16} />}>
            {t("explore.trend")}
          </ButtonLink>
        )}
      </div>
      <dl className={parts.facts}>
        <dt>{t("explore.quality")}</dt>
        <dd>{sample ? <span className="code">{qualityName(sample.quality)}</span> : "—"}</dd>
        <dt>{t("point.time")}</dt>
        <dd>{sample?.time ? dateTime(sample.time, true) : "—"}</dd>
        <dt>{t("point.path")}</dt>
        <dd className="code">{point.path}</dd>
        <dt>{t("point.kind")}</dt>
        <dd>{t(`kind.${point.kind}`)}</dd>
        {point.write_range && (
          <>
            <dt>{t("point.writeRange")}</dt>
            <dd>
              {formatShort(point.write_range.low)} … {formatShort(point.write_range.high)} {unit}
            </dd>
          </>
        )}
        {point.expression !== null && (
          <>
            <dt>{t("point.expression")}</dt>
            <dd className="code">{point.expression}</dd>
            <dt>{t("point.inputs")}</dt>
            <dd>
              <ul className={styles.inputs}>
                {point.inputs.map((path) => (
                  <li key={path}>
                    <Link to="/explore/$" params={{ _splat: path.slice(0, path.lastIndexOf("/")) }} search={{ point: path }}>
                      <span className="code">{path}</span>
                    </Link>
                  </li>
                ))}
              </ul>
            </dd>
          </>
        )}
        <dt>{t("point.connection")}</dt>
        <dd>
          {point.expression !== null ? (
            t("point.calculated")
          ) : point.function !== null ? (
            <>
              {t("point.made")} <Link to="/system">{point.function}</Link>
            </>
          ) : point.connection ? (
            <>
              <Link to="/system">{title(link?.title, point.connection)}</Link>
              {link && ` · ${link.driver} · ${t(`link.${link.state}` as Key)}`}
            </>
          ) : (
            t("point.noSource")
          )}
        </dd>
        {point.address && (
          <>
            <dt>{t("point.address")}</dt>
            <dd className="code">
              {Object.entries(point.address)
                .map(([key, value]) => `${key}: ${String(value)}`)
                .join("\n")}
            </dd>
          </>
        )}
        {point.interval_ms !== null && (
          <>
            <dt>{t("point.interval")}</dt>
            <dd>
              {formatShort(point.interval_ms / 1000)} {t("unit.s")}
            </dd>
          </>
        )}
      </dl>
      {point.alarms.length > 0 && (
        <section>
          <h3>{t("point.limits")}</h3>
          <ul className={styles.limits}>
            {point.alarms.map((rule) => (
              <li key={rule.rule}>
                <PriorityMark priority={rule.priority} size={16} quiet />
                <Link to="/alarms" search={{ alarm: rule.rule }} aria-label={t("point.rule", { name: rule.rule })}>
                  {rule.rule.slice(point.path.length + 1)}
                </Link>
                <Limit rule={rule} unit={unit} />
              </li>
            ))}
          </ul>
        </section>
      )}
      {point.access === "read-write" && <Writes point={point} />}
      {point.expression !== null && <Backfill path={point.path} />}
      <Suspense>{writing && <WriteDialog point={point} onClose={() => setWriting(false)} />}</Suspense>
    </div>
  );
}

function LastHour({ point }: { point: PointAnswer }) {
  const t = useT();
  const end = Math.floor(useNow() / MINUTE) * MINUTE;
  const { data } = useQuery(downsampleQuery([point.path], end - HOUR, end, 120, ["min", "max", "mean"]));
  const columns = data?.series[0]?.columns;
  return (
    <figure className={styles.hour}>
      {columns && <Sparkline min={columns.min ?? []} max={columns.max ?? []} mean={columns.mean ?? []} label={t("point.lastHour")} />}
      <figcaption>{t("point.lastHour")}</figcaption>
    </figure>
  );
}

function Writes({ point }: { point: PointAnswer }) {
  const t = useT();
  const { data } = useQuery({
    queryKey: ["writes", point.path],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/writes", { params: { query: { path: point.path, limit: 8 } }, signal })),
    refetchInterval: 5_000,
  });
  if (!data || data.length === 0) return null;
  return (
    <section>
      <h3>{t("point.writes")}</h3>
      <ul className={styles.writes}>
        {data.map((command) => (
          <li key={command.id}>
            <b>
              {formatValue(command.value, point.kind, point.decimals)} {displayUnit(point.unit)}
            </b>
            <span>{t(`command.${command.state}`)}</span>
            <small>
              {moment(parseTime(command.requested_at))} · {command.actor} · {command.reason}
              {command.detail && ` · ${command.detail}`}
            </small>
          </li>
        ))}
      </ul>
    </section>
  );
}
