/** Roles on parts of the plant: a role, an asset, and for lent authority the time at which it ends. */
import { ActionIcon, Button, Select, TextInput } from "@mantine/core";
import type { PartAnswer, PartRequest } from "../../api/client";
import { useRoles } from "../../app/roles";
import { localInput, parseLocal, parseTime, rfc3339 } from "../../format/time";
import { useT } from "../../i18n";
import { Icon } from "../../ui/Icon";
import styles from "./access.module.css";
import { AssetPicker } from "./AssetPicker";

export interface PartDraft {
  key: number;
  role: string;
  path: string;
  until: string;
  /** The exact end that was given before, kept while nobody touches it: an input has no seconds. */
  exact: string | null;
}

let lastKey = 0;
const draft = (rest: Omit<PartDraft, "key">): PartDraft => ({ key: (lastKey += 1), ...rest });

/** What has ended is left out: the platform takes no role that would have ended already. */
export const draftsOf = (of: readonly PartAnswer[]): PartDraft[] =>
  of
    .filter((part) => part.expires_at === null || parseTime(part.expires_at) > Date.now())
    .map((part) => draft({ role: part.role, path: part.path, until: part.expires_at === null ? "" : localInput(parseTime(part.expires_at)), exact: part.expires_at }));

export const partsOf = (drafts: readonly PartDraft[]): PartRequest[] =>
  drafts.map(({ role, path, until, exact }) => {
    const ends = exact ?? (until === "" ? null : rfc3339(parseLocal(until)));
    return { role, path, ...(ends === null ? {} : { expires_at: ends }) };
  });

export function PartsEditor({ value, onChange }: { value: readonly PartDraft[]; onChange: (value: PartDraft[]) => void }) {
  const t = useT();
  const { options } = useRoles();
  const set = (at: number, next: Partial<PartDraft>) => onChange(value.map((one, index) => (index === at ? { ...one, ...next } : one)));
  return (
    <fieldset className={styles.partsEditor}>
      <legend>{t("access.parts")}</legend>
      <p>{t("access.partsText")}</p>
      {value.map((part, index) => (
        <div key={part.key} className={styles.partRow} role="group" aria-label={t("access.partNumber", { n: index + 1 })}>
          <div>
            <Select label={t("access.role")} value={part.role} data={options.filter((one) => one.value !== "member")} onChange={(role) => set(index, { role: role ?? part.role })} />
          </div>
          <div>
            <AssetPicker label={t("access.onAsset")} required value={part.path} onChange={(path) => set(index, { path })} />
          </div>
          <TextInput label={t("access.until")} type="datetime-local" value={part.until} onChange={(event) => set(index, { until: event.currentTarget.value, exact: null })} />
          <ActionIcon variant="default" size={34} aria-label={t("access.removePart", { n: index + 1 })} onClick={() => onChange(value.filter((_, other) => other !== index))}>
            <Icon name="close" size={16} />
          </ActionIcon>
        </div>
      ))}
      <div>
        <Button size="xs" variant="default" leftSection={<Icon name="plus" size={14} />} onClick={() => onChange([...value, draft({ role: "operator", path: "", until: "", exact: null })])}>
          {t("access.addPart")}
        </Button>
      </div>
    </fieldset>
  );
}
