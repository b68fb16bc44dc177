/** A new password, typed twice. The server says whether it is strong enough. */
import { Button, PasswordInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ask, client } from "../api/client";
import { useT } from "../i18n";
import { Problem } from "../ui/Page";

export function PasswordForm({ known, onDone }: { known?: string | undefined; onDone: () => void }) {
  const t = useT();
  const [old, setOld] = useState("");
  const [next, setNext] = useState("");
  const [again, setAgain] = useState("");
  const change = useMutation({
    mutationFn: () => ask(client.POST("/api/v1/session/password", { body: { old: known ?? old, new: next } })),
    onSuccess: onDone,
  });
  const differs = again !== "" && again !== next;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (next !== "" && next === again) change.mutate();
  };
  return (
    <form onSubmit={submit} style={{ display: "grid", gap: 14 }}>
      {known === undefined && (
        <PasswordInput label={t("password.old")} autoComplete="current-password" required value={old} onChange={(e) => setOld(e.currentTarget.value)} />
      )}
      <PasswordInput
        label={t("password.new")}
        description={t("password.rule")}
        autoComplete="new-password"
        required
        autoFocus
        value={next}
        onChange={(e) => setNext(e.currentTarget.value)}
      />
      <PasswordInput
        label={t("password.again")}
        autoComplete="new-password"
        required
        value={again}
        onChange={(e) => setAgain(e.currentTarget.value)}
        error={differs ? t("password.differs") : undefined}
      />
      <Problem error={change.error} />
      <Button type="submit" loading={change.isPending} disabled={next === "" || next !== again}>
        {t("password.set")}
      </Button>
    </form>
  );
}
