/** The door: name and password; at the first sign-in the one-time password is replaced at once. */
import { Button, PasswordInput, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, useEffect, useState } from "react";
import { ask, client } from "../../api/client";
import { queryClient, sessionQuery } from "../../api/queries";
import { PasswordForm } from "../../app/PasswordForm";
import { PreferencesBar } from "../../app/Preferences";
import { useT } from "../../i18n";
import { Mark } from "../../ui/Icon";
import { Problem } from "../../ui/Page";
import styles from "./signin.module.css";

export function SignIn() {
  const t = useT();
  const navigate = useNavigate();
  const { next } = useSearch({ from: "/signin" });
  const { data: session } = useQuery(sessionQuery);
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const signIn = useMutation({
    mutationFn: () => ask(client.POST("/api/v1/session", { body: { user, password } })),
    onSuccess: (answer) => queryClient.setQueryData(sessionQuery.queryKey, answer),
  });
  const mustChange = session?.must_change_password === true;
  const inside = session && !mustChange;
  useEffect(() => {
    if (inside) void navigate({ to: next ?? "/", replace: true });
  }, [inside, next, navigate]);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    signIn.mutate();
  };
  const changed = async () => {
    await queryClient.fetchQuery({ ...sessionQuery, staleTime: 0 });
  };
  return (
    <main className={styles.door}>
      <div className={styles.card}>
        <div className={styles.brand}>
          <Mark size={34} />
          <div>
            <h1>Headrace</h1>
            <p>{t("signin.motto")}</p>
          </div>
        </div>
        {mustChange ? (
          <>
            <p className={styles.note}>{t("signin.mustChange", { user: session.user })}</p>
            <PasswordForm known={password === "" ? undefined : password} onDone={() => void changed()} />
          </>
        ) : (
          <form onSubmit={submit} className={styles.form}>
            <TextInput label={t("signin.user")} autoComplete="username" autoFocus required value={user} onChange={(e) => setUser(e.currentTarget.value)} />
            <PasswordInput
              label={t("signin.password")}
              autoComplete="current-password"
              required
              value={password}
              onChange={(e) => setPassword(e.currentTarget.value)}
            />
            <Problem error={signIn.error} />
            <Button type="submit" loading={signIn.isPending}>
              {t("signin.enter")}
            </Button>
          </form>
        )}
      </div>
      <PreferencesBar />
    </main>
  );
}
