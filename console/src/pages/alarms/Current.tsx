/** Alarms that people are told of, the most urgent first, consequences folded under their cause. Made for the keyboard. */
import { Button, SegmentedControl, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { alarmsQuery } from "../../api/queries";
import { type Act, KINDS } from "../../app/alarmActs";
import { useAlarms } from "../../app/alarms";
import { useSession } from "../../app/session";
import { moment, parseTime } from "../../format/time";
import { useT, useTitle } from "../../i18n";
import { Icon } from "../../ui/Icon";
import { Age, Empty, Panel, Problem } from "../../ui/Page";
import { PRIORITIES, PriorityMark } from "../../ui/Priority";
import { ActDialog } from "./ActDialog";
import { AlarmTable, type Column } from "./AlarmTable";
import styles from "./alarms.module.css";
import { Comparison, TimeLeft } from "./facts";
import { FloodNotice } from "./FloodNotice";
import { type Line, linesOf } from "./folding";
import { useChoice } from "./useChoice";
import { useMatching } from "./useMatching";
import { useRowKeys } from "./useRowKeys";

/** By key, in the order of their buttons. */
const HERE = { a: "acknowledge", s: "shelve", r: "reset", o: "remove" } as const satisfies Record<string, Act>;
const ACTS_HERE = Object.values(HERE);

export function Current() {
  const t = useT();
  const title = useTitle();
  const navigate = useNavigate();
  const { may } = useSession();
  const { priority } = useSearch({ from: "/shell/alarms" });
  const [text, setText] = useState("");
  const [unfolded, setUnfolded] = useState<ReadonlySet<string>>(new Set());
  const [asking, setAsking] = useState<Act | null>(null);
  const { data, error } = useQuery(alarmsQuery);
  const all = useAlarms();
  const { matching, names } = useMatching(all, text);
  const counts = useMemo(() => PRIORITIES.map((one) => all.filter((alarm) => alarm.priority === one).length), [all]);
  const lines = useMemo(() => linesOf(priority ? matching.filter((alarm) => alarm.priority === priority) : matching, unfolded), [matching, priority, unfolded]);
  const shown = useMemo(() => lines.map((line) => line.alarm), [lines]);
  const choice = useChoice(shown, ACTS_HERE);
  const { selected } = choice;

  const fold = (rule: string, open: boolean) => {
    const next = new Set(unfolded);
    if (open) next.add(rule);
    else next.delete(rule);
    setUnfolded(next);
  };
  const ask = (act: Act) => {
    if (choice.forAct(act).length > 0) setAsking(act);
  };
  useRowKeys((key) => {
    const line = lines[choice.at];
    const act = HERE[key.toLowerCase() as keyof typeof HERE];
    if (act) ask(act);
    else if (key === "ArrowRight" && line?.under) fold(line.alarm.rule, true);
    else if (key === "ArrowLeft" && line) fold(line.inside ? line.alarm.group : line.alarm.rule, false);
    else if (key === "Enter" && line) void navigate({ to: "/alarms", search: { ...(priority ? { priority } : {}), alarm: line.alarm.rule } });
    else if (key === "Escape") choice.none();
    else return choice.key(key);
    return true;
  });

  const columns: readonly Column<Line>[] = [
    {
      name: "priority",
      head: t("alarms.priority"),
      cell: ({ alarm }) => (
        <>
          <PriorityMark priority={alarm.priority} state={alarm.state} size={22} />
          <span>{t(`priority.${alarm.priority}`)}</span>
        </>
      ),
    },
    {
      name: "message",
      head: t("alarms.message"),
      cell: ({ alarm, under, open }) => (
        <>
          <Link to="/alarms" search={{ ...(priority ? { priority } : {}), alarm: alarm.rule }}>
            {title(alarm.message, alarm.rule)}
          </Link>
          {under > 0 && (
            <button type="button" className={styles.fold} aria-expanded={open} aria-label={t("alarms.consequences", { n: under })} title={t("alarms.consequences", { n: under })} onClick={() => fold(alarm.rule, !open)}>
              <Icon name={open ? "down" : "right"} size={14} />+{under}
            </button>
          )}
          {alarm.comment && <small>{alarm.comment}</small>}
        </>
      ),
    },
    { name: "asset", head: t("alarms.asset"), cell: ({ alarm }) => title(names.get(alarm.asset), alarm.asset) },
    { name: "compare", head: t("alarms.comparison"), cell: ({ alarm }) => <Comparison alarm={alarm} /> },
    {
      name: "state",
      head: t("alarms.state"),
      cell: ({ alarm }) => (
        <>
          {t(`alarmState.${alarm.state}`)}
          {alarm.acknowledged_by && <small>{alarm.acknowledged_by}</small>}
        </>
      ),
    },
    {
      name: "time",
      head: t("alarms.raised"),
      cell: ({ alarm }) => (
        <>
          <Age at={alarm.raised_at} />
          <small>{moment(parseTime(alarm.raised_at))}</small>
          <TimeLeft alarm={alarm} />
        </>
      ),
    },
  ];
  return (
    <>
      <FloodNotice />
      <div className={styles.bar}>
        <SegmentedControl
          aria-label={t("alarms.priority")}
          value={priority ?? ""}
          onChange={(value) => void navigate({ to: "/alarms", search: value === "" ? {} : { priority: value } })}
          data={[{ value: "", label: t("alarms.all", { n: all.length }) }, ...PRIORITIES.map((one, i) => ({ value: one, label: `${t(`priority.${one}`)} ${counts[i]}` }))]}
        />
        <TextInput aria-label={t("alarms.filter")} placeholder={t("alarms.filter")} value={text} onChange={(event) => setText(event.currentTarget.value)} className={styles.filter} />
        <div className={styles.actions}>
          <Button variant="default" disabled={!shown.some(choice.canSelect)} onClick={choice.all}>
            {t("alarms.selectAll")}
          </Button>
          {ACTS_HERE.map((one) => {
            const n = selected.filter(KINDS[one].fits).length;
            if (!may(KINDS[one].right) || (n === 0 && one !== "acknowledge" && one !== "shelve")) return null;
            return (
              <Button key={one} {...(one === "acknowledge" ? {} : { variant: "default" })} disabled={n === 0} onClick={() => setAsking(one)}>
                {t(`alarmActN.${one}`, { n })}
              </Button>
            );
          })}
        </div>
      </div>
      <Problem error={error} />
      <Panel label={t("alarms.current")}>
        {shown.length === 0 ? (
          <Empty>{!data ? t("state.loading") : all.length === 0 ? t("alarms.none") : t("alarms.noneMatch")}</Empty>
        ) : (
          <AlarmTable label={t("alarms.current")} lines={lines} alarmOf={(line) => line.alarm} insideOf={(line) => line.inside} columns={columns} choice={choice} />
        )}
      </Panel>
      {data && data.total > data.alarms.length && <p className={styles.keys}>{t("alarms.onlyFirst", { n: data.alarms.length, of: data.total })}</p>}
      <p className={styles.keys}>
        {t("keys.alarms")}: <span className="code">↑ ↓ ␣ a s r o → ← ↵</span>
      </p>
      {asking && (
        <ActDialog
          kind={asking}
          alarms={choice.forAct(asking)}
          onClose={(done) => {
            setAsking(null);
            if (done) choice.none();
          }}
        />
      )}
    </>
  );
}
