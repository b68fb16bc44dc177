/** Firms on this platform: taken in by its operator, who hands their first accounts over and does not see into them. */
import { Button } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ask, client, type TenantAnswer } from "../../api/client";
import { queryClient, tenantsQuery } from "../../api/queries";
import { proven } from "../../app/FreshProof";
import { dateTime, parseTime } from "../../format/time";
import { useT } from "../../i18n";
import { Icon } from "../../ui/Icon";
import { Panel, parts, Problem } from "../../ui/Page";
import { Sure } from "../../ui/Sure";
import { QualitySymbol } from "../../ui/Value";
import styles from "./access.module.css";
import { FirmDialog } from "./FirmDialog";

export const freshTenants = () => void queryClient.invalidateQueries({ queryKey: tenantsQuery.queryKey });

export function Firms() {
  const t = useT();
  const { data, error } = useQuery(tenantsQuery);
  const [adding, setAdding] = useState(false);
  const change = useMutation({
    mutationFn: ({ name, disabled }: { name: string; disabled: boolean }) => proven(() => ask(client.PATCH("/api/v1/tenants/{name}", { params: { path: { name } }, body: { disabled } }))),
    onSettled: freshTenants,
  });
  return (
    <Panel
      title={t("system.firms")}
      aside={
        <Button size="xs" leftSection={<Icon name="plus" size={14} />} onClick={() => setAdding(true)}>
          {t("firms.add")}
        </Button>
      }
    >
      <Problem error={error ?? change.error} />
      <table className={`${parts.table} ${styles.stack}`} aria-label={t("system.firms")}>
        <thead>
          <tr>
            <th>{t("firms.title")}</th>
            <th>{t("access.name")}</th>
            <th>{t("firms.roots")}</th>
            <th>{t("firms.duties")}</th>
            <th>{t("access.created")}</th>
            <th>{t("access.state")}</th>
            <th>
              <span className="unseen">{t("explore.actions")}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {data?.map((firm) => (
            <tr key={firm.name}>
              <td className={styles.lead}>
                <b>{firm.name === "default" ? t("firms.own") : firm.title || firm.name}</b>
              </td>
              <td data-label={t("access.name")} className="code">
                {firm.name}
              </td>
              <td data-label={t("firms.roots")}>{firm.roots.length === 0 ? t("firms.rest") : <span className="code">{firm.roots.join("  ")}</span>}</td>
              <td data-label={t("firms.duties")}>{t(firm.policy.separate_duties ? "firms.separate" : "firms.together")}</td>
              <td data-label={t("access.created")} className={styles.time}>{firm.created_at === null ? "—" : dateTime(parseTime(firm.created_at)).slice(0, 10)}</td>
              <td data-label={t("access.state")}>
                <State firm={firm} />
              </td>
              <td className={styles.acts}>
                {firm.name !== "default" &&
                  (firm.disabled ? (
                    <Button size="xs" variant="default" onClick={() => change.mutate({ name: firm.name, disabled: false })}>
                      {t("firms.reopen")}
                    </Button>
                  ) : (
                    <Sure label={t("firms.close")} loading={change.isPending} onSure={() => change.mutate({ name: firm.name, disabled: true })} />
                  ))}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <p className={styles.foot}>{t("firms.text")}</p>
      {adding && <FirmDialog onClose={() => setAdding(false)} />}
    </Panel>
  );
}

function State({ firm }: { firm: TenantAnswer }) {
  const t = useT();
  if (!firm.disabled) return <>{t("firms.open")}</>;
  return (
    <span className={styles.odd}>
      <QualitySymbol look="bad" /> {t("firms.closed")}
    </span>
  );
}
