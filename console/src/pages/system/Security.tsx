/** What this installation is set to where security is concerned, beside what is advised. Nothing is changed here. */
import { useQuery } from "@tanstack/react-query";
import type { components } from "../../api/schema";
import { securityQuery } from "../../api/queries";
import { type Key, useT } from "../../i18n";
import { Empty, Panel, parts, Problem } from "../../ui/Page";
import { QualitySymbol } from "../../ui/Value";
import styles from "./system.module.css";

type Setting = components["schemas"]["SecuritySetting"];

const ORDER: Record<Setting["judged"], number> = { differs: 0, look: 1, "as-advised": 2 };
const WORDS = new Set(["off", "on", "none", "any", "set", "home", "elsewhere", "administrators", "everyone"]);

export function Security() {
  const t = useT();
  const { data, error } = useQuery(securityQuery);
  if (!data) return error ? <Problem error={error} /> : <Empty>{t("state.loading")}</Empty>;
  const settings = [...data].sort((a, b) => ORDER[a.judged] - ORDER[b.judged]);
  const value = (text: string) => (WORDS.has(text) ? t(`posture.value.${text}` as Key) : text);
  return (
    <Panel title={t("posture.title")}>
      <p className={styles.lead}>{t("posture.lead")}</p>
      <div className={parts.scroll}>
        <table className={parts.table}>
          <thead>
            <tr>
              <th>{t("posture.setting")}</th>
              <th>{t("posture.judged")}</th>
              <th>{t("posture.value")}</th>
              <th>{t("posture.advised")}</th>
              <th>{t("posture.clause")}</th>
            </tr>
          </thead>
          <tbody>
            {settings.map((one) => (
              <tr key={one.name}>
                <td className={styles.value}>{t(`posture.name.${one.name}` as Key)}</td>
                <td className={styles.judged}>
                  {one.judged === "differs" ? <QualitySymbol look="bad" /> : one.judged === "look" ? <QualitySymbol look="uncertain" /> : null}{" "}
                  {t(`posture.judged.${one.judged}`)}
                </td>
                <td className={styles.value}>{value(one.value)}</td>
                <td className={styles.value}>{t(`posture.advice.${one.name}` as Key)}</td>
                <td>{one.clause}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
