/** Tokens: how programs come in. Each says what it is good for, until when, and when it was last used. */
import { Button } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ask, client, type TokenAnswer } from "../../api/client";
import { queryClient, tokensQuery } from "../../api/queries";
import { useRoles } from "../../app/roles";
import { dateTime, parseTime } from "../../format/time";
import { useList, useT } from "../../i18n";
import { useNow } from "../../live/hooks";
import { Icon } from "../../ui/Icon";
import { Age, Empty, Panel, parts, Problem } from "../../ui/Page";
import { Sure } from "../../ui/Sure";
import { QualitySymbol } from "../../ui/Value";
import styles from "./access.module.css";
import { useAssetTitle } from "./AssetPicker";
import { TokenDialog } from "./TokenDialog";

export const freshTokens = () => void queryClient.invalidateQueries({ queryKey: tokensQuery.queryKey });

export function Tokens() {
  const t = useT();
  const { title } = useRoles();
  const titleOf = useAssetTitle();
  const list = useList();
  const { data, error } = useQuery(tokensQuery);
  const [adding, setAdding] = useState(false);
  const remove = useMutation({ mutationFn: (id: string) => ask(client.DELETE("/api/v1/tokens/{id}", { params: { path: { id } } })), onSettled: freshTokens });
  return (
    <Panel
      title={t("access.tokens")}
      aside={
        <Button size="xs" leftSection={<Icon name="plus" size={14} />} onClick={() => setAdding(true)}>
          {t("access.addToken")}
        </Button>
      }
    >
      <Problem error={error ?? remove.error} />
      {data?.length === 0 ? (
        <Empty>{t("access.noTokens")}</Empty>
      ) : (
        <table className={`${parts.table} ${styles.stack}`} aria-label={t("access.tokens")}>
          <thead>
            <tr>
              <th>{t("access.name")}</th>
              <th>{t("access.role")}</th>
              <th>{t("access.assets")}</th>
              <th>{t("access.scopes")}</th>
              <th>{t("access.created")}</th>
              <th>{t("access.expires")}</th>
              <th>{t("access.lastUsed")}</th>
              <th>
                <span className="unseen">{t("explore.actions")}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {data?.map((token) => (
              <tr key={token.id}>
                <td className={styles.lead}>
                  <b>{token.name}</b>
                </td>
                <td data-label={t("access.role")}>{title(token.role)}</td>
                <td data-label={t("access.assets")} title={token.paths.join("\n")}>{token.paths.length === 0 ? t("access.everywhere") : list(token.paths.map(titleOf))}</td>
                <td data-label={t("access.scopes")}>{token.actions.length === 0 ? t("access.allOfRole") : list(token.actions.map((one) => t(`right.${one}`)))}</td>
                <td data-label={t("access.created")} className={styles.time}>
                  {dateTime(parseTime(token.created_at)).slice(0, 10)} · {token.created_by}
                </td>
                <td data-label={t("access.expires")} className={styles.time}>
                  <Expiry token={token} />
                </td>
                <td data-label={t("access.lastUsed")} className={styles.time}>
                  {token.last_used_at ? <Age at={token.last_used_at} /> : t("access.unused")}
                </td>
                <td className={styles.acts}>
                  <Sure label={t("access.withdraw")} onSure={() => remove.mutate(token.id)} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {adding && <TokenDialog onClose={() => setAdding(false)} />}
    </Panel>
  );
}

function Expiry({ token }: { token: TokenAnswer }) {
  const t = useT();
  const now = useNow();
  if (!token.expires_at) return <>{t("access.never")}</>;
  const at = parseTime(token.expires_at);
  if (at > now) return <>{dateTime(at).slice(0, 16)}</>;
  return (
    <span className={styles.odd}>
      <QualitySymbol look="bad" /> {t("access.expired", { at: dateTime(at).slice(0, 10) })}
    </span>
  );
}
