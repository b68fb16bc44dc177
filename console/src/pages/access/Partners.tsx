/** What partners may see of us, and what they let us see: a part, its points, a span of time, a purpose and an end. */
import { Button, Checkbox } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { ask, client, type GrantAnswer } from "../../api/client";
import { grantsQuery, queryClient } from "../../api/queries";
import { useSession } from "../../app/session";
import { useFirmTitle } from "../../app/shared";
import { dateTime, parseTime } from "../../format/time";
import { type Translate, useT } from "../../i18n";
import { useNow } from "../../live/hooks";
import { Icon } from "../../ui/Icon";
import { Empty, Panel, parts, Problem } from "../../ui/Page";
import { Sure } from "../../ui/Sure";
import systemStyles from "../system/system.module.css";
import styles from "./access.module.css";
import { useAssetTitle } from "./AssetPicker";
import { GrantDialog } from "./GrantDialog";

export const freshGrants = () => void queryClient.invalidateQueries({ queryKey: grantsQuery.queryKey });

const isOver = (grant: GrantAnswer, now: number) => grant.ended_at !== null || (grant.expires_at !== null && parseTime(grant.expires_at) <= now);
const minute = (text: string) => dateTime(parseTime(text)).slice(0, 16);

export function Partners() {
  const t = useT();
  const { may } = useSession();
  const { data, error } = useQuery(grantsQuery);
  const [adding, setAdding] = useState(false);
  const shares = may("share");
  return (
    <div className={systemStyles.runtime}>
      <Problem error={error} />
      <Grants
        title={t("partners.given")}
        none={t("partners.noneGiven")}
        grants={data?.given ?? []}
        firm="partner"
        mayEnd={shares}
        aside={
          shares && (
            <Button size="xs" leftSection={<Icon name="plus" size={14} />} onClick={() => setAdding(true)}>
              {t("partners.add")}
            </Button>
          )
        }
      />
      <Grants title={t("partners.received")} none={t("partners.noneReceived")} grants={data?.received ?? []} firm="owner" mayEnd={false} />
      {adding && <GrantDialog onClose={() => setAdding(false)} />}
    </div>
  );
}

interface GrantsProps {
  title: string;
  none: string;
  grants: readonly GrantAnswer[];
  firm: "partner" | "owner";
  mayEnd: boolean;
  aside?: ReactNode;
}

function Grants({ title, none, grants, firm, mayEnd, aside }: GrantsProps) {
  const t = useT();
  const now = useNow();
  const firmTitle = useFirmTitle();
  const assetTitle = useAssetTitle();
  const [all, setAll] = useState(false);
  const end = useMutation({ mutationFn: (id: string) => ask(client.POST("/api/v1/grants/{id}/end", { params: { path: { id } } })), onSettled: freshGrants });
  const over = grants.filter((one) => isOver(one, now));
  const shown = all ? grants : grants.filter((one) => !isOver(one, now));
  return (
    <Panel title={title} aside={aside} label={title}>
      <Problem error={end.error} />
      {shown.length === 0 ? (
        <Empty>{none}</Empty>
      ) : (
        <table className={`${parts.table} ${styles.stack}`} aria-label={title}>
          <thead>
            <tr>
              <th>{t("partners.firm")}</th>
              <th>{t("partners.asset")}</th>
              <th>{t("partners.points")}</th>
              <th>{t("partners.span")}</th>
              <th>{t("partners.purpose")}</th>
              <th>{t("partners.ends")}</th>
              <th>
                <span className="unseen">{t("explore.actions")}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((grant) => (
              <tr key={grant.id} data-over={isOver(grant, now)}>
                <td className={styles.lead}>
                  <b>{firmTitle(grant[firm])}</b>
                </td>
                <td data-label={t("partners.asset")}>
                  <Link to="/explore/$" params={{ _splat: grant.asset }}>
                    {assetTitle(grant.asset)}
                  </Link>
                  <div className={parts.path}>{grant.asset}</div>
                </td>
                <td data-label={t("partners.points")}>{grant.points.length === 0 ? t("partners.allPoints") : <span className="code">{grant.points.join("  ")}</span>}</td>
                <td data-label={t("partners.span")}>{spanText(grant, t)}</td>
                <td data-label={t("partners.purpose")} className={styles.purpose}>{grant.purpose}</td>
                <td data-label={t("partners.ends")}>{endText(grant, now, t)}</td>
                <td className={styles.acts}>{mayEnd && !isOver(grant, now) && <Sure label={t("partners.end")} loading={end.isPending} onSure={() => end.mutate(grant.id)} />}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {over.length > 0 && (
        <div className={styles.foot}>
          <Checkbox label={t("partners.showEnded", { n: over.length })} checked={all} onChange={(event) => setAll(event.currentTarget.checked)} />
        </div>
      )}
    </Panel>
  );
}

function spanText({ start, end }: GrantAnswer, t: Translate): string {
  if (start !== null && end !== null) return t("partners.between", { start: minute(start), end: minute(end) });
  if (start !== null) return t("partners.since", { start: minute(start) });
  return end === null ? t("partners.anyTime") : t("partners.before", { end: minute(end) });
}

function endText(grant: GrantAnswer, now: number, t: Translate): string {
  if (grant.ended_at !== null) return t("partners.endedBy", { at: minute(grant.ended_at), who: grant.ended_by });
  if (grant.expires_at === null) return t("partners.untilEnded");
  const at = minute(grant.expires_at);
  return parseTime(grant.expires_at) > now ? at : t("partners.ranOut", { at });
}
