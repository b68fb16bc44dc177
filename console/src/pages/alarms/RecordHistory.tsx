/** What one alarm did in the last month, newest first. */
import { Button } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { ask, client } from "../../api/client";
import { DAY, moment, parseTime, rfc3339 } from "../../format/time";
import { useT } from "../../i18n";
import { Problem } from "../../ui/Page";
import styles from "./alarms.module.css";
import { pointOf } from "./facts";

const SPAN = 30 * DAY;
const PAGE = 100;

/** Asked once for a rule, whoever shows it. */
export function useRecordHistory(rule: string) {
  const history = useInfiniteQuery({
    queryKey: ["alarm-history", "rule", rule],
    enabled: rule !== "",
    queryFn: ({ pageParam, signal }) =>
      ask(
        client.GET("/api/v1/alarms/history", {
          params: { query: { start: rfc3339(Date.now() - SPAN), point: pointOf(rule), limit: PAGE, ...(pageParam ? { cursor: pageParam } : {}) } },
          signal,
        }),
      ),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  // A point may have several alarms; the journal is asked by point.
  const steps = history.data?.pages.flatMap((page) => page.transitions).filter((step) => step.rule === rule) ?? [];
  return { history, steps };
}

export function RecordHistory({ rule }: { rule: string }) {
  const t = useT();
  const { history, steps } = useRecordHistory(rule);
  const raised = steps.filter((step) => step.action === "raised").length;
  return (
    <section>
      <h3>{t("alarms.recordHistory", { n: raised })}</h3>
      <Problem error={history.error} />
      {steps.length === 0 ? (
        <p className={styles.unsaid}>{history.isPending ? t("state.loading") : t("alarms.noHistory")}</p>
      ) : (
        <ol className={styles.steps}>
          {steps.map((step) => (
            <li key={`${step.time}${step.action}`}>
              <time>{moment(parseTime(step.time))}</time>
              <div>
                {t(`alarmAction.${step.action}`)}
                {step.actor && ` · ${step.actor}`}
                {step.comment && <small>{step.comment}</small>}
              </div>
            </li>
          ))}
        </ol>
      )}
      {history.hasNextPage && (
        <Button size="xs" variant="default" loading={history.isFetchingNextPage} onClick={() => void history.fetchNextPage()}>
          {t("action.more")}
        </Button>
      )}
    </section>
  );
}
