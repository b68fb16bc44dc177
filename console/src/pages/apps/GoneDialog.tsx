/** Stop an app for the firm, or take it from the platform: and what becomes of its data, which is asked twice where it goes. */
import { Button, Modal, Radio, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { proven } from "../../app/FreshProof";
import { queryClient } from "../../api/queries";
import { useT } from "../../i18n";
import { parts, Problem } from "../../ui/Page";
import styles from "./apps.module.css";

type Data = "keep" | "delete";

interface GoneDialogProps {
  name: string;
  title: string;
  button: string;
  text?: ReactNode;
  done: string;
  act: (data: Data) => Promise<unknown>;
  onClose: (done?: string) => void;
}

export function GoneDialog({ name, title, button, text, done, act, onClose }: GoneDialogProps) {
  const t = useT();
  const [data, setData] = useState<Data>("keep");
  const [typed, setTyped] = useState("");
  const run = useMutation({
    mutationFn: () => proven(() => act(data)),
    onSuccess: async () => {
      await Promise.all(["apps", "app-shelf", "app-pages"].map((key) => queryClient.invalidateQueries({ queryKey: [key] })));
      onClose(done);
    },
  });
  const sure = data === "keep" || typed.trim() === name;
  return (
    <Modal opened onClose={() => onClose()} title={title} closeOnClickOutside={false} closeButtonProps={{ "aria-label": t("action.close") }}>
      <form
        className={parts.form}
        onSubmit={(event) => {
          event.preventDefault();
          if (sure && !run.isPending) run.mutate();
        }}
      >
        {text !== undefined && <p>{text}</p>}
        <Radio.Group label={t("apps.data")} value={data} onChange={(value) => setData(value as Data)}>
          <div className={styles.choices}>
            <Radio value="keep" label={t("apps.data.keep")} data-autofocus />
            <Radio value="delete" label={t("apps.data.delete")} />
          </div>
        </Radio.Group>
        {data === "delete" && (
          <>
            <p>{t("apps.dataGone")}</p>
            <TextInput label={t("apps.typeName", { name })} value={typed} onChange={(event) => setTyped(event.currentTarget.value)} autoComplete="off" />
          </>
        )}
        <Problem error={run.error} />
        <div className={parts.formButtons}>
          <Button variant="default" onClick={() => onClose()}>
            {t("action.cancel")}
          </Button>
          <Button type="submit" variant="outline" color="var(--danger)" disabled={!sure} loading={run.isPending}>
            {button}
          </Button>
        </div>
      </form>
    </Modal>
  );
}
