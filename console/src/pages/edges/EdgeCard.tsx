/** One edge: its link now and in the last hour, what waits there, and whether it runs what it should. */
import { Button } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { ask, client, type EdgeAnswer } from "../../api/client";
import { downsampleQuery, edgesQuery, queryClient } from "../../api/queries";
import { formatBytes, formatNumber } from "../../format/number";
import { dateTime, HOUR, parseTime, span } from "../../format/time";
import { type Translate, useT } from "../../i18n";
import { useNow } from "../../live/hooks";
import { Icon } from "../../ui/Icon";
import { ButtonLink } from "../../ui/links";
import { Age, Panel, Problem } from "../../ui/Page";
import { Sparkline } from "../../ui/Sparkline";
import { Sure } from "../../ui/Sure";
import { type Look, QualitySymbol } from "../../ui/Value";
import styles from "./edges.module.css";

const SPARK_BUCKETS = 120;
const SPARK_STEP = 30_000;
const TREND_POINTS = ["latency", "jitter", "loss", "backlog.age", "sample.rate"] as const;
const CERTIFICATE_ENDS_MS = 30 * 24 * HOUR;
/** Beyond these a number is worth a second look; the alarms of the edge have limits of their own. */
const ODD = { loss: 0.01, backlog_s: 60, late_ms: 2_000, spool_used: 0.8 } as const;

export function EdgeCard({ edge, onInvite }: { edge: EdgeAnswer; onInvite: (() => void) | null }) {
  const t = useT();
  const look: Look = edge.state === "revoked" ? "bad" : edge.connected ? "good" : edge.state === "invited" ? "none" : "stale";
  const state = edge.state === "enrolled" ? (edge.connected ? "connected" : "silent") : edge.state;
  return (
    <Panel label={edge.name}>
      <div className={styles.edge} data-edge={edge.name} data-state={state}>
        <div className={styles.head}>
          <h2>{edge.name}</h2>
          <span className={styles.state}>
            {look === "good" ? <Icon name="check" size={16} /> : <QualitySymbol look={look} size={16} />}
            {t(`edgeState.${state}`)}
            {edge.state === "enrolled" && (
              <>
                {" · "}
                {t("edges.contact")} <Age at={edge.last_contact_at} />
              </>
            )}
          </span>
        </div>
        <p className={styles.facts}>
          <span className="code">{edge.prefix}</span>
          <span>{t("explore.pointCount", { n: formatNumber(edge.points, 0) })}</span>
          {edge.actual?.version && <span>Headrace {edge.actual.version}</span>}
          {edge.connected && <Devices facts={edge.actual?.facts} />}
        </p>
        <Runs edge={edge} />
        <Complaints edge={edge} />
        {edge.link && <Link link={edge.link} />}
        {edge.state === "enrolled" && <LastHour edge={edge} />}
        <Acts edge={edge} onInvite={onInvite} />
      </div>
    </Panel>
  );
}

/** Devices that its gateways let in; nothing where it has no gateway. */
function Devices({ facts }: { facts: Record<string, unknown> | undefined }) {
  const t = useT();
  const devices = facts?.devices as { known?: number; online?: number; turned_away?: number } | undefined;
  const turnedAway = devices?.turned_away ?? 0;
  if (!devices?.known && turnedAway === 0) return null;
  return (
    <>
      <span>{t("edges.devices", { n: devices?.known ?? 0, online: devices?.online ?? 0 })}</span>
      {turnedAway > 0 && <span>{t("edges.turnedAway", { n: turnedAway })}</span>}
    </>
  );
}

/** Desired and actual in one line: normal when they agree. */
function Runs({ edge }: { edge: EdgeAnswer }) {
  const t = useT();
  if (edge.state === "invited") return <p className={styles.quiet}>{edge.token_ends_at ? t("edges.tokenUntil", { at: dateTime(parseTime(edge.token_ends_at)) }) : t("edges.tokenGone")}</p>;
  if (edge.desired === null) return <p className={styles.quiet}>{t("edges.nothingDeclared", { name: edge.name })}</p>;
  const runs = edge.actual?.revision;
  if (runs === edge.desired && !edge.actual?.error) return <p className={styles.quiet}>{t("edges.agrees", { n: edge.desired })}</p>;
  return (
    <p className={styles.differs}>
      <QualitySymbol look="uncertain" /> {runs === undefined ? t("edges.runsNothing", { n: edge.desired }) : t("edges.differs", { n: edge.desired, runs })}
    </p>
  );
}

function Complaints({ edge }: { edge: EdgeAnswer }) {
  const t = useT();
  const now = useNow();
  const ends = edge.certificate_ends_at === null || edge.state !== "enrolled" ? null : parseTime(edge.certificate_ends_at) - now;
  const said = [
    ...(edge.actual?.error ? [edge.actual.error] : []),
    ...(edge.left_out.length > 0 ? [t("edges.leftOut", { n: edge.left_out.length, first: edge.left_out[0] ?? "", prefix: edge.prefix })] : []),
    ...(ends !== null && ends < CERTIFICATE_ENDS_MS ? [t("edges.certificateEnds", { in: inWords(Math.max(0, ends), t) })] : []),
    ...((edge.link?.dropped_samples ?? 0) > 0 ? [t("edges.dropped", { n: formatNumber(edge.link?.dropped_samples ?? 0, 0) })] : []),
  ];
  if (said.length === 0) return null;
  return (
    <ul className={styles.complaints}>
      {said.map((one) => (
        <li key={one}>{one}</li>
      ))}
    </ul>
  );
}

function Link({ link }: { link: NonNullable<EdgeAnswer["link"]> }) {
  const t = useT();
  const number = (value: number | null, decimals: number, unit: string) => (value === null ? "—" : `${formatNumber(value, decimals)} ${unit}`);
  const rows = [
    ["latency", number(link.latency_ms, 1, "ms"), false],
    ["jitter", number(link.jitter_ms, 1, "ms"), false],
    ["loss", number(link.loss === null ? null : link.loss * 100, 2, "%"), (link.loss ?? 0) > ODD.loss],
    ["late", number(link.late_ms, 0, "ms"), (link.late_ms ?? 0) > ODD.late_ms],
    ["throughput", link.received_bytes_per_s === null ? "—" : `${formatBytes(link.received_bytes_per_s)}/s`, false],
    ["samples", number(link.samples_per_s, 0, "/s"), false],
    ["backlog", link.backlog_samples === 0 ? t("edges.noBacklog") : `${formatNumber(link.backlog_samples, 0)} · ${inWords((link.backlog_s ?? 0) * 1_000, t)}`, (link.backlog_s ?? 0) > ODD.backlog_s],
    ["spool", number(link.spool_used === null ? null : link.spool_used * 100, 0, "%"), (link.spool_used ?? 0) > ODD.spool_used],
  ] as const;
  return (
    <dl className={styles.link}>
      {rows.map(([name, text, odd]) => (
        <div key={name} data-odd={odd}>
          <dt>{t(`edgeLink.${name}`)}</dt>
          <dd>
            {odd && <QualitySymbol look="uncertain" />} {text}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function LastHour({ edge }: { edge: EdgeAnswer }) {
  const t = useT();
  const end = Math.ceil(useNow() / SPARK_STEP) * SPARK_STEP;
  const path = `${edge.asset}/latency`;
  const { data } = useQuery({ ...downsampleQuery([path], end - HOUR, end, SPARK_BUCKETS, ["min", "max", "mean"]), retry: false });
  const columns = data?.series[0]?.columns;
  const column = (name: "min" | "max" | "mean") => (columns?.[name] ?? []) as (number | null)[];
  return (
    <div className={styles.past}>
      <span>{t("edges.lastHour")}</span>
      <Sparkline min={column("min")} max={column("max")} mean={column("mean")} label={t("edges.lastHourOf", { name: edge.name })} />
      <ButtonLink size="xs" variant="default" to="/trend" search={{ p: TREND_POINTS.map((name) => `${edge.asset}/${name}`), last: 3_600 }} leftSection={<Icon name="trend" size={14} />}>
        {t("explore.trend")}
      </ButtonLink>
    </div>
  );
}

function Acts({ edge, onInvite }: { edge: EdgeAnswer; onInvite: (() => void) | null }) {
  const t = useT();
  const fresh = () => void queryClient.invalidateQueries({ queryKey: edgesQuery.queryKey });
  const path = { path: { name: edge.name } };
  const revoke = useMutation({ mutationFn: () => ask(client.POST("/api/v1/edges/{name}/revoke", { params: path })), onSettled: fresh });
  const remove = useMutation({ mutationFn: () => ask(client.DELETE("/api/v1/edges/{name}", { params: path })), onSettled: fresh });
  if (!onInvite) return null;
  return (
    <>
      <Problem error={revoke.error ?? remove.error} />
      <div className={styles.acts}>
        <Button size="xs" variant="default" onClick={onInvite}>
          {t(edge.state === "enrolled" ? "edges.replace" : "edges.newToken")}
        </Button>
        {edge.state !== "revoked" && <Sure label={t("edges.revoke")} loading={revoke.isPending} onSure={() => revoke.mutate()} />}
        <Sure label={t("devices.remove")} loading={remove.isPending} onSure={() => remove.mutate()} />
      </div>
    </>
  );
}

const inWords = (ms: number, t: Translate) => span(ms, { s: t("unit.s"), min: t("unit.min"), h: t("unit.h"), d: t("unit.d") });
