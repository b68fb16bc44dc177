/** Change a setpoint in two steps: say what and why, then look once more and send. The device's answer closes it.
 *
 *     edit ──review──► confirm ──send──► requested → authorised → (a second person) → sent → confirmed (read-back)
 *                                                        └► refused or failed, with the reason
 */
import { Button, Modal, SegmentedControl, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ask, client, type CommandAnswer, type PointAnswer } from "../api/client";
import { WAITS } from "../app/guards";
import { formatShort, formatValue, parseNumber } from "../format/number";
import { moment, parseTime } from "../format/time";
import { displayUnit } from "../format/unit";
import { type Key, useT, useTitle } from "../i18n";
import { Icon } from "../ui/Icon";
import { Problem } from "../ui/Page";
import { LiveValue, QualitySymbol } from "../ui/Value";
import { Conditions, useConditions } from "./Conditions";
import styles from "./write.module.css";

const STEPS = ["requested", "authorised", "sent", "confirmed"] as const;
const CRITICAL_STEPS = ["requested", "authorised", WAITS, "sent", "confirmed"] as const;
const POLL_MS = 300;

export function WriteDialog({ point, onClose }: { point: PointAnswer; onClose: () => void }) {
  const t = useT();
  const title = useTitle();
  const [text, setText] = useState("");
  const [reason, setReason] = useState("");
  const [step, setStep] = useState<"edit" | "confirm" | "sent">("edit");
  const parsed = parseEntry(point, text);
  const range = point.write_range;
  const conditions = useConditions(point.path);
  const barred = (conditions?.locks.length ?? 0) > 0 || (conditions?.waiting ?? null) !== null;
  const send = useMutation({
    mutationFn: () =>
      ask(client.POST("/api/v1/writes", { body: { path: point.path, value: parsed.value as number, reason: reason.trim() } })),
  });
  const unit = displayUnit(point.unit);
  const shownValue = formatValue(parsed.value ?? null, point.kind, point.decimals);
  const outside =
    range && typeof parsed.value === "number" && (parsed.value < range.low || parsed.value > range.high)
      ? t("write.outside", { low: formatShort(range.low), high: formatShort(range.high), unit })
      : undefined;
  const wrong = text !== "" && parsed.value === undefined ? t("write.notANumber") : outside;
  const ready = parsed.value !== undefined && !wrong && reason.trim() !== "";
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (step === "edit" && ready) setStep("confirm");
    else if (step === "confirm") {
      setStep("sent");
      send.mutate();
    }
  };
  return (
    <Modal
      opened
      onClose={onClose}
      title={t("write.title", { point: title(point.title, point.path) })}
      closeOnClickOutside={false}
      closeButtonProps={{ "aria-label": t("action.close") }}
    >
      <form onSubmit={submit} className={styles.form}>
        <div className={styles.path}>{point.path}</div>
        <div className={styles.now}>
          <span>{t("write.now")}</span>
          <LiveValue point={point} size={20} />
          {step !== "edit" && (
            <>
              <Icon name="right" />
              <span className={styles.next}>
                {shownValue} <small>{unit}</small>
              </span>
            </>
          )}
        </div>
        {step !== "sent" && <Conditions point={point} conditions={conditions} />}
        {step === "edit" && (
          <>
            {point.kind === "bool" ? (
              <SegmentedControl
                aria-label={t("write.value")}
                value={text}
                onChange={setText}
                data={[
                  { value: "0", label: t("value.off") },
                  { value: "1", label: t("value.on") },
                ]}
              />
            ) : (
              <TextInput
                label={t("write.value")}
                description={range ? t("write.range", { low: formatShort(range.low), high: formatShort(range.high), unit }) : undefined}
                inputMode={point.kind === "text" ? "text" : "decimal"}
                autoComplete="off"
                data-autofocus
                rightSection={<span className={styles.unit}>{unit}</span>}
                rightSectionWidth={unit.length * 9 + 20}
                value={text}
                onChange={(event) => setText(event.currentTarget.value)}
                error={wrong}
              />
            )}
            <Textarea
              label={t("write.reason")}
              description={t("write.reasonHint")}
              required
              autosize
              minRows={2}
              maxLength={2000}
              value={reason}
              onChange={(event) => setReason(event.currentTarget.value)}
            />
            <div className={styles.buttons}>
              <Button variant="default" onClick={onClose}>
                {t("action.cancel")}
              </Button>
              <Button type="submit" disabled={!ready || barred}>
                {t("write.review")}
              </Button>
            </div>
          </>
        )}
        {step === "confirm" && (
          <>
            <p className={styles.check}>{t(point.critical ? "write.confirmCritical" : "write.confirmText", { value: `${shownValue} ${unit}`.trim(), connection: point.connection ?? "—" })}</p>
            <p className={styles.reason}>{reason}</p>
            <div className={styles.buttons}>
              <Button variant="default" onClick={() => setStep("edit")}>
                {t("action.back")}
              </Button>
              <Button type="submit" data-autofocus autoFocus>
                {t(point.critical ? "write.ask" : "write.send")}
              </Button>
            </div>
          </>
        )}
        {step === "sent" && (
          <>
            <Progress point={point} pending={send.isPending} command={send.data} />
            <Problem error={send.error} />
            <div className={styles.buttons}>
              {!send.isPending && send.data?.state !== "confirmed" && send.data?.state !== WAITS && (
                <Button
                  variant="default"
                  onClick={() => {
                    send.reset();
                    setStep("edit");
                  }}
                >
                  {t("write.again")}
                </Button>
              )}
              <Button onClick={onClose} disabled={send.isPending} variant={send.data?.state === "confirmed" ? "filled" : "default"}>
                {t("action.close")}
              </Button>
            </div>
          </>
        )}
      </form>
    </Modal>
  );
}

function parseEntry(point: PointAnswer, text: string): { value: number | string | boolean | undefined } {
  if (text === "") return { value: undefined };
  if (point.kind === "bool") return { value: text === "1" };
  if (point.kind === "text") return { value: text };
  return { value: parseNumber(text, point.kind) };
}

/** The life of the command; while it is under way the server is asked how far it has come. */
function Progress({ point, pending, command }: { point: PointAnswer; pending: boolean; command: CommandAnswer | undefined }) {
  const t = useT();
  const { data: latest } = useQuery({
    queryKey: ["write", point.path],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/writes", { params: { query: { path: point.path, limit: 1 } }, signal })),
    enabled: pending || command?.state === WAITS,
    refetchInterval: POLL_MS,
    staleTime: 0,
    gcTime: 0,
  });
  const newest = latest?.[0];
  const underWay = newest && newest.finished_at === null ? newest : undefined;
  // A critical one is answered while it waits: what became of it is asked for.
  const answer = command?.state === WAITS && newest?.id === command.id ? newest : command;
  const state = answer?.state ?? underWay?.state ?? "requested";
  const steps = point.critical ? CRITICAL_STEPS : STEPS;
  const ended = state === "refused" || state === "failed";
  const reached = ended ? -1 : (steps as readonly string[]).indexOf(state);
  return (
    <>
      <ol className={styles.steps} aria-label={t("write.progress")}>
        {steps.map((name, index) => (
          <li key={name} data-done={index <= reached} data-now={(pending || state === WAITS) && index === reached + 1}>
            <span aria-hidden="true">{index <= reached ? <Icon name="check" size={14} /> : index + 1}</span>
            {t(`command.${name}`)}
          </li>
        ))}
      </ol>
      <div role="status" aria-live="polite">
        {answer && (
          <div className={styles.outcome} data-state={answer.state}>
            {ended ? <QualitySymbol look="bad" size={18} /> : <Icon name={state === WAITS ? "user" : "check"} size={18} />}
            <div>
              <strong>{t(`command.${answer.state}` as Key)}</strong>
              {answer.detail && <p>{answer.detail}</p>}
              {state === WAITS && <p>{t("write.waits", { time: moment(parseTime(answer.expires_at)) })}</p>}
              {answer.approver && <p>{t("write.approvedBy", { approver: answer.approver })}</p>}
              {answer.read_back !== null && (
                <p>
                  {t("write.readBack")}{" "}
                  <b>
                    {formatValue(answer.read_back, point.kind, point.decimals)} {displayUnit(point.unit)}
                  </b>
                </p>
              )}
            </div>
          </div>
        )}
      </div>
    </>
  );
}
