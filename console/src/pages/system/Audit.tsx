/** Who did what, newest first. */
import { Button } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { ask, client } from "../../api/client";
import { dateTime, parseTime } from "../../format/time";
import { useT } from "../../i18n";
import { Empty, Panel, parts, Problem } from "../../ui/Page";
import styles from "./system.module.css";

export function Audit() {
  const t = useT();
  const audit = useInfiniteQuery({
    queryKey: ["audit"],
    queryFn: ({ pageParam, signal }) => ask(client.GET("/api/v1/audit", { params: { query: { limit: 100, ...(pageParam ? { cursor: pageParam } : {}) } }, signal })),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const entries = audit.data?.pages.flatMap((page) => page.entries) ?? [];
  return (
    <>
      <Problem error={audit.error} />
      <Panel label={t("system.audit")}>
        {entries.length === 0 ? (
          <Empty>{audit.isPending ? t("state.loading") : t("system.noAudit")}</Empty>
        ) : (
          <div className={parts.scroll}>
            <table className={parts.table}>
              <thead>
                <tr>
                  <th>{t("alarms.time")}</th>
                  <th>{t("alarms.who")}</th>
                  <th>{t("audit.action")}</th>
                  <th>{t("audit.subject")}</th>
                  <th>{t("audit.outcome")}</th>
                  <th>{t("audit.data")}</th>
                </tr>
              </thead>
              <tbody>
                {entries.map((entry) => (
                  <tr key={entry.sequence}>
                    <td className={styles.nowrap}>{dateTime(parseTime(entry.time))}</td>
                    <td className={styles.nowrap}>{entry.actor}</td>
                    <td className={styles.nowrap}>{entry.action}</td>
                    <td className={styles.wrap}>{entry.subject}</td>
                    <td>{entry.outcome}</td>
                    <td className={`code ${styles.wrap}`}>{Object.entries(entry.data).map(([key, value]) => `${key}: ${typeof value === "object" ? JSON.stringify(value) : String(value)}`).join(" · ")}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Panel>
      {audit.hasNextPage && (
        <Button mt={12} variant="default" loading={audit.isFetchingNextPage} onClick={() => void audit.fetchNextPage()}>
          {t("action.more")}
        </Button>
      )}
    </>
  );
}
