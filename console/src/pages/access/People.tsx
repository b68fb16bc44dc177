/** People: their roles to who administers them, how they are guarded to who secures the tenant. */
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { PartAnswer, SafeguardsAnswer, UserAnswer } from "../../api/client";
import { queryClient, safeguardsQuery, usersQuery } from "../../api/queries";
import { useRoles } from "../../app/roles";
import { useSession } from "../../app/session";
import { dateTime, parseTime, until } from "../../format/time";
import { useList, useT } from "../../i18n";
import { useNow } from "../../live/hooks";
import { Icon } from "../../ui/Icon";
import { Panel, parts, Problem } from "../../ui/Page";
import { QualitySymbol } from "../../ui/Value";
import styles from "./access.module.css";
import { useAssetTitle } from "./AssetPicker";
import { GuardDialog } from "./GuardDialog";
import { PersonDialog } from "./PersonDialog";
import { factorsOf } from "./safeguards";

export const freshUsers = () => {
  void queryClient.invalidateQueries({ queryKey: usersQuery.queryKey });
  void queryClient.invalidateQueries({ queryKey: safeguardsQuery.queryKey });
};

/** What an administrator and an officer each know of somebody; who is both sees them side by side. */
interface Person {
  name: string;
  role: string;
  disabled: boolean;
  must_change_password: boolean;
  user: UserAnswer | undefined;
  guarded: SafeguardsAnswer | undefined;
}

function usePeople(): { people: readonly Person[]; error: unknown; admin: boolean; secures: boolean } {
  const { mayEverywhere } = useSession();
  const [admin, secures] = [mayEverywhere("administer"), mayEverywhere("secure")];
  const users = useQuery({ ...usersQuery, enabled: admin });
  const safeguards = useQuery({ ...safeguardsQuery, enabled: secures });
  const known = new Map((secures ? safeguards.data : undefined)?.map((one) => [one.name, one]));
  const people = (admin ? users.data : safeguards.data)?.map(({ name, role, disabled, must_change_password }) => ({
    name,
    role,
    disabled,
    must_change_password,
    user: users.data?.find((one) => one.name === name),
    guarded: known.get(name),
  }));
  return { people: people ?? [], error: users.error ?? safeguards.error, admin, secures };
}

export function People() {
  const t = useT();
  const { user: me } = useSession();
  const { title } = useRoles();
  const { people, error, admin, secures } = usePeople();
  /** A name, `null` for somebody new. */
  const [open, setOpen] = useState<string | null | undefined>(undefined);
  const [guarding, setGuarding] = useState<string | undefined>(undefined);
  const person = people.find((one) => one.name === open)?.user;
  const guarded = people.find((one) => one.name === guarding)?.guarded;
  return (
    <Panel
      title={t("access.users")}
      aside={
        admin && (
          <Button size="xs" leftSection={<Icon name="plus" size={14} />} onClick={() => setOpen(null)}>
            {t("access.addUser")}
          </Button>
        )
      }
    >
      <Problem error={error} />
      <table className={`${parts.table} ${styles.stack}`} aria-label={t("access.users")}>
        <thead>
          <tr>
            <th>{t("access.name")}</th>
            <th>{t("access.role")}</th>
            {admin && <th>{t("access.parts")}</th>}
            {secures && <th>{t("guard.second")}</th>}
            {secures && <th>{t("guard.signedIn")}</th>}
            <th>{t("access.state")}</th>
            {admin && <th>{t("access.created")}</th>}
            <th>
              <span className="unseen">{t("explore.actions")}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {people.map((one) => (
            <tr key={one.name}>
              <td className={styles.lead}>
                <b>{one.name}</b> {one.name === me && `(${t("access.you")})`}
              </td>
              <td data-label={t("access.role")}>{title(one.role)}</td>
              {admin && <td data-label={t("access.parts")}>{one.user && one.user.parts.length > 0 ? <Parts of={one.user.parts} /> : "—"}</td>}
              {secures && <td data-label={t("guard.second")}>{one.guarded && <SecondFactor of={one.guarded} />}</td>}
              {secures && <td data-label={t("guard.signedIn")} className={styles.whole}>{one.guarded && (one.guarded.sessions === 0 ? "—" : t("guard.places", { n: one.guarded.sessions }))}</td>}
              <td data-label={t("access.state")}>
                <State of={one} />
              </td>
              {admin && (
                <td data-label={t("access.created")} className={styles.time}>
                  {one.user && dateTime(parseTime(one.user.created_at)).slice(0, 10)}
                </td>
              )}
              <td className={styles.acts}>
                {one.name !== me && (
                  <span className={styles.rowButtons}>
                    {one.guarded && (
                      <Button size="xs" variant="default" aria-label={t("guard.of", { name: one.name })} onClick={() => setGuarding(one.name)}>
                        {t("guard.open")}
                      </Button>
                    )}
                    {admin && (
                      <Button size="xs" variant="default" aria-label={t("access.changeOf", { name: one.name })} onClick={() => setOpen(one.name)}>
                        {t("access.change")}
                      </Button>
                    )}
                  </span>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {(open === null || person) && <PersonDialog user={person} onClose={() => setOpen(undefined)} />}
      {guarded && <GuardDialog person={guarded} onClose={() => setGuarding(undefined)} />}
    </Panel>
  );
}

function SecondFactor({ of }: { of: SafeguardsAnswer }) {
  const t = useT();
  const list = useList();
  const has = factorsOf(of);
  if (!of.second_factor && of.needed && !of.disabled) {
    return (
      <span className={styles.odd}>
        <QualitySymbol look="uncertain" /> {t("guard.missing")}
      </span>
    );
  }
  return <>{has.length === 0 ? "—" : list(has.map(({ key, n }) => t(key, { n })))}</>;
}

function State({ of: { disabled, must_change_password, guarded } }: { of: Person }) {
  const t = useT();
  const now = useNow();
  if (disabled) {
    return (
      <span className={styles.odd}>
        <QualitySymbol look="bad" /> {t("access.disabled")}
      </span>
    );
  }
  const locked = guarded?.locked_until ? parseTime(guarded.locked_until) : 0;
  if (locked > now) {
    return (
      <span className={styles.odd}>
        <QualitySymbol look="bad" /> {t("guard.locked", { at: until(locked, now) })}
      </span>
    );
  }
  return <>{must_change_password ? t("access.oneTime") : t("access.active")}</>;
}

/** `Operator on Press line 1 until 18:00`. */
function Parts({ of }: { of: readonly PartAnswer[] }) {
  const t = useT();
  const now = useNow();
  const { title } = useRoles();
  const titleOf = useAssetTitle();
  return (
    <ul className={styles.chips}>
      {of.map((part) => {
        const ends = part.expires_at === null ? null : parseTime(part.expires_at);
        const where = part.path === "" ? t("access.everywhere") : titleOf(part.path);
        const over = ends !== null && ends <= now;
        return (
          <li key={`${part.role} ${part.path}`} className={styles.chip} data-over={over} title={part.path}>
            {ends === null
              ? t("access.part", { role: title(part.role), asset: where })
              : over
                ? t("access.partOver", { role: title(part.role), asset: where })
                : t("access.partUntil", { role: title(part.role), asset: where, at: until(ends, now) })}
          </li>
        );
      })}
    </ul>
  );
}
