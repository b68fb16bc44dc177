/** Alarms that match some words: of their name, their message or their asset. */
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import type { AlarmAnswer } from "../../api/client";
import { assetsQuery } from "../../api/queries";
import type { Title } from "../../i18n";

const NO_ASSETS: ReadonlyMap<string, Title> = new Map();

export function useAssetTitles(): ReadonlyMap<string, Title> {
  const { data: assets } = useQuery(assetsQuery);
  return useMemo(() => (assets ? new Map(assets.map((asset) => [asset.path, asset.title])) : NO_ASSETS), [assets]);
}

export function useMatching<A extends AlarmAnswer>(alarms: readonly A[], text: string): { matching: readonly A[]; names: ReadonlyMap<string, Title> } {
  const names = useAssetTitles();
  const words = text.trim().toLowerCase();
  const matching = useMemo(() => {
    if (words === "") return alarms;
    const hay = (alarm: A) => `${alarm.rule} ${Object.values(alarm.message).join(" ")} ${Object.values(names.get(alarm.asset) ?? {}).join(" ")}`.toLowerCase();
    return alarms.filter((alarm) => hay(alarm).includes(words));
  }, [alarms, names, words]);
  return { matching, names };
}
