/** Sessions: from where, proved how, since when, last used. On a phone each is a card. */
import type { OneSession } from "../../api/client";
import { dateTime, parseTime } from "../../format/time";
import { type Key, useT } from "../../i18n";
import { Age, parts } from "../../ui/Page";
import { Sure } from "../../ui/Sure";
import accessStyles from "../access/access.module.css";
import styles from "./account.module.css";

const WORDS: Readonly<Record<string, Key>> = {
  password: "signin.password",
  totp: "account.app",
  passkey: "account.passkey",
  recovery: "account.recoveryCode",
  provider: "account.theirs",
};

export function SessionTable({ label, sessions, onEnd }: { label: string; sessions: readonly OneSession[]; onEnd: (id: string) => void }) {
  const t = useT();
  const proved = (how: string) => how.split("+").map((part) => (WORDS[part] ? t(WORDS[part]) : part.replace(/^oidc:/, "")));
  return (
    <table className={`${parts.table} ${accessStyles.stack}`} aria-label={label}>
      <thead>
        <tr>
          <th>{t("account.where")}</th>
          <th>{t("account.how")}</th>
          <th>{t("account.since")}</th>
          <th>{t("access.lastUsed")}</th>
          <th>
            <span className="unseen">{t("explore.actions")}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {sessions.map((session) => (
          <tr key={session.id}>
            <td className={`${styles.where} ${accessStyles.lead}`}>
              <b>{session.peer}</b> {session.this && `(${t("account.this")})`}
              <small>{session.agent}</small>
            </td>
            <td data-label={t("account.how")}>{proved(session.proved).join(" + ")}</td>
            <td data-label={t("account.since")} className={accessStyles.time}>
              {dateTime(parseTime(session.created_at)).slice(0, 16)}
            </td>
            <td data-label={t("access.lastUsed")} className={accessStyles.time} title={dateTime(parseTime(session.last_used_at))}>
              <Age at={session.last_used_at} />
            </td>
            <td className={accessStyles.acts}>{!session.this && <Sure label={t("account.end")} onSure={() => onEnd(session.id)} />}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
