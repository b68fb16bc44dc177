/** What alarms did, newest first, page after page. */
import { Button, SegmentedControl } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { ask, client } from "../../api/client";
import { assetsQuery } from "../../api/queries";
import { formatShort } from "../../format/number";
import { dateTime, HOUR, parseTime, rfc3339 } from "../../format/time";
import { useT, useTitle } from "../../i18n";
import { Empty, Panel, parts, Problem } from "../../ui/Page";
import { PriorityMark } from "../../ui/Priority";
import styles from "./alarms.module.css";

const SPANS = [
  { key: "1h", hours: 1 },
  { key: "8h", hours: 8 },
  { key: "1d", hours: 24 },
  { key: "1w", hours: 168 },
  { key: "1y", hours: 8_760 },
] as const;
const PAGE = 100;

export function History() {
  const t = useT();
  const title = useTitle();
  const [span, setSpan] = useState<(typeof SPANS)[number]["key"]>("8h");
  const hours = SPANS.find((one) => one.key === span)?.hours ?? 8;
  const { data: assets } = useQuery(assetsQuery);
  const history = useInfiniteQuery({
    queryKey: ["alarm-history", span],
    queryFn: ({ pageParam, signal }) =>
      ask(
        client.GET("/api/v1/alarms/history", {
          params: { query: { start: rfc3339(Date.now() - hours * HOUR), limit: PAGE, ...(pageParam ? { cursor: pageParam } : {}) } },
          signal,
        }),
      ),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const steps = history.data?.pages.flatMap((page) => page.transitions) ?? [];
  return (
    <>
      <div className={styles.bar}>
        <SegmentedControl
          aria-label={t("trend.span")}
          value={span}
          onChange={(value) => setSpan(value as typeof span)}
          data={SPANS.map((one) => ({ value: one.key, label: t(`trend.quick.${one.key}`) }))}
        />
      </div>
      <Problem error={history.error} />
      <Panel label={t("alarms.history")}>
        {steps.length === 0 ? (
          <Empty>{history.isPending ? t("state.loading") : t("alarms.noHistory")}</Empty>
        ) : (
          <div className={parts.scroll}>
            <table className={`${parts.table} ${styles.table}`}>
              <thead>
                <tr>
                  <th>{t("alarms.time")}</th>
                  <th>{t("alarms.priority")}</th>
                  <th>{t("alarms.step")}</th>
                  <th>{t("alarms.message")}</th>
                  <th>{t("alarms.asset")}</th>
                  <th className={parts.num}>{t("explore.value")}</th>
                  <th>{t("alarms.who")}</th>
                </tr>
              </thead>
              <tbody>
                {steps.map((step) => (
                  <tr key={`${step.rule}${step.time}${step.action}`}>
                    <td>{dateTime(parseTime(step.time))}</td>
                    <td>{step.priority && <PriorityMark priority={step.priority} state={step.state === "normal" ? "ack-active" : step.state} quiet={step.action === "cleared"} size={18} />}</td>
                    <td>{t(`alarmAction.${step.action}`)}</td>
                    <td className={styles.message}>
                      <Link to="/alarms" search={{ tab: "history", alarm: step.rule }}>
                        {title(step.message, step.rule)}
                      </Link>
                    </td>
                    <td>{title(assets?.find((one) => one.path === step.asset)?.title, step.asset)}</td>
                    <td className={parts.num}>{step.value === null ? "—" : formatShort(Number(step.value.toPrecision(4)))}</td>
                    <td className={styles.message}>
                      {step.actor}
                      {step.comment && <small>{step.comment}</small>}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Panel>
      {history.hasNextPage && (
        <Button mt={12} variant="default" loading={history.isFetchingNextPage} onClick={() => void history.fetchNextPage()}>
          {t("action.more")}
        </Button>
      )}
    </>
  );
}
