/** Second factors: an authenticator app, passkeys, and the codes for the day when both are lost. */
import { Button, Modal, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ask, client } from "../../api/client";
import { factorsQuery, providersQuery, queryClient, sessionQuery } from "../../api/queries";
import { proven } from "../../app/FreshProof";
import { create, passkeysWork } from "../../app/passkey";
import { dateTime, parseTime } from "../../format/time";
import { useT } from "../../i18n";
import { Panel, parts, Problem } from "../../ui/Page";
import { Secret } from "../../ui/Secret";
import { Sure } from "../../ui/Sure";
import styles from "./account.module.css";

interface Offer {
  secret: string;
  uri: string;
  svg: string;
}

/** `onEnrolled` is told when a first factor is there and its recovery codes were seen. */
export function Factors({ onEnrolled }: { onEnrolled?: () => void }) {
  const t = useT();
  const { data } = useQuery(factorsQuery);
  const providers = useQuery(providersQuery);
  const [offer, setOffer] = useState<Offer | null>(null);
  const [naming, setNaming] = useState(false);
  const [codes, setCodes] = useState<string[] | null>(null);
  const fresh = async () => {
    await queryClient.invalidateQueries({ queryKey: factorsQuery.queryKey });
  };
  const show = (made: string[]) => {
    setOffer(null);
    setNaming(false);
    void fresh();
    if (made.length > 0) setCodes(made);
    else onEnrolled?.();
  };
  const act = useMutation({ mutationFn: (work: () => Promise<unknown>) => proven(work), onSettled: fresh });
  const begin = () => act.mutate(async () => setOffer(await ask(client.POST("/api/v1/account/totp"))));
  const renewCodes = () => act.mutate(async () => setCodes((await ask(client.POST("/api/v1/account/recovery-codes"))).codes));
  const factor = data && (data.totp_since !== null || data.passkeys.some((key) => !key.blocked));
  return (
    <>
      <Problem error={act.error} />
      <Panel title={t("account.app")}>
        <div className={styles.row}>
          <p>{data?.totp_since ? t("account.appSince", { time: dateTime(parseTime(data.totp_since)) }) : t("account.appText")}</p>
          {data?.totp_since ? (
            <Sure label={t("account.remove")} onSure={() => act.mutate(() => ask(client.DELETE("/api/v1/account/totp")))} />
          ) : (
            <Button size="xs" onClick={begin}>
              {t("account.addApp")}
            </Button>
          )}
        </div>
      </Panel>
      <Panel title={t("account.passkeys")}>
        <div className={styles.row}>
          <p>{passkeysWork() ? t("account.passkeysText") : t("account.passkeysNeedName")}</p>
          {passkeysWork() && (
            <Button size="xs" onClick={() => setNaming(true)}>
              {t("account.addPasskey")}
            </Button>
          )}
        </div>
        {data?.passkeys.map((key) => (
          <div className={styles.row} key={key.id}>
            <p>
              <b>{key.name}</b> · {key.host} · {key.blocked ? t("account.blocked") : key.last_used_at ? t("account.usedAt", { time: dateTime(parseTime(key.last_used_at)) }) : t("account.neverUsed")}
            </p>
            <Sure
              label={t("account.remove")}
              onSure={() => act.mutate(() => ask(client.DELETE("/api/v1/account/passkeys/{id}", { params: { path: { id: key.id } } })))}
            />
          </div>
        ))}
      </Panel>
      {factor && (
        <Panel title={t("account.recovery")}>
          <div className={styles.row}>
            <p>{t("account.recoveryText", { n: data.recovery_codes_left })}</p>
            <Sure label={t("account.newCodes")} onSure={renewCodes} />
          </div>
        </Panel>
      )}
      {(providers.data?.length ?? 0) > 0 && !onEnrolled && (
        <Panel title={t("account.identities")}>
          {providers.data?.map((provider) => {
            const linked = data?.identities.find((one) => one.provider === provider.name);
            return (
              <div className={styles.row} key={provider.name}>
                <p>
                  <b>{provider.title}</b> · {linked ? linked.email || t("account.linked") : t("account.notLinked")}
                </p>
                {linked ? (
                  <Sure
                    label={t("account.unlink")}
                    onSure={() => act.mutate(() => ask(client.DELETE("/api/v1/account/identities/{provider}", { params: { path: { provider: provider.name } } })))}
                  />
                ) : (
                  <Button size="xs" variant="default" component="a" href={`/api/v1/session/oidc/${provider.name}?link=true`}>
                    {t("account.link")}
                  </Button>
                )}
              </div>
            );
          })}
        </Panel>
      )}
      {offer && <AppDialog offer={offer} onDone={show} onClose={() => setOffer(null)} />}
      {naming && <PasskeyDialog onDone={show} onClose={() => setNaming(false)} />}
      {codes && (
        <CodesDialog
          codes={codes}
          onClose={() => {
            setCodes(null);
            void queryClient.invalidateQueries({ queryKey: sessionQuery.queryKey });
            onEnrolled?.();
          }}
        />
      )}
    </>
  );
}

interface DialogProps {
  onDone: (codes: string[]) => void;
  onClose: () => void;
}

function AppDialog({ offer, onDone, onClose }: DialogProps & { offer: Offer }) {
  const t = useT();
  const [code, setCode] = useState("");
  const confirm = useMutation({
    mutationFn: () => proven(() => ask(client.POST("/api/v1/account/totp/confirm", { body: { code } }))),
    onSuccess: (made) => onDone(made.codes),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    confirm.mutate();
  };
  return (
    <Modal opened onClose={onClose} title={t("account.addApp")} closeOnClickOutside={false} closeButtonProps={{ "aria-label": t("action.close") }}>
      <form className={parts.form} onSubmit={submit}>
        <p>{t("account.scan")}</p>
        <img className={styles.code} alt={t("account.qr")} src={`data:image/svg+xml,${encodeURIComponent(offer.svg)}`} />
        <Secret label={t("account.typed")} text={offer.secret} />
        <TextInput
          data-autofocus
          label={t("signin.code")}
          inputMode="numeric"
          autoComplete="one-time-code"
          required
          value={code}
          onChange={(e) => setCode(e.currentTarget.value)}
        />
        <Problem error={confirm.error} />
        <Button type="submit" loading={confirm.isPending} disabled={code.trim() === ""}>
          {t("account.confirm")}
        </Button>
      </form>
    </Modal>
  );
}

function PasskeyDialog({ onDone, onClose }: DialogProps) {
  const t = useT();
  const [name, setName] = useState("");
  const add = useMutation({
    mutationFn: () =>
      proven(async () => {
        const options = await ask(client.POST("/api/v1/account/passkeys/options"));
        const passkey = await create(options as Record<string, unknown>);
        return ask(client.POST("/api/v1/account/passkeys", { body: { name: name.trim(), passkey } }));
      }),
    onSuccess: (made) => onDone(made.recovery_codes),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    add.mutate();
  };
  return (
    <Modal opened onClose={onClose} title={t("account.addPasskey")} closeButtonProps={{ "aria-label": t("action.close") }}>
      <form className={parts.form} onSubmit={submit}>
        <p>{t("account.passkeyHow")}</p>
        <TextInput data-autofocus label={t("account.passkeyName")} placeholder={t("account.passkeyExample")} required value={name} onChange={(e) => setName(e.currentTarget.value)} />
        <Problem error={add.error} />
        <Button type="submit" loading={add.isPending} disabled={name.trim() === ""}>
          {t("account.addPasskey")}
        </Button>
      </form>
    </Modal>
  );
}

function CodesDialog({ codes, onClose }: { codes: string[]; onClose: () => void }) {
  const t = useT();
  return (
    <Modal opened onClose={onClose} title={t("account.recovery")} closeOnClickOutside={false} closeOnEscape={false} withCloseButton={false}>
      <div className={parts.form}>
        <p>{t("account.codesOnce")}</p>
        <Secret label={t("account.recovery")} text={codes.join("\n")} />
        <Button onClick={onClose}>{t("account.codesKept")}</Button>
      </div>
    </Modal>
  );
}
