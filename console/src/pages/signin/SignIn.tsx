/** The door: name and password, then a second factor; or a passkey; or a provider. What must be added or changed first is
 * added or changed here, before anything else opens. */
import { Button, Divider, PasswordInput, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, useEffect, useState } from "react";
import { ask, client, type SecondFactorAnswer, type SessionAnswer } from "../../api/client";
import { noticeQuery, providersQuery, queryClient, sessionQuery } from "../../api/queries";
import { answer, passkeysWork } from "../../app/passkey";
import { PasswordForm } from "../../app/PasswordForm";
import { PreferencesBar } from "../../app/Preferences";
import { useT } from "../../i18n";
import { Mark } from "../../ui/Icon";
import { Problem } from "../../ui/Page";
import { Factors } from "../account/Factors";
import { SecondStep } from "./SecondStep";
import styles from "./signin.module.css";

export function SignIn() {
  const t = useT();
  const navigate = useNavigate();
  const { next, pending } = useSearch({ from: "/signin" });
  const { data: session } = useQuery(sessionQuery);
  const [password, setPassword] = useState("");
  const [needed, setNeeded] = useState<SecondFactorAnswer | null>(null);
  const mustChange = session?.must_change_password === true;
  const mustEnrol = session?.must_enrol === true;
  const inside = session && !mustChange && !mustEnrol;
  useEffect(() => {
    if (inside) void navigate({ to: next ?? "/", replace: true });
  }, [inside, next, navigate]);
  useEffect(() => {
    // A provider has said who it is, and a second factor is still needed.
    if (pending) ask(client.GET("/api/v1/session/pending")).then(setNeeded, () => {});
  }, [pending]);
  const refresh = async () => {
    await queryClient.fetchQuery({ ...sessionQuery, staleTime: 0 });
  };
  const enter = (made: SessionAnswer) => {
    setNeeded(null);
    queryClient.setQueryData(sessionQuery.queryKey, made);
  };
  return (
    <main className={styles.door}>
      <div className={mustEnrol && !mustChange ? styles.wide : styles.card}>
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
            <PasswordForm known={password === "" ? undefined : password} onDone={() => void refresh()} />
          </>
        ) : mustEnrol ? (
          <>
            <p className={styles.note}>{t("signin.mustEnrol", { user: session.user })}</p>
            <div className={styles.form}>
              <Factors onEnrolled={() => void refresh()} />
            </div>
          </>
        ) : needed ? (
          <SecondStep needed={needed} onDone={enter} onBack={() => setNeeded(null)} />
        ) : (
          <FirstStep password={password} setPassword={setPassword} onEnter={enter} onNeeded={setNeeded} />
        )}
      </div>
      <PreferencesBar />
    </main>
  );
}

interface FirstProps {
  password: string;
  setPassword: (password: string) => void;
  onEnter: (session: SessionAnswer) => void;
  onNeeded: (needed: SecondFactorAnswer) => void;
}

function FirstStep({ password, setPassword, onEnter, onNeeded }: FirstProps) {
  const t = useT();
  const { refused } = useSearch({ from: "/signin" });
  const [user, setUser] = useState("");
  const providers = useQuery(providersQuery);
  const notice = useQuery(noticeQuery).data?.text ?? "";
  const signIn = useMutation({
    mutationFn: () => ask(client.POST("/api/v1/session", { body: { user, password } })),
    onSuccess: (made) => ("second_factor" in made ? onNeeded(made.second_factor) : onEnter(made)),
  });
  const withKey = useMutation({
    mutationFn: async () => {
      const question = await ask(client.POST("/api/v1/session/passkey/options"));
      const passkey = await answer(question.options as Record<string, unknown>);
      return ask(client.POST("/api/v1/session/passkey", { body: { challenge: question.challenge, passkey } }));
    },
    onSuccess: onEnter,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    signIn.mutate();
  };
  const others = providers.data ?? [];
  return (
    <form onSubmit={submit} className={styles.form}>
      {notice !== "" && (
        <section className={styles.notice} aria-label={t("signin.notice")} tabIndex={0}>
          {notice}
        </section>
      )}
      <TextInput label={t("signin.user")} autoComplete="username webauthn" autoFocus required value={user} onChange={(e) => setUser(e.currentTarget.value)} />
      <PasswordInput label={t("signin.password")} autoComplete="current-password" required value={password} onChange={(e) => setPassword(e.currentTarget.value)} />
      <Problem error={signIn.error ?? withKey.error ?? (refused === undefined ? null : new Error(t(refused === "unavailable" ? "signin.providerDown" : "signin.providerRefused")))} />
      <Button type="submit" loading={signIn.isPending}>
        {t("signin.enter")}
      </Button>
      {(passkeysWork() || others.length > 0) && <Divider label={t("signin.or")} />}
      {passkeysWork() && (
        <Button variant="default" loading={withKey.isPending} onClick={() => withKey.mutate()}>
          {t("signin.withPasskey")}
        </Button>
      )}
      {others.map((provider) => (
        <Button key={provider.name} variant="default" component="a" href={`/api/v1/session/oidc/${provider.name}`}>
          {t("signin.with", { provider: provider.title })}
        </Button>
      ))}
    </form>
  );
}
