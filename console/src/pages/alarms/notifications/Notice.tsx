/** One message: its outcome by symbol and word, to whom and when; opened, as it was sent and what comes next. */
import { Link, useSearch } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { NotificationAnswer } from "../../../api/client";
import { dateTime, moment, parseTime } from "../../../format/time";
import { type Key, useList, useT } from "../../../i18n";
import { Icon } from "../../../ui/Icon";
import { parts } from "../../../ui/Page";
import { QualitySymbol } from "../../../ui/Value";
import styles from "./notifications.module.css";

const SYMBOLS: Readonly<Record<string, ReactNode>> = {
  pending: <QualitySymbol look="stale" size={16} />,
  sent: <Icon name="check" size={16} />,
  failed: <QualitySymbol look="bad" size={16} />,
  "passed-on": <Icon name="right" size={16} />,
  nobody: <QualitySymbol look="uncertain" size={16} />,
  withdrawn: <Icon name="minus" size={16} />,
};
const LOUD: ReadonlySet<string> = new Set(["failed", "nobody"]);
const KINDS: ReadonlySet<string> = new Set(["raised", "escalated", "repeated", "flood", "acknowledged", "cleared", "test"]);
/** Of a flood, the first are listed. */
const ALARMS_MAX = 20;

/** A newer platform may have words that this console has not: they are shown as they are. */
export function StateMark({ state }: { state: string }) {
  const t = useT();
  return (
    <span className={styles.state} data-state={state} data-loud={LOUD.has(state)}>
      {SYMBOLS[state]} {state in SYMBOLS ? t(`noticeState.${state}` as Key) : state}
    </span>
  );
}

export function Notice({ notice }: { notice: NotificationAnswer }) {
  const t = useT();
  const list = useList();
  const kind = KINDS.has(notice.kind) ? t(`noticeKind.${notice.kind}` as Key) : notice.kind;
  const people = list(notice.people);
  const next = notice.next_try_at === null ? notice.next_step_at && t("notice.nextStep", { at: moment(parseTime(notice.next_step_at)) }) : t("notice.nextTry", { at: moment(parseTime(notice.next_try_at)) });
  return (
    <details className={styles.notice} data-notice={notice.key}>
      <summary>
        <StateMark state={notice.state} />
        <time dateTime={notice.made_at}>{moment(parseTime(notice.made_at))}</time>
        <span className={styles.what}>
          <b>{notice.title}</b>
          {notice.error !== "" && <small>{notice.error}</small>}
        </span>
        <span className={styles.whom}>
          {people === "" || notice.channel === "" ? people || notice.channel || "—" : t("notice.to", { people, channel: notice.channel })}
          <small>
            {kind}
            {next && ` · ${next}`}
          </small>
        </span>
        <span className={styles.chevron}>
          <Icon name="down" size={16} />
        </span>
      </summary>
      <div className={styles.opened}>
        <Message notice={notice} />
        <Delivery notice={notice} kind={kind} people={people} />
      </div>
    </details>
  );
}

function Message({ notice }: { notice: NotificationAnswer }) {
  const t = useT();
  return (
    <section className={styles.message}>
      <h3>{t("notice.message")}</h3>
      <p>
        <b>{notice.title}</b>
      </p>
      {notice.lines.map((line) => (
        <p key={line}>{line}</p>
      ))}
      {notice.facts.length > 0 && <Facts facts={notice.facts.map((fact) => [fact.label, fact.value])} />}
    </section>
  );
}

function Delivery({ notice, kind, people }: { notice: NotificationAnswer; kind: string; people: string }) {
  const t = useT();
  const search = useSearch({ from: "/shell/alarms" });
  const at = (time: string | null) => time !== null && dateTime(parseTime(time));
  const known: readonly (readonly [string, ReactNode])[] = [
    [t("notice.whom"), people],
    [t("notice.channel"), notice.channel],
    [t("notice.kind"), kind],
    [t("notice.notification"), notice.notification !== "" && t("notice.step", { name: notice.notification, n: notice.step })],
    [t("notice.made"), at(notice.made_at)],
    [t("notice.done"), at(notice.done_at)],
    [t("notice.attempts"), notice.attempts > 0 && String(notice.attempts)],
    [t("notice.error"), notice.error],
    [t("notice.nextTryAt"), at(notice.next_try_at)],
    [t("notice.nextStepAt"), at(notice.next_step_at)],
    [t("notice.actor"), notice.actor],
  ];
  return (
    <section>
      <h3>{t("notice.delivery")}</h3>
      <Facts facts={known.filter(([, value]) => value)} />
      {notice.alarms.length > 0 && (
        <>
          <h3>{t("notice.alarms", { n: notice.alarms.length })}</h3>
          <ul className={styles.alarms}>
            {notice.alarms.slice(0, ALARMS_MAX).map(({ rule }) => (
              <li key={rule}>
                <Link to="/alarms" search={{ ...search, alarm: rule }}>
                  {rule}
                </Link>
                {search.of !== rule && (
                  <Link to="/alarms" search={{ tab: "notifications", of: rule }} aria-label={t("notice.onlyOf", { rule })}>
                    {t("notice.only")}
                  </Link>
                )}
              </li>
            ))}
            {notice.alarms.length > ALARMS_MAX && <li>{t("overview.moreAlarms", { n: notice.alarms.length - ALARMS_MAX })}</li>}
          </ul>
        </>
      )}
    </section>
  );
}

function Facts({ facts }: { facts: readonly (readonly [string, ReactNode])[] }) {
  return (
    <dl className={parts.facts}>
      {facts.map(([label, value]) => (
        <div key={label} style={{ display: "contents" }}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
