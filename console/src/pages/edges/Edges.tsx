/** Edges: machines that run a part of the platform. The network is one of the three pillars, so each link is measured. */
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { edgesQuery } from "../../api/queries";
import { useSession } from "../../app/session";
import { useT } from "../../i18n";
import { Icon } from "../../ui/Icon";
import { Empty, Page, Problem } from "../../ui/Page";
import { QualitySymbol } from "../../ui/Value";
import { EdgeCard } from "./EdgeCard";
import styles from "./edges.module.css";
import { InviteDialog } from "./InviteDialog";

export function Edges() {
  const t = useT();
  const { may } = useSession();
  const { data, error } = useQuery(edgesQuery);
  /** A new one, or one whose machine is replaced. */
  const [inviting, setInviting] = useState<{ name: string; prefix: string } | null>(null);
  const engineer = may("configure");
  const strangers = Object.entries(data?.strangers ?? {});
  return (
    <Page
      title={t("nav.edges")}
      aside={
        engineer && (
          <Button leftSection={<Icon name="plus" size={16} />} onClick={() => setInviting({ name: "", prefix: "" })}>
            {t("edges.invite")}
          </Button>
        )
      }
    >
      <Problem error={error} />
      {strangers.map(([connection, edge]) => (
        <div key={connection} className={styles.stranger}>
          <QualitySymbol look="uncertain" size={18} />
          <span>{t("edges.stranger", { connection, edge })}</span>
          {engineer && (
            <Button size="xs" variant="default" onClick={() => setInviting({ name: edge, prefix: "" })}>
              {t("edges.inviteThis")}
            </Button>
          )}
        </div>
      ))}
      {data?.edges.length === 0 && <Empty>{t("edges.none")}</Empty>}
      <div className={styles.edges}>
        {data?.edges.map((edge) => (
          <EdgeCard key={edge.name} edge={edge} onInvite={engineer ? () => setInviting(edge) : null} />
        ))}
      </div>
      {inviting && <InviteDialog name={inviting.name} prefix={inviting.prefix} onClose={() => setInviting(null)} />}
    </Page>
  );
}
