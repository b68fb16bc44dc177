/** The settings of an app that is enabled, or was. */
import { Button } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { type AppAnswer, ask, client, type SettingsAnswer } from "../../api/client";
import { queryClient } from "../../api/queries";
import { appSettingsQuery } from "../../apps/queries";
import { useT, useTitle } from "../../i18n";
import { Empty, parts, Problem } from "../../ui/Page";
import styles from "./apps.module.css";
import { Fields } from "./Fields";
import { useForm } from "./useForm";

interface SettingsProps {
  app: AppAnswer;
  onDone: (text: string) => void;
}

export function Settings({ app, onDone }: SettingsProps) {
  const t = useT();
  // What is being typed is not replaced by what comes.
  const { data, error, dataUpdatedAt } = useQuery({ ...appSettingsQuery(app.name), refetchOnReconnect: false });
  if (error && !data) return <Problem error={error} />;
  if (!data) return <Empty>…</Empty>;
  if (data.form.length === 0) return <Empty>{t("apps.settings.none")}</Empty>;
  return <Form key={dataUpdatedAt} app={app} answer={data} onDone={onDone} />;
}

function Form({ app, answer, onDone }: SettingsProps & { answer: SettingsAnswer }) {
  const t = useT();
  const title = useTitle();
  const form = useForm(answer);
  const [atFields, setAtFields] = useState(false);
  const run = useMutation({
    mutationFn: (values: Record<string, unknown>) => ask(client.PUT("/api/v1/apps/{name}/settings", { params: { path: { name: app.name } }, body: { values } })),
    onSuccess: (now) => {
      form.reset();
      queryClient.setQueryData(appSettingsQuery(app.name).queryKey, now);
      onDone(t("apps.settings.saved", { app: title(app.title, app.name) }));
    },
    onError: (error) => setAtFields(form.refused(error)),
  });
  return (
    <form
      className={`${parts.form} ${styles.settings}`}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        const values = form.check();
        if (values !== null && !run.isPending) run.mutate(values);
      }}
    >
      <Fields {...form.fields} />
      {form.wrong.length > 0 && <p role="alert" className={styles.error}>{t("apps.settings.wrong", { n: form.wrong.length })}</p>}
      <Problem error={atFields ? null : run.error} />
      <div className={parts.formButtons}>
        <Button type="submit" loading={run.isPending}>
          {t("apps.settings.save")}
        </Button>
      </div>
    </form>
  );
}
