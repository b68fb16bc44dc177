/** Roles and what each allows, as a matrix; on a phone each role with its rights in words. And the policy. */
import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { ACTIONS, ask, client, type RoleAnswer } from "../../api/client";
import { queryClient, rolesQuery } from "../../api/queries";
import { useRoles } from "../../app/roles";
import { useT } from "../../i18n";
import { Icon } from "../../ui/Icon";
import { Panel, parts, Problem } from "../../ui/Page";
import { Sure } from "../../ui/Sure";
import { usePhone } from "../../ui/usePhone";
import systemStyles from "../system/system.module.css";
import styles from "./access.module.css";
import { Policy } from "./Policy";
import { RoleDialog } from "./RoleDialog";

export const freshRoles = () => void queryClient.invalidateQueries({ queryKey: rolesQuery.queryKey });

export function Roles() {
  const t = useT();
  const phone = usePhone();
  const { roles, error } = useRoles();
  /** A role of one's own, `null` for a new one. */
  const [open, setOpen] = useState<RoleAnswer | null | undefined>(undefined);
  const remove = useMutation({ mutationFn: (name: string) => ask(client.DELETE("/api/v1/roles/{name}", { params: { path: { name } } })), onSettled: freshRoles });
  const acts = (role: RoleAnswer) =>
    !role.built_in && (
      <span className={styles.buttons}>
        <Button size="xs" variant="default" aria-label={t("access.changeOf", { name: role.title })} onClick={() => setOpen(role)}>
          {t("access.change")}
        </Button>
        <Sure label={t("access.delete")} onSure={() => remove.mutate(role.name)} />
      </span>
    );
  return (
    <div className={systemStyles.runtime}>
      <Policy />
      <Panel
        title={t("system.roles")}
        aside={
          <Button size="xs" leftSection={<Icon name="plus" size={14} />} onClick={() => setOpen(null)}>
            {t("roles.add")}
          </Button>
        }
      >
        <Problem error={error ?? remove.error} />
        {phone ? <List roles={roles} acts={acts} /> : <Matrix roles={roles} acts={acts} />}
      </Panel>
      {open !== undefined && <RoleDialog role={open} onClose={() => setOpen(undefined)} />}
    </div>
  );
}

interface TableProps {
  roles: readonly RoleAnswer[];
  acts: (role: RoleAnswer) => ReactNode;
}

function Matrix({ roles, acts }: TableProps) {
  const t = useT();
  const { title, text } = useRoles();
  return (
    <div className={parts.scroll} role="region" aria-label={t("system.roles")} tabIndex={0}>
      <table className={`${parts.table} ${styles.matrix}`} aria-label={t("system.roles")}>
        <thead>
          <tr>
            <th>{t("access.role")}</th>
            {ACTIONS.map((action) => (
              <th key={action} title={t(`rightText.${action}`)}>
                {t(`right.${action}`)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {roles.map((role) => (
            <tr key={role.name}>
              <th scope="row" title={text(role.name)}>
                {title(role.name)}
                {!role.built_in && <small className="code">{role.name}</small>}
                {acts(role)}
              </th>
              {ACTIONS.map((action) => (
                <td key={action}>
                  {role.actions.includes(action) ? (
                    <>
                      <Icon name="check" size={16} />
                      <span className="unseen">{t("roles.yes")}</span>
                    </>
                  ) : (
                    <span className="unseen">{t("roles.no")}</span>
                  )}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function List({ roles, acts }: TableProps) {
  const t = useT();
  const { title, text } = useRoles();
  return (
    <ul className={styles.roleList}>
      {roles.map((role) => (
        <li key={role.name}>
          <h3>{title(role.name)}</h3>
          {role.built_in ? <p>{text(role.name)}</p> : <p className="code">{role.name}</p>}
          {role.actions.length > 0 && (
            <ul className={styles.chips}>
              {ACTIONS.filter((action) => role.actions.includes(action)).map((action) => (
                <li key={action} className={styles.chip}>
                  {t(`right.${action}`)}
                </li>
              ))}
            </ul>
          )}
          {acts(role)}
        </li>
      ))}
    </ul>
  );
}
