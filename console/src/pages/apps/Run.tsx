/** How an app fares: what it takes, what went wrong last, and what it said. */
import { useQuery } from "@tanstack/react-query";
import type { AppAnswer } from "../../api/client";
import { appHealthQuery, appLogQuery } from "../../apps/queries";
import { formatBytes, formatNumber } from "../../format/number";
import { clock, dateTime, moment, parseTime } from "../../format/time";
import { useT } from "../../i18n";
import { Age, Empty, parts, Problem } from "../../ui/Page";
import styles from "./apps.module.css";

export function Health({ app }: { app: AppAnswer }) {
  const t = useT();
  const { data, error } = useQuery(appHealthQuery(app.name));
  if (!data) return error ? <Problem error={error} /> : <Empty>…</Empty>;
  const jobs = Object.entries(data.jobs);
  const at = (time: string) => dateTime(parseTime(time));
  return (
    <>
      {data.started_at === null && <p>{t("apps.health.idle")}</p>}
      <dl className={parts.facts}>
        <dt>{t("apps.health.since")}</dt>
        <dd>{data.started_at === null ? "—" : <span title={at(data.started_at)}><Age at={data.started_at} /></span>}</dd>
        <dt>{t("apps.health.calls")}</dt>
        <dd>{t("apps.health.callsText", { n: formatNumber(data.calls), ms: formatNumber(data.call_ms_mean, 1) })}</dd>
        <dt>{t("apps.health.failures")}</dt>
        <dd>{formatNumber(data.failures)}</dd>
        <dt>{t("apps.health.failure")}</dt>
        <dd>
          {data.failure === "" ? t("apps.health.noFailure") : data.failure}
          {data.failed_at !== null && <span className={parts.path}> {moment(parseTime(data.failed_at))}</span>}
        </dd>
        <dt>{t("apps.health.restarts")}</dt>
        <dd>{formatNumber(data.restarts)}</dd>
        <dt>{t("apps.health.memory")}</dt>
        <dd>{data.memory_bytes === null ? "—" : t("apps.health.ofMost", { used: formatBytes(data.memory_bytes), most: `${app.memory_mb} MB` })}</dd>
        <dt>{t("apps.health.cpu")}</dt>
        <dd>{data.cpu_s === null ? "—" : `${formatNumber(data.cpu_s, 1)} s`}</dd>
        <dt>{t("apps.health.tables")}</dt>
        <dd>{t("apps.health.ofMost", { used: formatBytes(data.tables_bytes), most: `${app.permissions.tables_mb} MB` })}</dd>
        <dt>{t("apps.health.documents")}</dt>
        <dd>{t("apps.health.ofMost", { used: formatBytes(data.documents_bytes), most: `${app.permissions.documents_mb} MB` })}</dd>
        <dt>{t("apps.health.fences")}</dt>
        <dd>{t(data.fences ? "apps.health.fenced" : "apps.health.unfenced")}</dd>
        {jobs.length > 0 && (
          <>
            <dt>{t("apps.health.jobs")}</dt>
            <dd>
              {jobs.map(([job, due]) => (
                <div key={job}>{due === null ? t("apps.health.notDue", { job }) : t("apps.health.due", { job, time: moment(parseTime(due)) })}</div>
              ))}
            </dd>
          </>
        )}
      </dl>
    </>
  );
}

export function Log({ app }: { app: AppAnswer }) {
  const t = useT();
  const { data, error } = useQuery(appLogQuery(app.name));
  if (!data) return error ? <Problem error={error} /> : <Empty>…</Empty>;
  if (data.length === 0) return <Empty>{t("apps.log.none")}</Empty>;
  return (
    <div className={styles.log} role="log" aria-label={t("apps.log.label")} tabIndex={0}>
      {data.map((line, index) => (
        // oxlint-disable-next-line no-array-index-key
        <div key={index}>
          <time title={dateTime(parseTime(line.time), true)}>{clock(parseTime(line.time))}</time>
          <span>{line.text}</span>
        </div>
      ))}
    </div>
  );
}
