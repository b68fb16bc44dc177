/** Rules by name: found by the words of their points, all of them where none is chosen. */
import { Button, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { searchQuery } from "../../../api/queries";
import { useT } from "../../../i18n";
import { Icon } from "../../../ui/Icon";
import styles from "./backtests.module.css";

const SHOWN = 12;

interface RulePickerProps {
  rules: readonly string[];
  onChange: (rules: readonly string[]) => void;
  /** What it means that none and that some are chosen, and what the field asks for. */
  all: string;
  some: string;
  find: string;
}

export function RulePicker({ rules, onChange, all, some, find }: RulePickerProps) {
  const t = useT();
  const [text, setText] = useState("");
  const { data } = useQuery(searchQuery(text));
  const found = text.trim() === "" ? [] : (data?.points ?? []).flatMap((point) => point.alarms.map((one) => one.rule)).filter((rule) => !rules.includes(rule));
  return (
    <fieldset className={styles.picker}>
      <legend>{rules.length === 0 ? all : some}</legend>
      {rules.length > 0 && (
        <ul>
          {rules.map((rule) => (
            <li key={rule}>
              <span>{rule}</span>
              <button type="button" aria-label={t("backtest.leaveOut", { rule })} onClick={() => onChange(rules.filter((one) => one !== rule))}>
                <Icon name="close" size={14} />
              </button>
            </li>
          ))}
        </ul>
      )}
      <TextInput label={find} placeholder={t("search.hint")} value={text} onChange={(event) => setText(event.currentTarget.value)} />
      {found.length > 0 && (
        <div className={styles.found}>
          {found.slice(0, SHOWN).map((rule) => (
            <Button key={rule} size="compact-xs" variant="default" leftSection={<Icon name="plus" size={12} />} onClick={() => onChange([...rules, rule])}>
              {rule}
            </Button>
          ))}
          {found.length > SHOWN && <span>{t("overview.moreAlarms", { n: found.length - SHOWN })}</span>}
        </div>
      )}
      {text.trim() !== "" && data && found.length === 0 && <p>{t("search.none", { text: text.slice(0, 60) })}</p>}
    </fieldset>
  );
}
