/** Fields as an app declares them: settings, and forms on its pages. Each shows what is wrong with it, at its place. */
import { ActionIcon, Autocomplete, Button, Checkbox, PasswordInput, Select, Textarea, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import type { SettingAnswer } from "../../api/client";
import { searchQuery } from "../../api/queries";
import { displayUnit } from "../../format/unit";
import { useT, useTitle } from "../../i18n";
import { Icon } from "../../ui/Icon";
import { parts } from "../../ui/Page";
import { AssetPicker } from "../access/AssetPicker";
import styles from "./apps.module.css";
import { blank, boundsOf, type Draft, type Drafts, type Wrong } from "./drafts";

interface FieldsProps {
  form: readonly SettingAnswer[];
  drafts: Drafts;
  wrong: readonly Wrong[];
  onChange: (drafts: Drafts) => void;
  /** Secrets that are filled in, and those that are to be taken away. */
  filled?: readonly string[];
  gone?: readonly string[];
  onGone?: (names: string[]) => void;
}

const NONE: readonly string[] = [];

export function Fields({ form, drafts, wrong, onChange, filled = NONE, gone = NONE, onGone }: FieldsProps) {
  const t = useT();
  return form.map((setting) => {
    const set = (draft: Draft) => onChange({ ...drafts, [setting.name]: draft });
    const draft = drafts[setting.name] ?? blank(setting);
    if (setting.kind === "table") return <TableField key={setting.name} setting={setting} rows={draft as Drafts[]} wrong={wrong} onChange={set} />;
    if (setting.many) return <ManyField key={setting.name} setting={setting} items={draft as Draft[]} wrong={wrong} onChange={set} />;
    const kept = setting.kind === "secret" && filled.includes(setting.name);
    return (
      <div key={setting.name} className={styles.field}>
        <OneField setting={setting} draft={draft} at={setting.name} wrong={wrong} onChange={set} note={kept ? t("apps.settings.filled") : ""} />
        {kept && onGone && (
          <Checkbox
            size="xs"
            label={t("apps.settings.takeAway")}
            checked={gone.includes(setting.name)}
            onChange={(event) => onGone(event.currentTarget.checked ? [...gone, setting.name] : gone.filter((name) => name !== setting.name))}
          />
        )}
      </div>
    );
  });
}

function useWords() {
  const t = useT();
  const title = useTitle();
  return {
    label: (setting: SettingAnswer) => `${title(setting.title, setting.name)}${setting.unit === "" || setting.unit === "1" ? "" : ` (${displayUnit(setting.unit)})`}`,
    help: (setting: SettingAnswer, note = "") => {
      const bounds = boundsOf(setting);
      const own = Object.keys(setting.help).length > 0 ? title(setting.help, "") : "";
      return [own, bounds ? t(bounds.key, bounds.params) : "", note].filter(Boolean).join(" · ") || undefined;
    },
    error: (wrong: readonly Wrong[], at: string) => {
      const found = wrong.find((one) => one.at === at);
      return found === undefined ? undefined : found.key ? t(found.key, found.params) : found.text || t("apps.settings.needed");
    },
  };
}

interface OneProps {
  setting: SettingAnswer;
  draft: Draft;
  at: string;
  wrong: readonly Wrong[];
  onChange: (draft: Draft) => void;
  note?: string;
  /** Said to who does not see the column's head; the label is not drawn then. */
  cell?: string;
}

function OneField({ setting, draft, at, wrong, onChange, note = "", cell }: OneProps) {
  const words = useWords();
  const title = useTitle();
  const error = words.error(wrong, at);
  const named = cell === undefined ? { label: words.label(setting), description: words.help(setting, note), withAsterisk: needed(setting) } : { "aria-label": cell };
  const common = { ...named, error, ...(error === undefined ? {} : { "data-wrong": true }) };
  const text = String(draft);
  switch (setting.kind) {
    case "boolean":
      return <Checkbox checked={draft === true} onChange={(event) => onChange(event.currentTarget.checked)} error={error} {...(cell === undefined ? { label: words.label(setting), description: words.help(setting) } : { "aria-label": cell })} />;
    case "choice":
      return (
        <Select
          {...common}
          data={Object.entries(setting.choices).map(([value, words]) => ({ value, label: title(words, value) }))}
          value={text || null}
          clearable={setting.optional}
          onChange={(value) => onChange(value ?? "")}
        />
      );
    case "zone":
      return <Select {...common} searchable data={ZONES} limit={100} value={text || null} onChange={(value) => onChange(value ?? "")} />;
    case "asset":
      return <AssetPicker {...common} value={text} clearable={setting.optional} onChange={onChange} />;
    case "point":
      return <PointField {...common} value={text} onChange={onChange} />;
    case "secret":
      return <PasswordInput {...common} autoComplete="new-password" value={text} onChange={(event) => onChange(event.currentTarget.value)} />;
    case "text":
      return cell === undefined && text.length > 60
        ? <Textarea {...common} autosize value={text} onChange={(event) => onChange(event.currentTarget.value)} />
        : <TextInput {...common} value={text} onChange={(event) => onChange(event.currentTarget.value)} />;
    default:
      return <TextInput {...common} inputMode={setting.kind === "duration" ? "text" : "decimal"} placeholder={setting.kind === "duration" ? "2min" : undefined} value={text} onChange={(event) => onChange(event.currentTarget.value)} />;
  }
}

const needed = (setting: SettingAnswer) => !setting.optional && (setting.default === null || setting.default === undefined);
const ZONES = ["UTC", ...(Intl.supportedValuesOf?.("timeZone") ?? []).filter((zone) => zone !== "UTC")];

function PointField({ value, onChange, ...rest }: { value: string; onChange: (path: string) => void } & Record<string, unknown>) {
  const [asked] = useDebouncedValue(value, 150);
  const { data } = useQuery(searchQuery(asked));
  return <Autocomplete {...rest} size="sm" data={(data?.points ?? []).map((point) => point.path)} filter={({ options }) => options} value={value} onChange={onChange} />;
}

function ManyField({ setting, items, wrong, onChange }: { setting: SettingAnswer; items: Draft[]; wrong: readonly Wrong[]; onChange: (items: Draft[]) => void }) {
  const t = useT();
  const words = useWords();
  const name = words.label(setting);
  return (
    <fieldset className={styles.many}>
      <legend>{name}</legend>
      <Hint setting={setting} wrong={wrong} />
      {items.map((item, index) => (
        // A field is its place: there is nothing else that tells two equal ones apart.
        // oxlint-disable-next-line no-array-index-key
        <div key={index} className={styles.manyRow}>
          <OneField setting={setting} draft={item} at={`${setting.name}.${index + 1}`} wrong={wrong} cell={t("apps.settings.cell", { column: name, n: index + 1 })} onChange={(draft) => onChange(items.with(index, draft))} />
          <Remove n={index + 1} title={name} onRemove={() => onChange(items.toSpliced(index, 1))} />
        </div>
      ))}
      <Button size="xs" variant="default" leftSection={<Icon name="plus" size={14} />} onClick={() => onChange([...items, setting.kind === "boolean" ? false : ""])}>
        {t("apps.settings.addOne")}
      </Button>
    </fieldset>
  );
}

function TableField({ setting, rows, wrong, onChange }: { setting: SettingAnswer; rows: Drafts[]; wrong: readonly Wrong[]; onChange: (rows: Draft[]) => void }) {
  const t = useT();
  const words = useWords();
  const name = words.label(setting);
  const set = (index: number, column: string, draft: Draft) => onChange(rows.with(index, { ...rows[index], [column]: draft }));
  const fresh = useMemo(() => Object.fromEntries(setting.columns.map((column) => [column.name, blank(column)])), [setting]);
  return (
    <fieldset className={styles.many}>
      <legend>{name}</legend>
      <Hint setting={setting} wrong={wrong} />
      {rows.length > 0 && (
        <div className={parts.scroll} tabIndex={0} role="region" aria-label={name}>
          <table className={styles.cells}>
            <thead>
              <tr>
                {setting.columns.map((column) => (
                  <th key={column.name} scope="col" title={words.help(column)}>
                    {words.label(column)}
                    {needed(column) && <span aria-hidden> *</span>}
                  </th>
                ))}
                <th>
                  <span className="unseen">{t("action.more")}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row, index) => (
                // oxlint-disable-next-line no-array-index-key
                <tr key={index}>
                  {setting.columns.map((column) => (
                    <td key={column.name}>
                      <OneField
                        setting={column}
                        draft={row[column.name] ?? blank(column)}
                        at={`${setting.name}.${index + 1}.${column.name}`}
                        wrong={wrong}
                        cell={t("apps.settings.cell", { column: words.label(column), n: index + 1 })}
                        onChange={(draft) => set(index, column.name, draft)}
                      />
                    </td>
                  ))}
                  <td className={styles.rowActs}>
                    {index > 0 && (
                      <ActionIcon variant="subtle" color="gray" aria-label={t("apps.settings.rowUp", { n: index + 1, title: name })} onClick={() => onChange(rows.toSpliced(index, 1).toSpliced(index - 1, 0, row))}>
                        <span aria-hidden>↑</span>
                      </ActionIcon>
                    )}
                    <Remove n={index + 1} title={name} onRemove={() => onChange(rows.toSpliced(index, 1))} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Button size="xs" variant="default" leftSection={<Icon name="plus" size={14} />} onClick={() => onChange([...rows, fresh])}>
        {t("apps.settings.addRow")}
      </Button>
    </fieldset>
  );
}

function Hint({ setting, wrong }: { setting: SettingAnswer; wrong: readonly Wrong[] }) {
  const words = useWords();
  const [help, error] = [words.help(setting), words.error(wrong, setting.name)];
  return (
    <>
      {help !== undefined && <p className={styles.hint}>{help}</p>}
      {error !== undefined && <p className={styles.error} data-wrong>{error}</p>}
    </>
  );
}

function Remove({ n, title, onRemove }: { n: number; title: string; onRemove: () => void }) {
  const t = useT();
  return (
    <ActionIcon variant="subtle" color="gray" aria-label={t("apps.settings.removeRow", { n, title })} onClick={onRemove}>
      <Icon name="close" size={14} />
    </ActionIcon>
  );
}
