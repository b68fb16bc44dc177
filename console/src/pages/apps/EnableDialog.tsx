/** What an app asks for, in words, and its settings: nothing runs before both are agreed to. Also where an update asks for more. */
import { Button, Checkbox, Modal } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { type AppAnswer, ask, client, type SettingsAnswer } from "../../api/client";
import { queryClient } from "../../api/queries";
import { proven } from "../../app/FreshProof";
import { appSettingsQuery } from "../../apps/queries";
import { useT, useTitle } from "../../i18n";
import { Empty, parts, Problem } from "../../ui/Page";
import styles from "./apps.module.css";
import { Fields } from "./Fields";
import { Grants } from "./Grants";
import { useForm } from "./useForm";

interface EnableDialogProps {
  app: AppAnswer;
  onClose: (done?: string) => void;
}

export function EnableDialog({ app, onClose }: EnableDialogProps) {
  const t = useT();
  const title = useTitle();
  const { data, error } = useQuery(appSettingsQuery(app.name));
  const said = { app: title(app.title, app.name), version: app.offered };
  return (
    <Modal
      opened
      size={760}
      onClose={() => onClose()}
      title={t(app.accepted === null ? "apps.enableTitle" : "apps.updateTitle", said)}
      closeOnClickOutside={false}
      closeButtonProps={{ "aria-label": t("action.close") }}
    >
      <Problem error={error} />
      {data ? <Agreement app={app} answer={data} onClose={onClose} /> : !error && <Empty>…</Empty>}
    </Modal>
  );
}

function Agreement({ app, answer, onClose }: EnableDialogProps & { answer: SettingsAnswer }) {
  const t = useT();
  const title = useTitle();
  const [agreed, setAgreed] = useState(false);
  const form = useForm(answer);
  const [atFields, setAtFields] = useState(false);
  const name = title(app.title, app.name);
  const run = useMutation({
    mutationFn: (settings: Record<string, unknown>) => proven(() => ask(client.POST("/api/v1/apps/{name}/enable", { params: { path: { name: app.name } }, body: { version: app.offered, settings } }))),
    onSuccess: async (now) => {
      await Promise.all([queryClient.invalidateQueries({ queryKey: ["apps"] }), queryClient.invalidateQueries({ queryKey: ["app-pages"] })]);
      onClose(t("apps.enabled", { app: name, version: now.version }));
    },
    onError: (error) => setAtFields(error === null || form.refused(error)),
  });
  return (
    <form
      className={parts.form}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        const settings = form.check();
        if (settings !== null && agreed && !run.isPending) run.mutate(settings);
      }}
    >
      <section className={styles.asked} aria-label={t("apps.asked")}>
        <h3>{t("apps.asked")}</h3>
        <Grants asked={app.permissions} before={app.accepted} memoryMb={app.memory_mb} callS={app.call_s} />
      </section>
      {answer.form.length > 0 && <h3>{t("apps.tab.settings")}</h3>}
      <Fields {...form.fields} />
      {form.wrong.length > 0 && <p role="alert" className={styles.error}>{t("apps.settings.wrong", { n: form.wrong.length })}</p>}
      <Problem error={atFields ? null : run.error} />
      <Checkbox checked={agreed} onChange={(event) => setAgreed(event.currentTarget.checked)} label={t("apps.accept", { app: name })} />
      <div className={parts.formButtons}>
        <Button variant="default" onClick={() => onClose()}>
          {t("action.cancel")}
        </Button>
        <Button type="submit" disabled={!agreed} loading={run.isPending}>
          {t("apps.acceptAndRun")}
        </Button>
      </div>
    </form>
  );
}
