/** Which parts of the plant on screen are a partner's: seen through a grant, read only. */
import { useQuery } from "@tanstack/react-query";
import { useCallback } from "react";
import type { GrantAnswer } from "../api/client";
import { grantsQuery, partnersQuery, tenantQuery } from "../api/queries";
import { useT } from "../i18n";
import { useSession } from "./session";

const NONE: readonly GrantAnswer[] = [];
const within = (path: string, asset: string) => `${path}/`.startsWith(`${asset}/`);
export const rootOf = (path: string) => path.split("/", 1)[0] as string;

export function useShared() {
  const { may, tenant } = useSession();
  const { data: grants } = useQuery({ ...grantsQuery, enabled: may("view") });
  const { data: own } = useQuery({ ...tenantQuery, enabled: may("view") });
  const received = grants?.received ?? NONE;
  const roots = own?.roots;
  /** The firm whose asset this is, where it is not our own. */
  const ownerOf = useCallback(
    (path: string): string | null => {
      // The platform's own tenant has every root that nobody else has: there a grant tells what is a partner's.
      const theirs = tenant === "default" ? received.some((one) => rootOf(one.asset) === rootOf(path)) : roots !== undefined && !roots.includes(rootOf(path));
      if (!theirs || rootOf(path) === "system") return null;
      return (received.find((one) => within(path, one.asset)) ?? received.find((one) => rootOf(one.asset) === rootOf(path)))?.owner ?? rootOf(path);
    },
    [tenant, received, roots],
  );
  return { received, ownerOf };
}

/** A firm by its title, as far as one may know it: those one may share with, and those one shares with. */
export function useFirmTitle(): (name: string) => string {
  const t = useT();
  const { may } = useSession();
  const { data: partners } = useQuery({ ...partnersQuery, enabled: may("share") });
  const { data: grants } = useQuery({ ...grantsQuery, enabled: may("view") });
  return useCallback(
    (name) => partners?.find((one) => one.name === name)?.title || grants?.titles[name] || (name === "default" ? t("explore.operator") : name),
    [partners, grants, t],
  );
}
