/** What flows through the platform and where it waits. A dropped sample is never hidden. */
import { useQuery } from "@tanstack/react-query";
import { systemQuery } from "../../api/queries";
import { formatBytes, formatNumber } from "../../format/number";
import { dateTime, parseTime } from "../../format/time";
import { useT } from "../../i18n";
import { Age, Empty, Panel, parts, Problem } from "../../ui/Page";
import { QualitySymbol } from "../../ui/Value";
import styles from "./system.module.css";

export function Runtime() {
  const t = useT();
  const { data, error } = useQuery(systemQuery);
  if (!data) return error ? <Problem error={error} /> : <Empty>{t("state.loading")}</Empty>;
  const facts = [
    [t("system.rate"), `${formatNumber(data.samples_per_s, 0)} ${t("system.perSecond")}`],
    [t("system.memory"), `${formatNumber(data.process.rss_mb, 0)} MB`],
    [t("system.cpu"), `${formatNumber(data.process.cpu_percent, 1)} %`],
    [t("system.held"), formatNumber(data.history.samples, 0)],
    [t("system.disk"), formatBytes(data.history.disk_bytes)],
    [t("system.screens"), formatNumber(data.feed.clients, 0)],
  ];
  return (
    <div className={styles.runtime}>
      <Problem error={error} />
      <dl className={styles.gauges}>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <Panel title={t("system.queues")}>
        <div className={parts.scroll}>
          <table className={parts.table}>
            <thead>
              <tr>
                <th>{t("system.queue")}</th>
                <th>{t("system.fill")}</th>
                <th className={parts.num}>{t("system.depth")}</th>
                <th className={parts.num}>{t("system.depthMax")}</th>
                <th className={parts.num}>{t("system.capacity")}</th>
                <th className={parts.num}>{t("system.delivered")}</th>
                <th className={parts.num}>{t("system.dropped")}</th>
              </tr>
            </thead>
            <tbody>
              {Object.entries(data.queues).map(([name, queue]) => (
                <tr key={name}>
                  <td className="code">{name}</td>
                  <td className={styles.fill}>
                    <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
                      <rect width="100" height="8" fill="var(--track)" />
                      <rect width={queue.capacity ? Math.min(100, (queue.depth_max / queue.capacity) * 100) : 0} height="8" fill="var(--band)" />
                      <rect width={queue.capacity ? Math.min(100, (queue.depth / queue.capacity) * 100) : 0} height="8" fill="var(--pointer)" />
                    </svg>
                  </td>
                  <td className={parts.num}>{formatNumber(queue.depth, 0)}</td>
                  <td className={parts.num}>{formatNumber(queue.depth_max, 0)}</td>
                  <td className={parts.num}>{queue.capacity === null ? "—" : formatNumber(queue.capacity, 0)}</td>
                  <td className={parts.num}>{formatNumber(queue.delivered, 0)}</td>
                  <td className={parts.num}>
                    {queue.dropped > 0 && <QualitySymbol look="bad" />} {queue.dropped > 0 ? <b>{formatNumber(queue.dropped, 0)}</b> : 0}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </Panel>
      <div className={styles.pair}>
        <Panel title={t("system.history")}>
          <dl className={`${parts.facts} ${styles.inset}`}>
            <dt>{t("system.points")}</dt>
            <dd>{formatNumber(data.history.points, 0)}</dd>
            <dt>{t("system.segments")}</dt>
            <dd>{formatNumber(data.history.segments, 0)}</dd>
            {data.history.disk && (
              <>
                <dt>{t("system.diskFree")}</dt>
                <dd>{formatBytes(data.history.disk.free_bytes)}</dd>
              </>
            )}
            <dt>{t("system.inMemory")}</dt>
            <dd>{formatBytes(data.history.memory_bytes)}</dd>
            <dt>{t("system.perSample")}</dt>
            <dd>{data.history.samples > 0 ? `${formatNumber(data.history.disk_bytes / data.history.samples, 2)} B` : "—"}</dd>
            <dt>{t("system.oldest")}</dt>
            <dd>{data.history.oldest_at ? dateTime(parseTime(data.history.oldest_at)) : "—"}</dd>
            <dt>{t("system.newest")}</dt>
            <dd>{data.history.newest_at ? dateTime(parseTime(data.history.newest_at)) : "—"}</dd>
          </dl>
        </Panel>
        <Panel title={t("system.platform")}>
          <dl className={`${parts.facts} ${styles.inset}`}>
            <dt>{t("system.version")}</dt>
            <dd>{data.version}</dd>
            <dt>{t("system.revision")}</dt>
            <dd>{data.revision}</dd>
            <dt>{t("system.running")}</dt>
            <dd>
              <Age at={data.started_at} />
            </dd>
            <dt>{t("system.threads")}</dt>
            <dd>{data.process.threads}</dd>
            <dt>{t("system.frames")}</dt>
            <dd>{formatNumber(data.feed.frames, 0)}</dd>
            <dt>{t("system.coalesced")}</dt>
            <dd>{formatNumber(data.feed.coalesced, 0)}</dd>
            <dt>{t("system.slowClosed")}</dt>
            <dd>{formatNumber(data.feed.slow_closed, 0)}</dd>
          </dl>
        </Panel>
      </div>
    </div>
  );
}
