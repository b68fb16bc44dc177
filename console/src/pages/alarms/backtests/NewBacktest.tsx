/** Which rules, over which stretch: as they are declared, or as they would be with one changed file. Nothing is applied. */
import { Button, NativeSelect, SegmentedControl, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { lazy, Suspense, useState } from "react";
import { ApiError, ask, client } from "../../../api/client";
import { declarationsQuery, queryClient } from "../../../api/queries";
import { HOUR, localInput, parseLocal, rfc3339 } from "../../../format/time";
import { useT } from "../../../i18n";
import { Empty, Panel, Problem } from "../../../ui/Page";
import styles from "./backtests.module.css";
import { RulePicker } from "./RulePicker";

const Editor = lazy(() => import("../../engineering/Editor").then((m) => ({ default: m.Editor })));

const SPANS = [
  { key: "8h", hours: 8 },
  { key: "1d", hours: 24 },
  { key: "1w", hours: 168 },
  { key: "30d", hours: 720 },
] as const;
const OWN = "own";

export function NewBacktest() {
  const t = useT();
  const navigate = useNavigate();
  const [source, setSource] = useState("declared");
  const [rules, setRules] = useState<readonly string[]>([]);
  const [span, setSpan] = useState<string>("1d");
  const [from, setFrom] = useState(() => localInput(Date.now() - 24 * HOUR));
  const [to, setTo] = useState(() => localInput(Date.now()));
  const { data: declared, error } = useQuery({ ...declarationsQuery, enabled: source === "changed" });
  const [file, setFile] = useState<{ name: string; text: string } | null>(null);
  const edited = file ?? declared?.files.find((one) => one.text.includes("alarms:")) ?? declared?.files[0] ?? null;
  const hours = SPANS.find((one) => one.key === span)?.hours;
  const [start, end] = hours === undefined ? [parseLocal(from), parseLocal(to)] : [null, null];
  const wrong = start !== null && (Number.isNaN(start) || Number.isNaN(end) || end <= start);
  const run = useMutation({
    mutationFn: () =>
      ask(
        client.POST("/api/v1/backtests", {
          body: {
            rules: [...rules],
            files: source === "changed" && edited ? [edited] : [],
            ...(start === null ? { start: `now-${hours}h` } : { start: rfc3339(start), end: rfc3339(end) }),
          },
        }),
      ),
    onSuccess: async (made) => {
      await queryClient.invalidateQueries({ queryKey: ["backtests"] });
      await navigate({ to: "/alarms", search: { tab: "backtests", test: made.id } });
    },
  });
  const errors = run.error instanceof ApiError ? (run.error.errors ?? []) : [];
  return (
    <Panel title={t("backtest.new")}>
      <form
        className={styles.new}
        onSubmit={(event) => {
          event.preventDefault();
          if (!wrong) run.mutate();
        }}
      >
        <p>{t("backtest.text")}</p>
        <SegmentedControl
          aria-label={t("backtest.source")}
          value={source}
          onChange={(value) => {
            setSource(value);
            run.reset();
          }}
          data={[
            { value: "declared", label: t("backtest.declared") },
            { value: "changed", label: t("backtest.changed") },
          ]}
        />
        {source === "changed" && (
          <>
            <Problem error={error} />
            {edited ? (
              <>
                <NativeSelect
                  label={t("engineering.files")}
                  value={edited.name}
                  onChange={(event) => setFile(declared?.files.find((one) => one.name === event.currentTarget.value) ?? null)}
                  data={(declared?.files ?? []).map((one) => one.name)}
                />
                <div className={styles.editor}>
                  <Suspense fallback={<Empty>{t("state.loading")}</Empty>}>
                    <Editor key={edited.name} name={edited.name} text={edited.text} readOnly={false} errors={errors.filter((one) => one.file === edited.name)} place={null} onChange={(text) => setFile({ name: edited.name, text })} />
                  </Suspense>
                </div>
                <p>{t("backtest.beside")}</p>
              </>
            ) : (
              <Empty>{declared ? t("engineering.noFiles") : t("state.loading")}</Empty>
            )}
          </>
        )}
        <RulePicker rules={rules} onChange={setRules} all={t("backtest.allRules")} some={t("backtest.someRules", { n: rules.length })} find={t("backtest.find")} />
        <div className={styles.stretch}>
          <SegmentedControl
            aria-label={t("trend.span")}
            value={span}
            onChange={setSpan}
            data={[...SPANS.map((one) => ({ value: one.key as string, label: t(`trend.quick.${one.key}`) })), { value: OWN, label: t("backtest.own") }]}
          />
          {span === OWN && (
            <>
              <TextInput type="datetime-local" label={t("audit.from")} value={from} onChange={(event) => setFrom(event.currentTarget.value)} />
              <TextInput type="datetime-local" label={t("audit.to")} value={to} onChange={(event) => setTo(event.currentTarget.value)} error={wrong ? t("backtest.order") : undefined} />
            </>
          )}
          <Button type="submit" loading={run.isPending} disabled={wrong || (source === "changed" && !edited)}>
            {t("backtest.start")}
          </Button>
        </div>
        <Problem error={run.error} />
        {errors.length > 0 && (
          <ul className={styles.errors}>
            {errors.map((one) => (
              <li key={`${one.file}${one.line}${one.message}`}>
                <span className="code">{[one.file, one.line, one.column].filter((part) => part !== null).join(":")}</span> {one.message}
              </li>
            ))}
          </ul>
        )}
      </form>
    </Panel>
  );
}
