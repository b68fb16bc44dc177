/** One person as an officer sees them: locked out or not, what they can prove themselves with, where they are signed in. */
import { Modal } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { ask, client, type SafeguardsAnswer } from "../../api/client";
import { policyQuery, userSessionsQuery } from "../../api/queries";
import { proven } from "../../app/FreshProof";
import { dateTime, parseTime, span, until } from "../../format/time";
import { useList, useT } from "../../i18n";
import { useNow } from "../../live/hooks";
import { parts, Problem } from "../../ui/Page";
import { Sure } from "../../ui/Sure";
import { QualitySymbol } from "../../ui/Value";
import { SessionTable } from "../account/SessionTable";
import styles from "./access.module.css";
import { factorsOf, freshSafeguards } from "./safeguards";

export function GuardDialog({ person, onClose }: { person: SafeguardsAnswer; onClose: () => void }) {
  const t = useT();
  return (
    <Modal opened onClose={onClose} size={820} title={t("guard.of", { name: person.name })} closeButtonProps={{ "aria-label": t("action.close") }}>
      <div className={styles.guard}>
        <Lockout person={person} />
        <Factors person={person} />
        <Sessions name={person.name} />
      </div>
    </Modal>
  );
}

function Lockout({ person }: { person: SafeguardsAnswer }) {
  const t = useT();
  const now = useNow();
  const { name, locked_until: end } = person;
  const release = useMutation({
    mutationFn: () => proven(() => ask(client.DELETE("/api/v1/users/{name}/lockout", { params: { path: { name } } }))),
    onSettled: () => freshSafeguards(name),
  });
  const ends = end === null ? 0 : parseTime(end);
  if (ends <= now) return release.isSuccess ? <p role="status">{t("guard.released", { name })}</p> : null;
  const words = { s: t("unit.s"), min: t("unit.min"), h: t("unit.h"), d: t("unit.d") };
  return (
    <section aria-label={t("guard.lockout")}>
      <h2>{t("guard.lockout")}</h2>
      <p className={styles.odd}>
        <QualitySymbol look="bad" /> {t("guard.lockedUntil", { at: until(ends, now), span: span(ends - now, words) })}
      </p>
      <p className={styles.hint}>{t("guard.lockedText")}</p>
      <Problem error={release.error} />
      <Sure label={t("guard.release")} loading={release.isPending} onSure={() => release.mutate()} />
    </section>
  );
}

function Factors({ person }: { person: SafeguardsAnswer }) {
  const t = useT();
  const list = useList();
  const { data } = useQuery(policyQuery);
  const { name, needed } = person;
  const reset = useMutation({
    mutationFn: () => proven(() => ask(client.DELETE("/api/v1/users/{name}/factors", { params: { path: { name } } }))),
    onSettled: () => freshSafeguards(name),
  });
  const has = factorsOf(person);
  const next = ["guard.resetGone", "guard.resetOut", data && needed ? "guard.resetMust" : "guard.resetAlone", "guard.resetAsk"] as const;
  return (
    <section aria-label={t("guard.factors")}>
      <h2>{t("guard.factors")}</h2>
      <dl className={parts.facts}>
        <dt>{t("signin.password")}</dt>
        <dd>{t(!person.password ? "guard.noPassword" : person.must_change_password ? "access.oneTime" : "guard.set")}</dd>
        <dt>{t("guard.second")}</dt>
        <dd>
          {has.length === 0 ? t(needed ? "guard.noneNeeded" : "guard.none") : list(has.map(({ key, n }) => t(key, { n })))}
        </dd>
        {person.totp_since !== null && (
          <>
            <dt>{t("guard.app")}</dt>
            <dd>{t("account.appSince", { time: dateTime(parseTime(person.totp_since)).slice(0, 10) })}</dd>
          </>
        )}
        <dt>{t("account.recovery")}</dt>
        <dd>{t("guard.codes", { n: person.recovery_codes_left })}</dd>
        {person.providers.length > 0 && (
          <>
            <dt>{t("account.identities")}</dt>
            <dd>{list(person.providers)}</dd>
          </>
        )}
      </dl>
      {has.length > 0 && (
        <div className={styles.preview}>
          <p>{t("guard.resetText", { name })}</p>
          <ul className={styles.steps}>
            {next.map((key) => (
              <li key={key}>{t(key, { name })}</li>
            ))}
          </ul>
        </div>
      )}
      <Problem error={reset.error} />
      {reset.isSuccess && <p role="status">{t("guard.resetDone", { name })}</p>}
      {has.length > 0 && <Sure label={t("guard.reset")} loading={reset.isPending} onSure={() => reset.mutate()} />}
    </section>
  );
}

function Sessions({ name }: { name: string }) {
  const t = useT();
  const { data, error } = useQuery(userSessionsQuery(name));
  const fresh = () => freshSafeguards(name);
  const end = useMutation({
    mutationFn: (id: string) => proven(() => ask(client.DELETE("/api/v1/users/{name}/sessions/{id}", { params: { path: { name, id } } }))),
    onSettled: fresh,
  });
  const endAll = useMutation({ mutationFn: () => proven(() => ask(client.DELETE("/api/v1/users/{name}/sessions", { params: { path: { name } } }))), onSettled: fresh });
  return (
    <section aria-label={t("guard.sessions")}>
      <h2>{t("guard.sessions")}</h2>
      <Problem error={error ?? end.error ?? endAll.error} />
      {data?.length === 0 ? <p>{t("guard.nowhere")}</p> : data && <SessionTable label={t("guard.sessions")} sessions={data} onEnd={end.mutate} />}
      {(data?.length ?? 0) > 0 && (
        <div className={styles.buttons}>
          <Sure label={t("guard.endAll")} loading={endAll.isPending} onSure={() => endAll.mutate()} />
        </div>
      )}
    </section>
  );
}
