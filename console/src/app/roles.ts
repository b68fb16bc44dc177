/** Roles in the reader's words: built-in ones by the catalog, a tenant's own by the title that it gave them. */
import { useQuery } from "@tanstack/react-query";
import { useCallback } from "react";
import { type RoleAnswer, ROLES, type Role } from "../api/client";
import { rolesQuery } from "../api/queries";
import { type Translate, useList, useT } from "../i18n";

const isBuiltIn = (name: string): name is Role => (ROLES as readonly string[]).includes(name);

function titleOf(name: string, known: readonly RoleAnswer[], t: Translate): string {
  if (isBuiltIn(name)) return t(`role.${name}`);
  return known.find((one) => one.name === name)?.title || name;
}

const NONE: readonly RoleAnswer[] = [];

export function useRoles() {
  const t = useT();
  const list = useList();
  const { data: roles = NONE, error } = useQuery(rolesQuery);
  const title = useCallback((name: string) => titleOf(name, roles, t), [roles, t]);
  /** What a role is for; of an own one, what it allows. */
  const text = (name: string) => {
    if (isBuiltIn(name)) return t(`roleText.${name}`);
    const actions = roles.find((one) => one.name === name)?.actions ?? [];
    return actions.length === 0 ? t("roles.nothing") : t("roles.allows", { rights: list(actions.map((action) => t(`right.${action}`))) });
  };
  const names = roles.length > 0 ? roles.map((one) => one.name) : [...ROLES];
  return { roles, error, title, text, options: names.map((name) => ({ value: name, label: title(name) })) };
}

/** One role's title; asks for the tenant's own roles only when it is one. */
export function useRoleTitle(name: string): string {
  const t = useT();
  const { data } = useQuery({ ...rolesQuery, enabled: !isBuiltIn(name) });
  return titleOf(name, data ?? NONE, t);
}
