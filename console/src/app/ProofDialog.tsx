/** Is it still you? A password, and what comes beside it; or the provider, in a tab of its own. */
import { Button, Modal, PasswordInput, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useEffect, useState } from "react";
import { ask, client } from "../api/client";
import { factorsQuery, providersQuery, queryClient, sessionQuery } from "../api/queries";
import { useT } from "../i18n";
import { parts, Problem } from "../ui/Page";
import { answer, passkeysWork } from "./passkey";

export function ProofDialog({ onProved, onClose }: { onProved: () => void; onClose: () => void }) {
  const t = useT();
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const takes = useQuery({ queryKey: ["proof"], queryFn: ({ signal }) => ask(client.GET("/api/v1/session/proof", { signal })), staleTime: 0, gcTime: 0 });
  const prove = useMutation({
    mutationFn: async (way: "code" | "passkey") => {
      const body: { password?: string; code?: string; passkey?: Record<string, unknown> } = {};
      if (password !== "") body.password = password;
      if (way === "code" && code !== "") body.code = code;
      if (way === "passkey") {
        const fresh = await ask(client.GET("/api/v1/session/proof"));
        body.passkey = await answer(fresh.passkey_options as Record<string, unknown>);
      }
      return ask(client.POST("/api/v1/session/proof", { body }));
    },
    onSuccess: (session) => {
      queryClient.setQueryData(sessionQuery.queryKey, session);
      void queryClient.invalidateQueries({ queryKey: factorsQuery.queryKey });
      onProved();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    prove.mutate("code");
  };
  const withKey = takes.data?.passkey_options != null && passkeysWork();
  const typed = takes.data?.password === true || takes.data?.code === true;
  return (
    <Modal opened onClose={onClose} closeOnEscape={false} closeOnClickOutside={false} title={t("proof.title")} closeButtonProps={{ "aria-label": t("action.close") }}>
      <form className={parts.form} onSubmit={submit}>
        <p>{t("proof.why")}</p>
        {takes.data?.password && (
          <PasswordInput data-autofocus autoFocus label={t("signin.password")} autoComplete="current-password" value={password} onChange={(e) => setPassword(e.currentTarget.value)} />
        )}
        {takes.data?.code && (
          <TextInput autoFocus={!takes.data.password} label={t("signin.code")} description={t("signin.codeHint")} autoComplete="one-time-code" value={code} onChange={(e) => setCode(e.currentTarget.value)} />
        )}
        <Elsewhere onProved={onProved} />
        <Problem error={takes.error ?? prove.error} />
        <div className={parts.formButtons}>
          <Button variant="default" onClick={onClose}>
            {t("action.cancel")}
          </Button>
          {withKey && (
            <Button variant="default" disabled={takes.data?.password === true && password === ""} loading={prove.isPending} onClick={() => prove.mutate("passkey")}>
              {t("signin.withPasskey")}
            </Button>
          )}
          {typed && (
            <Button type="submit" loading={prove.isPending} disabled={password === "" && code === ""}>
              {t("proof.prove")}
            </Button>
          )}
        </div>
      </form>
    </Modal>
  );
}

/** Whoever comes in through a provider proves themselves there; back on this page, we look whether they did. */
function Elsewhere({ onProved }: { onProved: () => void }) {
  const t = useT();
  const { data } = useQuery(factorsQuery);
  const providers = useQuery(providersQuery);
  const linked = (providers.data ?? []).filter((provider) => data?.identities.some((one) => one.provider === provider.name));
  const [left, setLeft] = useState(false);
  useEffect(() => {
    if (!left) return;
    const look = async () => {
      const now = await queryClient.fetchQuery({ ...factorsQuery, staleTime: 0 }).catch(() => null);
      if (now?.fresh) onProved();
    };
    const back = () => void look();
    window.addEventListener("focus", back);
    return () => window.removeEventListener("focus", back);
  }, [left, onProved]);
  if (linked.length === 0) return null;
  return (
    <>
      {linked.map((provider) => (
        <Button key={provider.name} variant="default" component="a" target="_blank" rel="noopener" href={`/api/v1/session/oidc/${provider.name}?again=true`} onClick={() => setLeft(true)}>
          {t("proof.at", { provider: provider.title })}
        </Button>
      ))}
      <p>{t("proof.comeBack")}</p>
    </>
  );
}
