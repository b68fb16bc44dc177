/** A page of widgets: rows as the app declares them, inputs above them, and every number with the way to its source. */
import { Button, Select, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import type { AppPageAnswer, InputAnswer } from "../../api/client";
import { queryClient } from "../../api/queries";
import { widgetsQuery } from "../../apps/queries";
import { useT, useTitle } from "../../i18n";
import { Icon } from "../../ui/Icon";
import { Empty, Page, Problem } from "../../ui/Page";
import { AssetPicker } from "../access/AssetPicker";
import styles from "./apps.module.css";
import { Later } from "./Later";
import { Widget } from "./widgets";

export function WidgetPage({ page }: { page: AppPageAnswer }) {
  const t = useT();
  const title = useTitle();
  const navigate = useNavigate();
  const search = useSearch({ from: "/shell/apps/$name/$page" });
  const { data, error } = useQuery(widgetsQuery(page.app, page.name));
  const [done, setDone] = useState("");
  const inputs = Object.fromEntries((data?.inputs ?? []).map((one) => [one.name, search[one.name] ?? one.default]));
  const choose = (name: string, value: string) => void navigate({ to: "/apps/$name/$page", params: { name: page.app, page: page.name }, search: { ...search, [name]: value }, replace: true });
  return (
    <Page
      title={title(page.title, page.name)}
      aside={
        <Button size="xs" variant="default" leftSection={<Icon name="refresh" size={14} />} onClick={() => void queryClient.invalidateQueries({ queryKey: ["app-source", page.app] })}>
          {t("page.refresh")}
        </Button>
      }
    >
      <Later app={page.app} />
      <p role="status" className={styles.done}>{done}</p>
      <Problem error={data ? null : error} />
      {!data && !error && <Empty>…</Empty>}
      {data && data.inputs.length > 0 && (
        <div className={styles.inputs}>
          {data.inputs.map((one) => (
            <Input key={one.name} input={one} value={inputs[one.name] ?? ""} onChange={(value) => choose(one.name, value)} />
          ))}
        </div>
      )}
      {data?.rows.map((row, at) => (
        // Rows and widgets are known by their place alone.
        // oxlint-disable-next-line no-array-index-key
        <div key={at} className={styles.widgets}>
          {row.map((widget, number) => (
            // oxlint-disable-next-line no-array-index-key
            <Widget key={number} app={page.app} widget={widget} inputs={inputs} refreshS={data.refresh_s} onDone={setDone} />
          ))}
        </div>
      ))}
    </Page>
  );
}

function Input({ input, value, onChange }: { input: InputAnswer; value: string; onChange: (value: string) => void }) {
  const title = useTitle();
  const label = title(input.title, input.name);
  if (input.kind === "choice") return <Select label={label} data={[...input.choices]} value={value || null} onChange={(chosen) => onChange(chosen ?? "")} />;
  if (input.kind === "asset") return <AssetPicker label={label} clearable value={value} onChange={onChange} />;
  return <TextInput label={label} type={input.kind === "date" ? "date" : "text"} value={value} onChange={(event) => onChange(event.currentTarget.value)} />;
}
