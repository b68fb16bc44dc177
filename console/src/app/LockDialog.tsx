/** Stop all writes, and let them go on: each with a reason that the audit trail keeps. */
import { Button, Modal, NativeSelect, Textarea } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";
import type { LockAnswer } from "../api/client";
import { assetsQuery } from "../api/queries";
import { useT, useTitle } from "../i18n";
import { Problem } from "../ui/Page";
import styles from "../write/write.module.css";
import { lock as lockWrites, release } from "./guards";

export function LockDialog({ onClose }: { onClose: () => void }) {
  const t = useT();
  const title = useTitle();
  const { data: assets } = useQuery(assetsQuery);
  const [path, setPath] = useState("");
  const places = (assets ?? []).filter((asset) => asset.points > 0 && asset.path !== "system");
  return (
    <ReasonDialog title={t("lock.title")} text={t("lock.text")} action={t("lock.lock")} danger required onClose={onClose} run={(reason) => lockWrites(path, reason)}>
      <NativeSelect
        label={t("lock.where")}
        value={path}
        onChange={(event) => setPath(event.currentTarget.value)}
        data={[{ value: "", label: t("lock.all") }, ...places.map((asset) => ({ value: asset.path, label: `${title(asset.title, asset.path)} · ${asset.path}` }))]}
      />
    </ReasonDialog>
  );
}

export function ReleaseDialog({ lock, onClose }: { lock: LockAnswer; onClose: () => void }) {
  const t = useT();
  return (
    <ReasonDialog title={t("lock.releaseTitle")} text={t("lock.releaseText")} action={t("lock.release")} required onClose={onClose} run={(reason) => release(lock.id, reason)}>
      <p className={styles.reason}>
        {lock.path || t("lock.all")}
        <br />
        {lock.reason} · {lock.locked_by}
      </p>
    </ReasonDialog>
  );
}

/** One question, one reason, one act. */
export function ReasonDialog({
  title,
  text,
  action,
  danger = false,
  required = false,
  run,
  onClose,
  children,
}: {
  title: string;
  text: string;
  action: string;
  danger?: boolean;
  required?: boolean;
  run: (reason: string) => Promise<unknown>;
  onClose: () => void;
  children?: ReactNode;
}) {
  const t = useT();
  const [reason, setReason] = useState("");
  const act = useMutation({ mutationFn: () => run(reason.trim()), onSuccess: onClose });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!required || reason.trim() !== "") act.mutate();
  };
  return (
    <Modal opened onClose={onClose} title={title} closeOnClickOutside={false} closeButtonProps={{ "aria-label": t("action.close") }}>
      <form onSubmit={submit} className={styles.form}>
        <p className={styles.check}>{text}</p>
        {children}
        <Textarea
          label={t("write.reason")}
          description={t("write.reasonHint")}
          required={required}
          autosize
          minRows={2}
          maxLength={500}
          data-autofocus
          value={reason}
          onChange={(event) => setReason(event.currentTarget.value)}
        />
        <Problem error={act.error} />
        <div className={styles.buttons}>
          <Button variant="default" onClick={onClose}>
            {t("action.cancel")}
          </Button>
          <Button type="submit" loading={act.isPending} disabled={required && reason.trim() === ""} {...(danger ? { color: "var(--danger)" } : {})}>
            {action}
          </Button>
        </div>
      </form>
    </Modal>
  );
}
