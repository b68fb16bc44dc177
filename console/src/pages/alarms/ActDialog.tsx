/** One act on one or several alarms: what it is for, the words that it takes, and how far it is. */
import { Button, Checkbox, Modal, NativeSelect, Textarea } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import type { AlarmAnswer } from "../../api/client";
import { type Act, act, AT_ONCE, KINDS } from "../../app/alarmActs";
import { until } from "../../format/time";
import { useT, useTitle } from "../../i18n";
import { useNow } from "../../live/hooks";
import { parts, Problem } from "../../ui/Page";
import { PriorityMark } from "../../ui/Priority";
import { ProgressBar } from "../../ui/Progress";
import styles from "./alarms.module.css";

const BRIEF = 5;
const TEXT_MAX = 500;
/** Minutes that somebody may shelve for, as far as the classes allow. */
const SHELF_MIN = [15, 30, 60, 120, 240, 480, 720, 1_440] as const;

const durationText = (minutes: number) => (minutes % 60 === 0 ? `${minutes / 60}h` : `${minutes}m`);

interface ActDialogProps {
  kind: Act;
  alarms: readonly AlarmAnswer[];
  onClose: (done: boolean) => void;
}

export function ActDialog({ kind, alarms, onClose }: ActDialogProps) {
  const t = useT();
  const title = useTitle();
  const now = useNow();
  // What was asked for, though the list moves on meanwhile.
  const [kept] = useState(alarms);
  const [text, setText] = useState("");
  const [once, setOnce] = useState(false);
  const [done, setDone] = useState(0);
  const longestMin = Math.floor(Math.min(...kept.map((alarm) => alarm.handling.shelve_longest_s)) / 60);
  const choices = [...SHELF_MIN.filter((minutes) => minutes < longestMin), longestMin];
  const [minutes, setMinutes] = useState(Math.min(60, longestMin));
  const acknowledging = kind === "acknowledge";
  const needsText = KINDS[kind].reason || (acknowledging && kept.some((alarm) => alarm.handling.comment));
  const needsProof = kind === "remove" || (acknowledging && kept.some((alarm) => alarm.handling.proof));
  const missing = needsText && text.trim() === "";
  const run = useMutation({
    mutationFn: () => act(kind, kept.map((alarm) => alarm.rule), { text: text.trim(), ...(kind === "shelve" ? { ...(minutes > 0 ? { duration: durationText(minutes) } : {}), once } : {}) }, setDone),
    onSuccess: () => onClose(true),
  });
  const submit = () => {
    if (!missing && !run.isPending) run.mutate();
  };
  const words = { s: t("unit.s"), min: t("unit.min"), h: t("unit.h") };
  const long = (minutes_: number) => (minutes_ < 60 ? `${minutes_} ${words.min}` : `${Math.floor(minutes_ / 60)} ${words.h}${minutes_ % 60 ? ` ${minutes_ % 60} ${words.min}` : ""}`);
  return (
    <Modal opened onClose={() => onClose(false)} title={t(`alarmActTitle.${kind}`, { n: kept.length })} closeOnClickOutside={false} closeButtonProps={{ "aria-label": t("action.close") }}>
      <form
        className={parts.form}
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <ul className={styles.brief}>
          {kept.slice(0, BRIEF).map((alarm) => (
            <li key={alarm.rule}>
              <PriorityMark priority={alarm.priority} state="ack-active" size={18} /> {title(alarm.message, alarm.rule)}
            </li>
          ))}
          {kept.length > BRIEF && <li>{t("overview.moreAlarms", { n: kept.length - BRIEF })}</li>}
        </ul>
        <p>{t(`alarmActText.${kind}`)}</p>
        {kind === "shelve" && (
          <>
            <NativeSelect
              label={t("alarms.shelveFor")}
              description={t("alarms.shelveUntil", { at: until(now + minutes * 60_000, now) })}
              value={minutes}
              onChange={(event) => setMinutes(Number(event.currentTarget.value))}
              data={choices.map((one) => ({ value: String(one), label: one === longestMin ? t("alarms.shelveLongest", { span: long(one) }) : long(one) }))}
            />
            <Checkbox label={t("alarms.shelveOnce")} checked={once} onChange={(event) => setOnce(event.currentTarget.checked)} />
          </>
        )}
        <Textarea
          data-autofocus
          label={t(KINDS[kind].reason ? "alarms.reason" : needsText ? "alarms.commentNeeded" : "alarms.comment")}
          required={needsText}
          autosize
          minRows={2}
          maxLength={TEXT_MAX}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
          }}
        />
        {needsProof && <p>{t("alarms.proofNeeded")}</p>}
        <Problem error={run.error} />
        {run.isPending && kept.length > AT_ONCE && (
          <div role="status">
            <ProgressBar part={done / kept.length} label={t(`alarmAct.${kind}`)} />
            <p>{t("alarms.progress", { n: done, of: kept.length })}</p>
          </div>
        )}
        <div className={parts.formButtons}>
          <Button variant="default" onClick={() => onClose(false)}>
            {t("action.cancel")}
          </Button>
          <Button type="submit" loading={run.isPending} disabled={missing}>
            {t(`alarmAct.${kind}`)}
          </Button>
        </div>
      </form>
    </Modal>
  );
}
