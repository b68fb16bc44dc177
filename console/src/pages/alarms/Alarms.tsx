/** Alarms that stand, and what they did before. Made for the keyboard: j k move, x selects, a acknowledges. */
import { Button, Checkbox, Modal, SegmentedControl, Tabs, TextInput, Textarea } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import type { AlarmAnswer, Priority } from "../../api/client";
import { assetsQuery } from "../../api/queries";
import { acknowledge, unacknowledged, useAlarms } from "../../app/alarms";
import { useSession } from "../../app/session";
import { isTyping } from "../../app/shortcuts";
import { formatShort } from "../../format/number";
import { moment, parseTime } from "../../format/time";
import { type Key, useT, useTitle } from "../../i18n";
import { Age, Empty, Page, Panel, parts, Problem } from "../../ui/Page";
import { PRIORITIES, PriorityMark } from "../../ui/Priority";
import { useLatest } from "../../ui/useLatest";
import styles from "./alarms.module.css";
import { History } from "./History";

export function Alarms() {
  const t = useT();
  const { tab } = useSearch({ from: "/shell/alarms" });
  const navigate = useNavigate();
  return (
    <Page title={t("nav.alarms")}>
      <Tabs value={tab ?? "current"} onChange={(value) => void navigate({ to: "/alarms", search: value === "history" ? { tab: "history" } : {} })} keepMounted={false}>
        <Tabs.List>
          <Tabs.Tab value="current">{t("alarms.current")}</Tabs.Tab>
          <Tabs.Tab value="history">{t("alarms.history")}</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="current" pt={14}>
          <Current />
        </Tabs.Panel>
        <Tabs.Panel value="history" pt={14}>
          <History />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}

/** What was measured against what is allowed, in few signs: `68.2 > 65`. */
export function Comparison({ alarm }: { alarm: Pick<AlarmAnswer, "condition" | "limit" | "value"> }) {
  const t = useT();
  const value = alarm.value === null ? "—" : formatShort(Number(alarm.value.toPrecision(4)));
  const limit = formatShort(alarm.limit);
  const sign: Readonly<Record<string, string>> = { high: ">", low: "<", equals: "=" };
  const known = sign[alarm.condition];
  if (known) {
    return (
      <>
        <b>{value}</b> {known} {limit}
      </>
    );
  }
  return (
    <>
      <b>{value}</b> · {t(`condition.${alarm.condition}` as Key, { limit })}
    </>
  );
}

function Current() {
  const t = useT();
  const title = useTitle();
  const navigate = useNavigate();
  const { may } = useSession();
  const { priority } = useSearch({ from: "/shell/alarms" });
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [at, setAt] = useState(0);
  const [asking, setAsking] = useState(false);
  const all = useAlarms();
  const { data: assets } = useQuery(assetsQuery);
  const names = useMemo(() => new Map((assets ?? []).map((asset) => [asset.path, asset.title])), [assets]);
  const shown = useMemo(
    () =>
      all.filter(
        (alarm) =>
          (!priority || alarm.priority === priority) &&
          `${alarm.rule} ${Object.values(alarm.message).join(" ")} ${Object.values(names.get(alarm.asset) ?? {}).join(" ")}`.toLowerCase().includes(text.toLowerCase()),
      ),
    [all, priority, text, names],
  );
  const open = shown.filter(unacknowledged);
  const selected = open.filter((alarm) => chosen.has(alarm.rule));
  const mayAck = may("acknowledge");

  const toggle = (rule: string) => {
    const next = new Set(chosen);
    if (!next.delete(rule)) next.add(rule);
    setChosen(next);
  };
  const keys = useLatest((key: string): boolean => {
    const row = shown[Math.min(at, shown.length - 1)];
    const actions: Partial<Record<string, () => void>> = {
      j: () => setAt(Math.min(at + 1, shown.length - 1)),
      ArrowDown: () => setAt(Math.min(at + 1, shown.length - 1)),
      k: () => setAt(Math.max(at - 1, 0)),
      ArrowUp: () => setAt(Math.max(at - 1, 0)),
      x: () => row && mayAck && unacknowledged(row) && toggle(row.rule),
      a: () => {
        if (!mayAck) return;
        if (selected.length === 0 && row && unacknowledged(row)) setChosen(new Set([row.rule]));
        if (selected.length > 0 || (row && unacknowledged(row))) setAsking(true);
      },
      Enter: () => row && void navigate({ to: "/explore/$", params: { _splat: row.asset }, search: { point: row.point } }),
    };
    const act = actions[key];
    act?.();
    return act !== undefined;
  });
  useEffect(() => {
    let goAt = -Infinity;
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (document.querySelector("[role=dialog][aria-modal=true]")) return;
      // `g a` goes to this page; it must not acknowledge on the way.
      if (event.key === "g") goAt = performance.now();
      else if (performance.now() - goAt < 1_200) goAt = -Infinity;
      else {
        const onControl = event.target instanceof HTMLElement && /^(BUTTON|A)$/.test(event.target.tagName) && event.key === "Enter";
        if (!onControl && keys.current(event.key)) event.preventDefault();
      }
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [keys]);

  return (
    <>
      <div className={styles.bar}>
        <SegmentedControl
          aria-label={t("alarms.priority")}
          value={priority ?? ""}
          onChange={(value) => void navigate({ to: "/alarms", search: value === "" ? {} : { priority: value } })}
          data={[
            { value: "", label: t("alarms.all", { n: all.length }) },
            ...PRIORITIES.map((one) => ({ value: one, label: `${t(`priority.${one}`)} ${all.filter((alarm) => alarm.priority === one).length}` })),
          ]}
        />
        <TextInput aria-label={t("alarms.filter")} placeholder={t("alarms.filter")} value={text} onChange={(event) => setText(event.currentTarget.value)} className={styles.filter} />
        <div className={styles.actions}>
          <Button variant="default" disabled={!mayAck || open.length === 0} onClick={() => setChosen(new Set(selected.length === open.length ? [] : open.map((alarm) => alarm.rule)))}>
            {t("alarms.selectAll")}
          </Button>
          <Button disabled={!mayAck || selected.length === 0} onClick={() => setAsking(true)}>
            {t("alarms.acknowledgeN", { n: selected.length })}
          </Button>
        </div>
      </div>
      <Panel label={t("alarms.current")}>
        {shown.length === 0 ? (
          <Empty>{all.length === 0 ? t("alarms.none") : t("alarms.noneMatch")}</Empty>
        ) : (
          <div className={parts.scroll}>
            <table className={`${parts.table} ${styles.table} ${styles.current}`}>
              <thead>
                <tr>
                  <th>
                    <span className="unseen">{t("alarms.select")}</span>
                  </th>
                  <th>{t("alarms.priority")}</th>
                  <th>{t("alarms.message")}</th>
                  <th>{t("alarms.asset")}</th>
                  <th>{t("alarms.comparison")}</th>
                  <th>{t("alarms.state")}</th>
                  <th className={parts.num}>{t("alarms.raised")}</th>
                </tr>
              </thead>
              <tbody>
                {shown.map((alarm, index) => (
                  <tr key={alarm.rule} data-at={index === Math.min(at, shown.length - 1)} data-open={unacknowledged(alarm)} data-rule={alarm.rule} onClick={() => setAt(index)}>
                    <td>
                      <Checkbox
                        size="xs"
                        aria-label={t("alarms.selectOne", { message: title(alarm.message, alarm.rule) })}
                        disabled={!mayAck || !unacknowledged(alarm)}
                        checked={chosen.has(alarm.rule) && unacknowledged(alarm)}
                        onChange={() => toggle(alarm.rule)}
                      />
                    </td>
                    <td className={styles.priority}>
                      <PriorityMark priority={alarm.priority} state={alarm.state} size={22} />
                      <span>{t(`priority.${alarm.priority}`)}</span>
                    </td>
                    <td className={styles.message}>
                      <Link to="/explore/$" params={{ _splat: alarm.asset }} search={{ point: alarm.point }}>
                        {title(alarm.message, alarm.rule)}
                      </Link>
                      {alarm.comment && <small>{alarm.comment}</small>}
                    </td>
                    <td>{title(names.get(alarm.asset), alarm.asset)}</td>
                    <td className={styles.compare}>
                      <Comparison alarm={alarm} />
                    </td>
                    <td className={styles.state}>
                      {t(`alarmState.${alarm.state}`)}
                      {alarm.acknowledged_by && <small>{alarm.acknowledged_by}</small>}
                    </td>
                    <td className={`${parts.num} ${styles.time}`}>
                      <Age at={alarm.raised_at} />
                      <small>{moment(parseTime(alarm.raised_at))}</small>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Panel>
      <p className={styles.keys}>{t("keys.alarms")}: <span className="code">j k x a ↵</span></p>
      {asking && (
        <AcknowledgeDialog
          alarms={selected}
          onClose={(done) => {
            setAsking(false);
            if (done) setChosen(new Set());
          }}
        />
      )}
    </>
  );
}

function AcknowledgeDialog({ alarms, onClose }: { alarms: readonly AlarmAnswer[]; onClose: (done: boolean) => void }) {
  const t = useT();
  const title = useTitle();
  const [comment, setComment] = useState("");
  const [kept] = useState(alarms);
  const run = useMutation({ mutationFn: () => acknowledge(kept.map((alarm) => alarm.rule), comment.trim()), onSuccess: () => onClose(true) });
  return (
    <Modal opened onClose={() => onClose(false)} title={t("alarms.acknowledgeTitle", { n: kept.length })} closeButtonProps={{ "aria-label": t("action.close") }}>
      <form
        className={styles.dialog}
        onSubmit={(event) => {
          event.preventDefault();
          run.mutate();
        }}
      >
        <ul className={styles.brief}>
          {kept.slice(0, 5).map((alarm) => (
            <li key={alarm.rule}>
              <PriorityMark priority={alarm.priority as Priority} state="ack-active" size={18} /> {title(alarm.message, alarm.rule)}
            </li>
          ))}
          {kept.length > 5 && <li>{t("overview.moreAlarms", { n: kept.length - 5 })}</li>}
        </ul>
        <Textarea
          data-autofocus
          label={t("alarms.comment")}
          autosize
          minRows={2}
          maxLength={2000}
          value={comment}
          onChange={(event) => setComment(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run.mutate();
          }}
        />
        <Problem error={run.error} />
        <div className={styles.buttons}>
          <Button variant="default" onClick={() => onClose(false)}>
            {t("action.cancel")}
          </Button>
          <Button type="submit" loading={run.isPending}>
            {t("alarms.acknowledge")}
          </Button>
        </div>
      </form>
    </Modal>
  );
}
