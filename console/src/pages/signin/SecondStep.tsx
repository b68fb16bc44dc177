/** After the password: a code, or a passkey. */
import { Button, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ask, client, type SecondFactorAnswer, type SessionAnswer } from "../../api/client";
import { answer, passkeysWork } from "../../app/passkey";
import { useT } from "../../i18n";
import { Problem } from "../../ui/Page";
import styles from "./signin.module.css";

interface Props {
  needed: SecondFactorAnswer;
  onDone: (session: SessionAnswer) => void;
  onBack: () => void;
}

export function SecondStep({ needed, onDone, onBack }: Props) {
  const t = useT();
  const [code, setCode] = useState("");
  const withKey = needed.kinds.includes("passkey") && needed.passkey_options !== null && passkeysWork();
  const withCode = needed.kinds.includes("totp") || needed.kinds.includes("recovery");
  const complete = useMutation({
    mutationFn: async (way: "code" | "passkey") => {
      const proof = way === "code" ? { code } : { passkey: await answer(needed.passkey_options as Record<string, unknown>) };
      return ask(client.POST("/api/v1/session/second-factor", { body: { pending: needed.pending, ...proof } }));
    },
    onSuccess: onDone,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    complete.mutate("code");
  };
  return (
    <form onSubmit={submit} className={styles.form}>
      <p className={styles.note}>{withCode || withKey ? t("signin.second") : t("signin.noFactorHere")}</p>
      {withKey && (
        <Button variant={withCode ? "default" : "filled"} loading={complete.isPending} onClick={() => complete.mutate("passkey")}>
          {t("signin.withPasskey")}
        </Button>
      )}
      {withCode && (
        <TextInput
          label={t("signin.code")}
          description={t("signin.codeHint")}
          autoComplete="one-time-code"
          autoFocus
          required
          value={code}
          onChange={(e) => setCode(e.currentTarget.value)}
        />
      )}
      <Problem error={complete.error} />
      {withCode && (
        <Button type="submit" loading={complete.isPending} disabled={code.trim() === ""}>
          {t("signin.enter")}
        </Button>
      )}
      <Button variant="subtle" onClick={onBack}>
        {t("signin.back")}
      </Button>
    </form>
  );
}
