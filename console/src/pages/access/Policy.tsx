/** What holds for every account of the tenant: duties, second factors, sessions. Whom a change meets is seen before it. */
import { Button, Checkbox, NativeSelect, NumberInput, Radio, Textarea } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { ask, client, type PolicyAnswer, type PolicyRequest } from "../../api/client";
import { noticeQuery, policyQuery, queryClient, safeguardsQuery, tenantQuery } from "../../api/queries";
import { proven } from "../../app/FreshProof";
import { useSession } from "../../app/session";
import { useList, useT } from "../../i18n";
import { useNow } from "../../live/hooks";
import { Panel, parts, Problem } from "../../ui/Page";
import systemStyles from "../system/system.module.css";
import styles from "./access.module.css";
import { ending, inUnit, lacking, SECOND_FACTOR, type Unit, UNITS } from "./safeguards";

function useSet() {
  return useMutation({
    mutationFn: (body: PolicyRequest) => proven(() => ask(client.PATCH("/api/v1/tenant/policy", { body }))),
    onSuccess: (tenant) => {
      queryClient.setQueryData(tenantQuery.queryKey, tenant);
      queryClient.setQueryData(policyQuery.queryKey, (known) => known && { ...known, policy: tenant.policy });
      void queryClient.invalidateQueries({ queryKey: safeguardsQuery.queryKey }); // refused where the rule meets oneself
    },
  });
}

export function Policy() {
  const t = useT();
  const { tenant } = useSession();
  const { data, error } = useQuery(policyQuery);
  return (
    <Panel title={t("roles.policy")}>
      <Problem error={error} />
      {data && (
        <div className={`${systemStyles.inset} ${styles.policy}`}>
          <Duties policy={data} />
          <SecondFactor policy={data} />
          <Limits policy={data} />
          {tenant === "default" && <Notice policy={data} />}
        </div>
      )}
    </Panel>
  );
}

/** Whoever watches and whoever is watched are different people; where that does not hold yet the platform says who. */
function Duties({ policy: { policy } }: { policy: PolicyAnswer }) {
  const t = useT();
  const set = useSet();
  return (
    <section className={parts.form} aria-label={t("roles.separate")}>
      <Checkbox
        label={t("roles.separate")}
        description={t("roles.separateText")}
        disabled={set.isPending}
        checked={policy.separate_duties}
        onChange={(event) => set.mutate({ separate_duties: event.currentTarget.checked })}
      />
      <Problem error={set.error} />
    </section>
  );
}

function SecondFactor({ policy: { policy } }: { policy: PolicyAnswer }) {
  const t = useT();
  const list = useList();
  const { user: me } = useSession();
  const { data, error } = useQuery(safeguardsQuery);
  const [asked, setAsked] = useState(policy.second_factor);
  const set = useSet();
  const met = lacking(data ?? [], asked);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    set.mutate({ second_factor: asked });
  };
  const changed = asked !== policy.second_factor;
  return (
    <form className={parts.form} onSubmit={submit} aria-label={t("policy.factor")}>
      <Radio.Group label={t("policy.factor")} description={t("policy.factorText")} value={asked} onChange={(value) => setAsked(value as typeof asked)}>
        <div className={styles.choices}>
          {SECOND_FACTOR.map((one) => (
            <Radio key={one} value={one} label={t(`policy.factor.${one}`)} description={t(`policyText.${one}`)} />
          ))}
        </div>
      </Radio.Group>
      {data && asked !== "off" && (
        <div className={styles.preview} role="status">
          <p>{met.length === 0 ? t("policy.nobodyLacks") : t(changed ? "policy.wouldLack" : "policy.lacks", { n: met.length, names: list(met.map((one) => one.name)) })}</p>
          {changed && met.some((one) => one.name === me) && (
            <p>
              <b>{t("policy.youLack")}</b> <Link to="/account">{t("account.menu")}</Link>
            </p>
          )}
        </div>
      )}
      <Problem error={error ?? set.error} />
      <Save changed={changed} loading={set.isPending} done={set.isSuccess} />
    </form>
  );
}

/** What is wrong stands above, so that a number stays beside its unit. */
const ORDER: ("label" | "description" | "error" | "input")[] = ["label", "description", "error", "input"];
const TIMES = ["session_idle_s", "session_life_s"] as const;
type Field = { n: number | string; unit: Unit };
const fieldOf = (seconds: number | null): Field => (seconds === null ? { n: "", unit: "min" } : inUnit(seconds));
const secondsOf = ({ n, unit }: Field) => (n === "" ? null : Number(n) * UNITS[unit]);

function Limits({ policy: { policy, platform, bounds } }: { policy: PolicyAnswer }) {
  const t = useT();
  const list = useList();
  const now = useNow();
  const { data, error } = useQuery(safeguardsQuery);
  const [times, setTimes] = useState({ session_idle_s: fieldOf(policy.session_idle_s), session_life_s: fieldOf(policy.session_life_s) });
  const [most, setMost] = useState<number | string>(policy.sessions_max ?? "");
  const set = useSet();
  const words = (seconds: number) => {
    const { n, unit } = inUnit(seconds);
    return `${n} ${t(`unit.${unit}`)}`;
  };
  const said = { session_idle_s: secondsOf(times.session_idle_s), session_life_s: secondsOf(times.session_life_s), sessions_max: most === "" ? null : Number(most) };
  const wrong = (name: keyof typeof said) => {
    const value = said[name];
    return value !== null && !(value >= bounds[name].least && value <= bounds[name].most);
  };
  const anyWrong = wrong("session_idle_s") || wrong("session_life_s") || wrong("sessions_max");
  const changed = (Object.keys(said) as (keyof typeof said)[]).some((name) => said[name] !== policy[name]);
  const held = {
    session_idle_s: said.session_idle_s ?? platform.session_idle_s ?? Infinity,
    session_life_s: said.session_life_s ?? platform.session_life_s ?? Infinity,
    sessions_max: said.sessions_max ?? platform.sessions_max ?? Infinity,
  };
  const met = ending(data ?? [], held, now);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    set.mutate(said);
  };
  return (
    <form className={parts.form} onSubmit={submit} aria-label={t("policy.sessions")} noValidate>
      <div>
        <h3>{t("policy.sessions")}</h3>
        <p className={styles.hint}>{t("policy.sessionsText")}</p>
      </div>
      <div className={styles.limits}>
        {TIMES.map((name) => {
          const range = t("policy.bounds", { least: words(bounds[name].least), most: words(bounds[name].most), platform: words(platform[name] ?? 0) });
          return (
            <div key={name} className={styles.limit}>
              <NumberInput
                inputWrapperOrder={ORDER}
                label={t(`policy.${name}`)}
                description={`${t(`policyText.${name}`)} ${range}`}
                placeholder={words(platform[name] ?? 0)}
                error={wrong(name) ? t("policy.outside", { least: words(bounds[name].least), most: words(bounds[name].most) }) : undefined}
                allowDecimal={false}
                allowNegative={false}
                hideControls
                value={times[name].n}
                onChange={(n) => setTimes({ ...times, [name]: { ...times[name], n } })}
              />
              <NativeSelect
                aria-label={t("policy.unitOf", { name: t(`policy.${name}`) })}
                value={times[name].unit}
                data={(Object.keys(UNITS) as Unit[]).map((unit) => ({ value: unit, label: t(`unit.${unit}`) }))}
                onChange={(event) => setTimes({ ...times, [name]: { ...times[name], unit: event.currentTarget.value as Unit } })}
              />
            </div>
          );
        })}
        <NumberInput
          inputWrapperOrder={ORDER}
          label={t("policy.sessions_max")}
          description={`${t("policyText.sessions_max")} ${t("policy.bounds", { least: bounds.sessions_max.least, most: bounds.sessions_max.most, platform: platform.sessions_max ?? 0 })}`}
          placeholder={String(platform.sessions_max ?? "")}
          error={wrong("sessions_max") ? t("policy.outside", { least: bounds.sessions_max.least, most: bounds.sessions_max.most }) : undefined}
          allowDecimal={false}
          allowNegative={false}
          value={most}
          onChange={setMost}
        />
      </div>
      {changed && !anyWrong && data && (
        <div className={styles.preview} role="status">
          {met.now.length === 0 && met.next.length === 0 && <p>{t("policy.nobodyEnds")}</p>}
          {met.now.length > 0 && <p>{t("policy.endsNow", { names: list(met.now.map((one) => one.name)) })}</p>}
          {met.next.length > 0 && <p>{t("policy.endsNext", { names: list(met.next.map((one) => one.name)) })}</p>}
        </div>
      )}
      <Problem error={error ?? set.error} />
      <Save changed={changed && !anyWrong} loading={set.isPending} done={set.isSuccess} />
    </form>
  );
}

/** Before anybody has signed in nobody's firm is known: so the platform's own tenant has one, and no other. */
function Notice({ policy: { policy } }: { policy: PolicyAnswer }) {
  const t = useT();
  const [text, setText] = useState(policy.notice);
  const set = useSet();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    set.mutate({ notice: text }, { onSuccess: () => void queryClient.invalidateQueries({ queryKey: noticeQuery.queryKey }) });
  };
  return (
    <form className={parts.form} onSubmit={submit} aria-label={t("signin.notice")}>
      <Textarea label={t("signin.notice")} description={t("policyText.notice")} autosize minRows={2} maxRows={10} maxLength={2000} value={text} onChange={(event) => setText(event.currentTarget.value)} />
      <Problem error={set.error} />
      <Save changed={text.trim() !== policy.notice} loading={set.isPending} done={set.isSuccess} />
    </form>
  );
}

function Save({ changed, loading, done }: { changed: boolean; loading: boolean; done: boolean }) {
  const t = useT();
  return (
    <div className={parts.formButtons}>
      {done && !changed && <span role="status">{t("policy.saved")}</span>}
      <Button size="xs" type="submit" loading={loading} disabled={!changed}>
        {t("devices.save")}
      </Button>
    </div>
  );
}
