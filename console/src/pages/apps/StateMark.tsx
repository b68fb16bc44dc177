/** The state of an app: a shape and a word, never a colour alone. */
import type { AppAnswer } from "../../api/client";
import { useT } from "../../i18n";
import { QualitySymbol } from "../../ui/Value";
import styles from "./apps.module.css";

const LOOKS = { running: "good", starting: "stale", halted: "bad" } as const;

export function StateMark({ state }: { state: AppAnswer["state"] }) {
  const t = useT();
  const look = state === "running" || state === "starting" || state === "halted" ? LOOKS[state] : null;
  return (
    <span className={styles.state} data-state={state}>
      {look && <QualitySymbol look={look} size={14} />}
      {t(`apps.state.${state}`)}
    </span>
  );
}
