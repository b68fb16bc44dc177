/** Alarms that nobody is told of, and why: shelved by a person, suppressed by design, out of service. The condition goes on beneath. */
import { Button, SegmentedControl, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import type { AlarmAnswer } from "../../api/client";
import { alarmsQuery } from "../../api/queries";
import { type Act, KINDS } from "../../app/alarmActs";
import { useQuietAlarms } from "../../app/alarms";
import { useSession } from "../../app/session";
import { parseTime, until } from "../../format/time";
import { useT, useTitle } from "../../i18n";
import { useNow } from "../../live/hooks";
import { Empty, Panel, Problem } from "../../ui/Page";
import { PriorityMark } from "../../ui/Priority";
import { ActDialog } from "./ActDialog";
import { AlarmTable, type Column } from "./AlarmTable";
import styles from "./alarms.module.css";
import { useSpan } from "./facts";
import { useChoice } from "./useChoice";
import { useMatching } from "./useMatching";
import { useRowKeys } from "./useRowKeys";

const STATES = ["shelved", "suppressed", "out-of-service"] as const;
const HERE = ["unshelve", "return"] as const satisfies readonly Act[];

export function Quiet() {
  const t = useT();
  const title = useTitle();
  const navigate = useNavigate();
  const { may } = useSession();
  const [state, setState] = useState("");
  const [text, setText] = useState("");
  const [asking, setAsking] = useState<Act | null>(null);
  const { data, error } = useQuery(alarmsQuery);
  const all = useQuietAlarms();
  const { matching, names } = useMatching(all, text);
  const shown = useMemo(() => (state === "" ? matching : matching.filter((alarm) => alarm.state === state)), [matching, state]);
  const choice = useChoice(shown, HERE);
  useRowKeys((key) => {
    const alarm = shown[choice.at];
    if (key.toLowerCase() === "u") {
      const act = HERE.find((one) => choice.forAct(one).length > 0);
      if (act) setAsking(act);
    } else if (key === "Enter" && alarm) void navigate({ to: "/alarms", search: { tab: "quiet", alarm: alarm.rule } });
    else if (key === "Escape") choice.none();
    else return choice.key(key);
    return true;
  });
  const columns: readonly Column<AlarmAnswer>[] = [
    { name: "priority", head: t("alarms.priority"), cell: (alarm) => <><PriorityMark priority={alarm.priority} state={alarm.state} size={22} /><span>{t(`priority.${alarm.priority}`)}</span></> },
    {
      name: "message",
      head: t("alarms.message"),
      cell: (alarm) => (
        <Link to="/alarms" search={{ tab: "quiet", alarm: alarm.rule }}>
          {title(alarm.message, alarm.rule)}
        </Link>
      ),
    },
    { name: "asset", head: t("alarms.asset"), cell: (alarm) => title(names.get(alarm.asset), alarm.asset) },
    { name: "compare", head: t("alarms.beneath"), cell: (alarm) => (alarm.active ? <b>{t("alarms.holds")}</b> : t("alarms.holdsNot")) },
    { name: "state", head: t("alarms.why"), cell: (alarm) => <Why alarm={alarm} /> },
    { name: "time", head: t("alarms.until"), cell: (alarm) => <Until alarm={alarm} /> },
  ];
  return (
    <>
      <div className={styles.bar}>
        <SegmentedControl
          aria-label={t("alarms.state")}
          value={state}
          onChange={setState}
          data={[{ value: "", label: t("alarms.all", { n: all.length }) }, ...STATES.map((one) => ({ value: one, label: `${t(`alarmState.${one}`)} ${all.filter((alarm) => alarm.state === one).length}` }))]}
        />
        <TextInput aria-label={t("alarms.filter")} placeholder={t("alarms.filter")} value={text} onChange={(event) => setText(event.currentTarget.value)} className={styles.filter} />
        <div className={styles.actions}>
          <Button variant="default" disabled={!shown.some(choice.canSelect)} onClick={choice.all}>
            {t("alarms.selectAll")}
          </Button>
          {HERE.filter((one) => may(KINDS[one].right)).map((one) => {
            const n = choice.selected.filter(KINDS[one].fits).length;
            return (
              <Button key={one} variant="default" disabled={n === 0} onClick={() => setAsking(one)}>
                {t(`alarmActN.${one}`, { n })}
              </Button>
            );
          })}
        </div>
      </div>
      <Problem error={error} />
      <Panel label={t("alarms.quiet")}>
        {shown.length === 0 ? (
          <Empty>{!data ? t("state.loading") : all.length === 0 ? t("alarms.noneQuiet") : t("alarms.noneMatch")}</Empty>
        ) : (
          <AlarmTable label={t("alarms.quiet")} lines={shown} alarmOf={(alarm) => alarm} columns={columns} choice={choice} />
        )}
      </Panel>
      <p className={styles.keys}>
        {t("keys.quiet")}: <span className="code">↑ ↓ ␣ u ↵</span>
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

/** The state, and who said why; for one suppressed by design, the point that says so. */
export function Why({ alarm }: { alarm: AlarmAnswer }) {
  const t = useT();
  return (
    <>
      {t(`alarmState.${alarm.state}`)}
      {alarm.state === "suppressed" ? (
        alarm.suppressed_by !== null && (
          <small>
            <Link to="/explore/$" params={{ _splat: alarm.suppressed_by.slice(0, alarm.suppressed_by.lastIndexOf("/")) }} search={{ point: alarm.suppressed_by }}>
              {alarm.suppressed_by.slice(alarm.suppressed_by.lastIndexOf("/") + 1)}
            </Link>
          </small>
        )
      ) : (
        <small>
          {alarm.quiet_by}: {alarm.quiet_reason}
        </small>
      )}
    </>
  );
}

export function Until({ alarm }: { alarm: AlarmAnswer }) {
  const t = useT();
  const now = useNow();
  const words = useSpan();
  if (alarm.state === "out-of-service") return <>{t("alarms.untilReturned")}</>;
  if (alarm.state === "suppressed" || alarm.shelved_until === null) return <>{t("alarms.untilReleased")}</>;
  const at = parseTime(alarm.shelved_until);
  return (
    <>
      {until(at, now)}
      <small>
        {t("alarms.in", { span: words(Math.max(0, at - now)) })}
        {alarm.shelved_once && ` · ${t("alarms.orCleared")}`}
      </small>
    </>
  );
}
