/** Certificates of a device: which one is in use, when it ends, a new one for a request, and taking all of them back. */
import { Button, Checkbox, Textarea } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ask, client, type DeviceCertificateAnswer } from "../../api/client";
import { deviceCertificatesQuery } from "../../api/queries";
import { useSession } from "../../app/session";
import { dateTime, parseTime } from "../../format/time";
import { useT } from "../../i18n";
import { useNow } from "../../live/hooks";
import { parts, Problem } from "../../ui/Page";
import { Secret } from "../../ui/Secret";
import { Sure } from "../../ui/Sure";
import { freshDevices } from "./Devices";
import styles from "./devices.module.css";

const SHOWN = 5;
const ENDS_SOON_MS = 30 * 86_400_000;

export function Certificates({ name }: { name: string }) {
  const t = useT();
  const { may } = useSession();
  const { data, error } = useQuery(deviceCertificatesQuery(name));
  const [asking, setAsking] = useState(false);
  const good = data?.some((one) => one.state === "in use" || one.state === "waiting") ?? false;
  return (
    <section aria-label={t("certificates.title")}>
      <h2>{t("certificates.title")}</h2>
      <Problem error={error} />
      {data?.length === 0 && <p className={styles.hint}>{t("certificates.none")}</p>}
      {data && data.length > 0 && (
        <ul className={styles.previews}>
          {data.slice(0, SHOWN).map((one) => (
            <Certificate key={one.sha256} one={one} />
          ))}
        </ul>
      )}
      {may("maintain") &&
        (asking ? (
          <Ask name={name} onDone={() => setAsking(false)} />
        ) : (
          <div className={parts.formButtons}>
            {good && <Revoke name={name} />}
            <Button size="xs" variant="default" onClick={() => setAsking(true)}>
              {t(good ? "certificates.renew" : "certificates.give")}
            </Button>
          </div>
        ))}
    </section>
  );
}

function Certificate({ one }: { one: DeviceCertificateAnswer }) {
  const t = useT();
  const ends = one.ends_at === null ? undefined : parseTime(one.ends_at);
  const now = useNow();
  const soon = one.state === "in use" && ends !== undefined && ends - now < ENDS_SOON_MS;
  return (
    <li>
      <span>
        {t(`certificate.${one.state === "in use" ? "used" : one.state}`)}
        {one.state === "revoked" && ` · ${t(`revocation.${reasonOf(one.reason)}`)}`}
      </span>
      <small>
        {ends !== undefined && (soon ? <b>{t("certificates.ends", { at: dateTime(ends) })}</b> : t("certificates.ends", { at: dateTime(ends) }))}
        {!one.own && ` · ${t("certificates.pinned")}`}
      </small>
      <div className={parts.path}>SHA-256 {one.sha256}</div>
    </li>
  );
}

type Reason = "unspecified" | "keyCompromise" | "superseded" | "cessationOfOperation";
const REASONS: ReadonlySet<string> = new Set(["keyCompromise", "superseded", "cessationOfOperation"]);
const reasonOf = (reason: string): Reason => (REASONS.has(reason) ? (reason as Reason) : "unspecified");

function Ask({ name, onDone }: { name: string; onDone: () => void }) {
  const t = useT();
  const [request, setRequest] = useState("");
  const [atOnce, setAtOnce] = useState(false);
  const issue = useMutation({
    mutationFn: () => ask(client.POST("/api/v1/devices/{name}/certificate", { params: { path: { name } }, body: { request, at_once: atOnce } })),
    onSuccess: () => void freshDevices(),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    issue.mutate();
  };
  if (issue.data)
    return (
      <>
        <Secret label={t("certificates.made", { at: dateTime(parseTime(issue.data.ends_at)) })} text={issue.data.certificate + issue.data.authority} />
        <div className={parts.formButtons}>
          <Button size="xs" onClick={onDone}>
            {t("action.close")}
          </Button>
        </div>
      </>
    );
  return (
    <form className={parts.form} onSubmit={submit}>
      <Textarea
        label={t("certificates.request")}
        description={t("certificates.requestHint")}
        required
        autosize
        minRows={4}
        maxRows={10}
        value={request}
        onChange={(event) => setRequest(event.currentTarget.value)}
      />
      <Checkbox label={t("certificates.atOnce")} checked={atOnce} onChange={(event) => setAtOnce(event.currentTarget.checked)} />
      <Problem error={issue.error} />
      <div className={parts.formButtons}>
        <Button variant="default" onClick={onDone}>
          {t("action.cancel")}
        </Button>
        <Button type="submit" loading={issue.isPending}>
          {t("certificates.issue")}
        </Button>
      </div>
    </form>
  );
}

function Revoke({ name }: { name: string }) {
  const t = useT();
  const revoke = useMutation({
    mutationFn: () => ask(client.POST("/api/v1/devices/{name}/certificate/revoke", { params: { path: { name } }, body: { reason: "keyCompromise" } })),
    onSettled: () => void freshDevices(),
  });
  return (
    <>
      <Problem error={revoke.error} />
      <Sure label={t("certificates.revoke")} loading={revoke.isPending} onSure={() => revoke.mutate()} />
    </>
  );
}
