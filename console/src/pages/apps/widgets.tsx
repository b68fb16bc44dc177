/** Widgets, kind by kind. What is asked for and does not come is said; what came before stays, marked as old. */
import { Button } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { type ColumnAnswer, type WidgetAnswer } from "../../api/client";
import { queryClient } from "../../api/queries";
import { callApp, routeAddress } from "../../apps/calls";
import { clock } from "../../format/time";
import { useT, useTitle } from "../../i18n";
import { Empty, Panel, parts, Problem } from "../../ui/Page";
import { QualitySymbol } from "../../ui/Value";
import { useAssetTitle } from "../access/AssetPicker";
import styles from "./apps.module.css";
import { blank, type Drafts, valuesOf, type Wrong } from "./drafts";
import { Fields } from "./Fields";
import { TrendWidget } from "./TrendWidget";
import { pick, rowsOf, shown } from "./values";

const ROWS_MAX = 500;
const RETRY_MS = 15_000;

export interface WidgetProps {
  app: string;
  widget: WidgetAnswer;
  inputs: Readonly<Record<string, string>>;
  refreshS: number;
  onDone: (text: string) => void;
}

export function Widget(props: WidgetProps) {
  switch (props.widget.kind) {
    case "trend":
      return <TrendWidget {...props} />;
    case "form":
    case "button":
      return <ActWidget {...props} />;
    case "text":
      return props.widget.source === "" ? <PlainText widget={props.widget} /> : <Sourced {...props} />;
    default:
      return <Sourced {...props} />;
  }
}

function PlainText({ widget }: { widget: WidgetAnswer }) {
  const title = useTitle();
  const name = title(widget.title, "");
  return (
    <Panel {...(name === "" ? {} : { title: name })}>
      <p className={styles.text}>{title(widget.text, "")}</p>
    </Panel>
  );
}

/** What a GET route of the app answers. */
function Sourced({ app, widget, inputs, refreshS }: WidgetProps) {
  const t = useT();
  const title = useTitle();
  const { data, error, dataUpdatedAt, failureCount } = useQuery({
    queryKey: ["app-source", app, widget.source, inputs],
    queryFn: async ({ signal }) => (await callApp(app, "GET", widget.source, { query: inputs, signal })).data ?? null,
    staleTime: 1_000,
    refetchInterval: (query) => (query.state.error ? RETRY_MS : refreshS > 0 ? refreshS * 1_000 : false),
  });
  const name = title(widget.title, widget.source);
  const link = (
    <a className={styles.source} href={routeAddress(app, widget.source, inputs)} target="_blank" rel="noreferrer" aria-label={t("page.source", { title: name })} title={t("page.source", { title: name })}>
      {name}
    </a>
  );
  const stale = data !== undefined && (error !== null || failureCount > 0);
  const aside = dataUpdatedAt > 0 && (
    <small className={styles.asOf} data-stale={stale}>
      {stale && <QualitySymbol look="stale" size={12} />} {t(stale ? "page.stale" : "page.asOf", { time: clock(dataUpdatedAt) })}
    </small>
  );
  return (
    <Panel title={link} aside={aside} label={name}>
      <div className={styles.widget} data-widget={widget.kind}>
        {data === undefined ? error ? <Problem error={error} /> : <Empty>…</Empty> : <Drawn app={app} widget={widget} inputs={inputs} answer={data} />}
      </div>
    </Panel>
  );
}

function useShown() {
  const t = useT();
  const words = { s: t("unit.s"), min: t("unit.min"), h: t("unit.h"), d: t("unit.d") };
  return (value: unknown, as: Pick<ColumnAnswer, "kind" | "unit" | "decimals">) => shown(value, as, words);
}

function Drawn({ app, widget, inputs, answer }: Pick<WidgetProps, "app" | "widget" | "inputs"> & { answer: unknown }) {
  const t = useT();
  const show = useShown();
  const missing = (field: string) => <Empty>{t("page.missing", { field })}</Empty>;
  if (widget.kind === "table" || widget.kind === "bar") {
    const rows = rowsOf(answer, widget.rows);
    if (rows === undefined) return missing(widget.rows || "[]");
    if (rows.length === 0) return <Empty>{t("page.noRows")}</Empty>;
    return widget.kind === "table" ? <Table widget={widget} rows={rows} /> : <Bars widget={widget} rows={rows} />;
  }
  const value = pick(answer, widget.value);
  if (value === undefined) return missing(widget.value);
  if (widget.kind === "text") return <p className={styles.text}>{String(value ?? "—")}</p>;
  if (value === null) return <Empty>{t("page.noData")}</Empty>;
  const { text, unit } = show(value, { ...widget, kind: "number" });
  return (
    <a className={styles.number} href={routeAddress(app, widget.source, inputs)} target="_blank" rel="noreferrer">
      <strong>{text}</strong> {unit}
    </a>
  );
}

function Table({ widget, rows }: { widget: WidgetAnswer; rows: readonly unknown[] }) {
  const t = useT();
  const title = useTitle();
  const numeric = (column: ColumnAnswer) => column.kind === "number" || column.kind === "percent" || column.kind === "duration";
  return (
    <>
      <div className={parts.scroll} tabIndex={0} role="region" aria-label={title(widget.title, widget.source)}>
        <table className={parts.table}>
          <thead>
            <tr>
              {widget.columns.map((column) => (
                <th key={column.field} scope="col" className={numeric(column) ? parts.num : undefined}>
                  {title(column.title, column.field)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, ROWS_MAX).map((row, at) => (
              // oxlint-disable-next-line no-array-index-key
              <tr key={at}>
                {widget.columns.map((column) => (
                  <td key={column.field} className={numeric(column) ? parts.num : undefined}>
                    <Cell column={column} value={pick(row, column.field)} />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > ROWS_MAX && <p className={styles.hint}>{t("page.rows", { shown: ROWS_MAX, n: rows.length })}</p>}
    </>
  );
}

function Cell({ column, value }: { column: ColumnAnswer; value: unknown }): ReactNode {
  const show = useShown();
  const assetTitle = useAssetTitle();
  if (column.kind === "asset" && typeof value === "string" && value !== "") {
    return (
      <Link to="/explore/$" params={{ _splat: value }} search={{}} title={value}>
        {assetTitle(value)}
      </Link>
    );
  }
  const { text, unit } = show(value, column);
  return (
    <>
      {text}
      {unit !== "" && <small className={styles.unit}> {unit}</small>}
    </>
  );
}

function Bars({ widget, rows }: { widget: WidgetAnswer; rows: readonly unknown[] }) {
  const show = useShown();
  const assetTitle = useAssetTitle();
  const bars = rows.slice(0, ROWS_MAX).map((row) => ({ label: String(pick(row, widget.label) ?? "—"), value: pick(row, widget.value) }));
  const most = Math.max(...bars.map(({ value }) => (typeof value === "number" ? Math.abs(value) : 0)), 0) || 1;
  return (
    <ul className={styles.bars}>
      {bars.map(({ label, value }, at) => {
        const { text, unit } = show(value, { ...widget, kind: "number" });
        return (
          // oxlint-disable-next-line no-array-index-key
          <li key={at}>
            <span title={label}>{assetTitle(label)}</span>
            <span className={styles.bar} aria-hidden>
              <span style={{ width: `${typeof value === "number" ? (Math.abs(value) / most) * 100 : 0}%` }} />
            </span>
            <span className={parts.num}>
              {text} <small className={styles.unit}>{unit}</small>
            </span>
          </li>
        );
      })}
    </ul>
  );
}

/** A form or a button: what changes something, asked once more where the app says so. */
function ActWidget({ app, widget, inputs, onDone }: WidgetProps) {
  const t = useT();
  const title = useTitle();
  const begin = () => Object.fromEntries(widget.fields.map((one) => [one.name, blank(one)]));
  const [drafts, setDrafts] = useState<Drafts>(begin);
  const [wrong, setWrong] = useState<readonly Wrong[]>([]);
  const [asked, setAsked] = useState(false);
  const name = title(widget.title, "") || title(widget.button, widget.path);
  const confirm = title(widget.confirm, "");
  const run = useMutation({
    mutationFn: (body: Record<string, unknown>) => callApp(app, widget.method ?? "POST", widget.path, { query: inputs, body }),
    onSettled: () => setAsked(false),
    onSuccess: async () => {
      setDrafts(begin());
      await queryClient.invalidateQueries({ queryKey: ["app-source", app] });
      onDone(t("page.done", { title: name }));
    },
  });
  const submit = () => {
    const found = valuesOf(widget.fields, drafts);
    setWrong(found.wrong);
    if (found.wrong.length > 0 || run.isPending) return;
    if (confirm !== "" && !asked) setAsked(true);
    else run.mutate(found.values);
  };
  return (
    <Panel label={name} {...(Object.keys(widget.title).length > 0 ? { title: name } : {})}>
      <form
        className={`${parts.form} ${styles.widget} ${styles.act}`}
        data-widget={widget.kind}
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <Fields form={widget.fields} drafts={drafts} wrong={wrong} onChange={setDrafts} />
        {asked && <p role="alert">{confirm}</p>}
        <Problem error={run.error} />
        <div className={styles.acts}>
          <Button type="submit" loading={run.isPending} {...(asked ? { color: "var(--danger)", variant: "outline" } : {})}>
            {asked ? t("page.sure") : title(widget.button, widget.path)}
          </Button>
          {asked && (
            <Button variant="default" onClick={() => setAsked(false)}>
              {t("action.cancel")}
            </Button>
          )}
        </div>
      </form>
    </Panel>
  );
}
