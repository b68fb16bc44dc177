/** One alarm opened: what to do and how long there is, why it is an alarm, how its class is handled, its trend and its history. */
import { Button, Drawer } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import type { AlarmAnswer, RuleAnswer } from "../../api/client";
import { alarmRuleQuery, alarmsQuery, downsampleQuery, pointQuery } from "../../api/queries";
import { type Act, ACTS, KINDS } from "../../app/alarmActs";
import { isQuiet } from "../../app/alarms";
import { useSession } from "../../app/session";
import { HOUR, MINUTE, moment, parseTime } from "../../format/time";
import { type Title, useT, useTitle } from "../../i18n";
import { useNow } from "../../live/hooks";
import { ButtonLink } from "../../ui/links";
import { Icon } from "../../ui/Icon";
import { Age, Empty, parts, Problem } from "../../ui/Page";
import { PriorityMark } from "../../ui/Priority";
import { Sparkline } from "../../ui/Sparkline";
import { LiveValue } from "../../ui/Value";
import { ActDialog } from "./ActDialog";
import styles from "./alarms.module.css";
import { Comparison, Limit, pointOf, TimeLeft, useSpan } from "./facts";
import { Until, Why } from "./Quiet";
import { RecordHistory, useRecordHistory } from "./RecordHistory";
import { useAssetTitles } from "./useMatching";

export function Record({ rule }: { rule: string | undefined }) {
  const t = useT();
  const title = useTitle();
  const navigate = useNavigate();
  const search = useSearch({ from: "/shell/alarms" });
  const { data } = useQuery(alarmsQuery);
  const alarm = data?.alarms.find((one) => one.rule === rule);
  const { data: declared, error } = useQuery({ ...alarmRuleQuery(rule ?? ""), enabled: rule !== undefined });
  // One that is declared no more is known by what it did.
  const before = useRecordHistory(rule ?? "").steps[0];
  const close = () => {
    const { alarm: _, ...rest } = search;
    void navigate({ to: "/alarms", search: rest });
  };
  return (
    <Drawer opened={rule !== undefined} onClose={close} position="right" size={500} title={rule === undefined ? "" : title(alarm?.message ?? declared?.message ?? before?.message, rule)} closeButtonProps={{ "aria-label": t("action.close") }}>
      {rule !== undefined && (
        <div className={styles.record}>
          {alarm ? <Standing alarm={alarm} all={data?.alarms ?? []} /> : <Empty>{!data ? t("state.loading") : error ? t("alarms.notDeclared") : t("alarms.isNormal")}</Empty>}
          {!alarm && declared && <Normal declared={declared} />}
          <Measured rule={rule} raisedAt={alarm?.raised_at ?? null} />
          {(alarm ?? declared) && <Handling alarm={(alarm ?? declared)!} />}
          <RecordHistory rule={rule} />
          <div>
            <ButtonLink to="/alarms" search={{ tab: "notifications", of: rule }} size="xs" variant="default" leftSection={<Icon name="bell" size={14} />}>
              {t("told.who")}
            </ButtonLink>
          </div>
        </div>
      )}
    </Drawer>
  );
}

function Standing({ alarm, all }: { alarm: AlarmAnswer; all: readonly AlarmAnswer[] }) {
  const t = useT();
  const search = useSearch({ from: "/shell/alarms" });
  const title = useTitle();
  const { may } = useSession();
  const names = useAssetTitles();
  const [asking, setAsking] = useState<Act | null>(null);
  const acts = ACTS.filter((one) => may(KINDS[one].right) && KINDS[one].fits(alarm));
  const why = alarm.rationale;
  const root = alarm.group === alarm.rule ? undefined : all.find((one) => one.rule === alarm.group);
  return (
    <>
      <div className={styles.recordHead}>
        <PriorityMark priority={alarm.priority} state={alarm.state} size={28} />
        <div>
          <strong>
            {t(`priority.${alarm.priority}`)} · {t(`alarmState.${alarm.state}`)}
          </strong>
          <span>
            <Link to="/explore/$" params={{ _splat: alarm.asset }} search={{ point: alarm.point }}>
              {title(names.get(alarm.asset), alarm.asset)}
            </Link>
            {alarm.raised_at !== null && (
              <>
                {" "}· {moment(parseTime(alarm.raised_at))} · <Age at={alarm.raised_at} />
              </>
            )}
          </span>
        </div>
        <span className={styles.compare}>
          <Comparison alarm={alarm} />
        </span>
      </div>
      {isQuiet(alarm) && (
        <dl className={parts.facts}>
          <dt>{t("alarms.why")}</dt>
          <dd>
            <Why alarm={alarm} />
          </dd>
          <dt>{t("alarms.until")}</dt>
          <dd>
            <Until alarm={alarm} />
          </dd>
          <dt>{t("alarms.beneath")}</dt>
          <dd>{alarm.active ? t("alarms.holds") : t("alarms.holdsNot")}</dd>
        </dl>
      )}
      <section className={styles.response}>
        <h3>{t("alarms.response")}</h3>
        <Told text={why?.response} />
        <TimeLeft alarm={alarm} />
      </section>
      {acts.length > 0 && (
        <div className={styles.recordActs}>
          {acts.map((one) => (
            <Button key={one} size="xs" {...(one === "acknowledge" ? {} : { variant: "default" })} onClick={() => setAsking(one)}>
              {t(`alarmAct.${one}`)}
            </Button>
          ))}
        </div>
      )}
      <dl className={parts.facts}>
        <dt>{t("alarms.cause")}</dt>
        <dd>
          <Told text={why?.cause} />
        </dd>
        <dt>{t("alarms.consequence")}</dt>
        <dd>
          <Told text={why?.consequence} />
        </dd>
        {root && (
          <>
            <dt>{t("alarms.root")}</dt>
            <dd>
              <Link to="/alarms" search={{ ...search, alarm: root.rule }}>
                {title(root.message, root.rule)}
              </Link>
            </dd>
          </>
        )}
        {alarm.consequences > 0 && (
          <>
            <dt>{t("alarms.followed")}</dt>
            <dd>{t("alarms.consequences", { n: alarm.consequences })}</dd>
          </>
        )}
        {alarm.acknowledged_by !== "" && (
          <>
            <dt>{t("alarmState.ack-active")}</dt>
            <dd>
              {alarm.acknowledged_by} · {alarm.acknowledged_at !== null && moment(parseTime(alarm.acknowledged_at))}
              {alarm.comment && ` · ${alarm.comment}`}
            </dd>
          </>
        )}
      </dl>
      {asking && <ActDialog kind={asking} alarms={[alarm]} onClose={() => setAsking(null)} />}
    </>
  );
}

/** What an alarm would say if it stood. */
function Normal({ declared }: { declared: RuleAnswer }) {
  const t = useT();
  const title = useTitle();
  const words = useSpan();
  const names = useAssetTitles();
  const why = declared.rationale;
  return (
    <>
      <div className={styles.recordHead}>
        <PriorityMark priority={declared.priority} size={28} quiet />
        <div>
          <strong>
            {t(`priority.${declared.priority}`)} · {t("alarmState.normal")}
          </strong>
          <span>
            <Link to="/explore/$" params={{ _splat: declared.asset }} search={{ point: declared.point }}>
              {title(names.get(declared.asset), declared.asset)}
            </Link>
          </span>
        </div>
        <span className={styles.compare}>
          <Limit rule={declared} />
        </span>
      </div>
      <section className={styles.response}>
        <h3>{t("alarms.response")}</h3>
        <Told text={why?.response} />
        {typeof why?.time_to_respond_s === "number" && <p>{t("alarms.within", { span: words(why.time_to_respond_s * 1_000) })}</p>}
      </section>
      <dl className={parts.facts}>
        <dt>{t("alarms.cause")}</dt>
        <dd>
          <Told text={why?.cause} />
        </dd>
        <dt>{t("alarms.consequence")}</dt>
        <dd>
          <Told text={why?.consequence} />
        </dd>
      </dl>
    </>
  );
}

/** What somebody wrote down in the reader's language, or any; that nobody did is said. */
function Told({ text }: { text: Title | undefined }) {
  const t = useT();
  const title = useTitle();
  return <>{text && Object.keys(text).length > 0 ? title(text, "") : <span className={styles.unsaid}>{t("alarms.notWritten")}</span>}</>;
}

/** The point of the alarm now and around the time that it was raised. */
function Measured({ rule, raisedAt }: { rule: string; raisedAt: string | null }) {
  const t = useT();
  const title = useTitle();
  const path = pointOf(rule);
  const now = Math.floor(useNow() / MINUTE) * MINUTE;
  const raised = raisedAt === null ? now : parseTime(raisedAt);
  const from = Math.min(now - HOUR, Math.floor(raised / MINUTE) * MINUTE - HOUR / 2);
  const { data: point, error } = useQuery(pointQuery(path));
  const { data } = useQuery({ ...downsampleQuery([path], from, now, 120, ["min", "max", "mean"]), enabled: point !== undefined && point.kind !== "text" });
  const columns = data?.series[0]?.columns;
  return (
    <section>
      <h3>{point ? title(point.title, path) : path}</h3>
      <Problem error={error} />
      {point && (
        <div className={styles.measured}>
          <LiveValue point={point} size={20} />
          <ButtonLink to="/trend" search={{ p: [path], from, to: now }} size="xs" variant="default" leftSection={<Icon name="trend" size={14} />}>
            {t("explore.trend")}
          </ButtonLink>
        </div>
      )}
      {columns && (
        <figure className={styles.spark}>
          <Sparkline min={columns.min ?? []} max={columns.max ?? []} mean={columns.mean ?? []} label={t("alarms.trendSince", { at: moment(from) })} />
          <figcaption>
            <span>{moment(from)}</span>
            <span>{t("alarms.now")}</span>
          </figcaption>
        </figure>
      )}
    </section>
  );
}

function Handling({ alarm }: { alarm: Pick<AlarmAnswer, "rule" | "handling" | "rationale" | "latched"> }) {
  const t = useT();
  const title = useTitle();
  const words = useSpan();
  const { handling, rationale } = alarm;
  const asks = [
    handling.acknowledge ? t("alarmClass.acknowledge") : t("alarmClass.noAcknowledge"),
    ...(handling.comment ? [t("alarmClass.comment")] : []),
    ...(handling.proof ? [t("alarmClass.proof")] : []),
    ...(alarm.latched ? [t("alarmClass.latched")] : []),
    handling.shelve_longest_s > 0 ? t("alarmClass.shelve", { span: words(handling.shelve_longest_s * 1_000) }) : t("alarmClass.noShelve"),
  ];
  return (
    <dl className={parts.facts}>
      <dt>{t("alarms.class")}</dt>
      <dd>{handling.name === "" ? t("alarms.noClass") : title(handling.title, handling.name)}</dd>
      <dt>{t("alarms.handling")}</dt>
      <dd>
        <ul className={styles.asks}>
          {asks.map((one) => (
            <li key={one}>{one}</li>
          ))}
        </ul>
      </dd>
      <dt>{t("alarms.basis")}</dt>
      <dd>{rationale?.setpoint_basis || <span className={styles.unsaid}>{t("alarms.notWritten")}</span>}</dd>
      <dt>{t("alarms.reviewed")}</dt>
      <dd>{rationale?.reviewed_on ? `${rationale.reviewed_on} · ${rationale.reviewed_by}` : t("alarms.notReviewed")}</dd>
      <dt>{t("alarms.name")}</dt>
      <dd className="code">{alarm.rule}</dd>
    </dl>
  );
}
