/** One function: its versions, the newest first, how each fares, and what may be done with it. */
import { Button } from "@mantine/core";
import { useState } from "react";
import type { StreamAnswer } from "../../../api/client";
import { formatNumber, formatShort } from "../../../format/number";
import { moment, parseTime } from "../../../format/time";
import { useT } from "../../../i18n";
import { Icon } from "../../../ui/Icon";
import { Panel, parts } from "../../../ui/Page";
import { QualitySymbol } from "../../../ui/Value";
import type { Asked } from "./ActDialog";
import { Difference } from "./Difference";
import styles from "./streams.module.css";

const RETIRED_SHOWN = 2;

interface FunctionPanelProps {
  name: string;
  versions: readonly StreamAnswer[];
  /** Absent for those who may not. */
  onAsk: ((asked: Asked) => void) | undefined;
}

export function FunctionPanel({ name, versions, onAsk }: FunctionPanelProps) {
  const t = useT();
  const [all, setAll] = useState(false);
  const [compared, setCompared] = useState("");
  const active = versions.find((one) => one.stage === "active");
  const beside = versions.find((one) => one.version === compared && one.stage === "shadow");
  const retired = versions.filter((one) => one.stage === "retired");
  const hidden = all ? 0 : Math.max(0, retired.length - RETIRED_SHOWN);
  const shown = versions.filter((one) => one.stage !== "retired" || retired.indexOf(one) < retired.length - hidden);
  return (
    <Panel
      title={<span className={styles.name}>{name}</span>}
      aside={
        onAsk && active && active.before !== "" ? (
          <Button size="xs" variant="default" onClick={() => onAsk({ act: "roll back", name, version: active.before, active: active.version })}>
            {t("stream.rollBackTo", { version: active.before })}
          </Button>
        ) : undefined
      }
    >
      <div className={parts.scroll} tabIndex={0} role="region" aria-label={name}>
        <table className={`${parts.table} ${styles.versions}`}>
          <thead>
            <tr>
              <th>{t("stream.version")}</th>
              <th>{t("stream.stage")}</th>
              <th>{t("alarms.state")}</th>
              <th className={parts.num}>{t("stream.windows")}</th>
              <th>{t("stream.failures")}</th>
              <th className={parts.num}>{t("stream.waiting")}</th>
              <th>{t("stream.newest")}</th>
              <th>{t("stream.addedBy")}</th>
              <th>
                <span className="unseen">{t("stream.act")}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((one) => (
              <tr key={one.version} data-version={`${name} ${one.version}`} data-stage={one.stage}>
                <td className={styles.version}>{one.version}</td>
                <td className={styles.stage}>
                  {t(`streamStage.${one.stage}` as "streamStage.active")}
                  {one.on === "workers" && <small>{t("stream.onWorkers")}</small>}
                </td>
                <td className={styles.state}>
                  <State one={one} />
                </td>
                <td data-label={t("stream.windows")} className={parts.num}>{one.run ? formatNumber(one.run.counters.windows ?? 0, 0) : "—"}</td>
                <td data-label={t("stream.failures")}>
                  <Failures one={one} />
                </td>
                <td data-label={t("stream.waiting")} className={parts.num}>{one.run ? formatNumber(one.run.waiting, 0) : "—"}</td>
                <td data-label={t("stream.newest")} className={styles.nowrap}>
                  {one.run?.newest_at ? moment(parseTime(one.run.newest_at)) : "—"}
                  {one.run && <small>{t("stream.lateness", { s: formatShort(one.run.lateness_s) })}</small>}
                </td>
                <td data-label={t("stream.addedBy")} className={styles.nowrap}>
                  {one.added_by}
                  <small>{moment(parseTime(one.added_at))}</small>
                </td>
                <td className={styles.acts}>
                  {one.stage === "shadow" && active && (
                    <Button
                      size="xs"
                      variant="default"
                      aria-expanded={compared === one.version}
                      aria-label={t("stream.compareOne", { name, version: one.version })}
                      onClick={() => setCompared(compared === one.version ? "" : one.version)}
                    >
                      {t("stream.compare")}
                    </Button>
                  )}
                  {onAsk && one.stage !== "active" && (
                    <Button size="xs" variant="default" aria-label={t("stream.promoteOne", { name, version: one.version })} onClick={() => onAsk({ act: "promote", name, version: one.version, active: active?.version ?? "" })}>
                      {t("stream.promote")}
                    </Button>
                  )}
                  {onAsk && one.stage !== "retired" && (
                    <Button size="xs" variant="default" aria-label={t("stream.retireOne", { name, version: one.version })} onClick={() => onAsk({ act: "retire", name, version: one.version, active: active?.version ?? "" })}>
                      {t("stream.retire")}
                    </Button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {beside && active && (
        <div className={styles.beside}>
          <Difference name={name} version={beside.version} active={active.version} />
        </div>
      )}
      {hidden > 0 && (
        <div className={styles.foot}>
          <Button size="xs" variant="subtle" onClick={() => setAll(true)}>
            {t("stream.moreRetired", { n: hidden })}
          </Button>
        </div>
      )}
    </Panel>
  );
}

/** A symbol and a word; of trouble, what it said. */
function State({ one }: { one: StreamAnswer }) {
  const t = useT();
  const { run } = one;
  if (one.stage === "retired") return <span className={styles.calm}>{t("streamState.stopped")}</span>;
  const look = run === null || (!run.running && run.error === "") ? "starting" : run.halted ? "halted" : !run.running ? "broken" : run.error === "" ? "running" : "errors";
  return (
    <>
      <span className={styles.word} data-look={look}>
        {look === "running" ? <Icon name="check" size={14} /> : <QualitySymbol look={look === "starting" ? "stale" : look === "errors" ? "uncertain" : "bad"} />}
        {t(`streamState.${look}`)}
      </span>
      {run && run.error !== "" && <small className={styles.said}>{run.error}</small>}
    </>
  );
}

/** What was not right since it began. */
function Failures({ one }: { one: StreamAnswer }) {
  const t = useT();
  if (one.run === null) return <>—</>;
  const { counters, stopped } = one.run;
  const told = [
    { key: "failed", n: counters.failed ?? 0 },
    { key: "ended", n: stopped },
    { key: "skipped", n: counters.skipped ?? 0 },
    { key: "late", n: counters.late ?? 0 },
    { key: "unusable", n: counters.unusable ?? 0 },
  ] as const;
  const some = told.filter(({ n }) => n > 0);
  if (some.length === 0) return <span className={styles.calm}>{t("stream.noFailure")}</span>;
  return (
    <ul className={styles.failures}>
      {some.map(({ key, n }) => (
        <li key={key}>
          <QualitySymbol look={key === "failed" || key === "ended" ? "bad" : "uncertain"} /> {t(`streamCount.${key}`, { n })}
        </li>
      ))}
    </ul>
  );
}
