/** How far a back-fill is, with a button that ends it, and how it ended. */
import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { ask, type BackfillAnswer, client } from "../../api/client";
import { backfillsQuery, queryClient } from "../../api/queries";
import { useSession } from "../../app/session";
import { formatNumber } from "../../format/number";
import { moment, parseTime } from "../../format/time";
import { useT } from "../../i18n";
import { Problem } from "../../ui/Page";
import { ProgressBar } from "../../ui/Progress";
import styles from "./explore.module.css";

const partOf = (one: BackfillAnswer) => {
  const [start, end] = [parseTime(one.start), parseTime(one.end)];
  return end > start ? (parseTime(one.upto) - start) / (end - start) : 0;
};

export function BackfillState({ one }: { one: BackfillAnswer }) {
  const t = useT();
  const { may } = useSession();
  const cancel = useMutation({
    mutationFn: () => ask(client.POST("/api/v1/calculations/backfills/{id}/cancel", { params: { path: { id: one.id } } })),
    onSettled: () => queryClient.invalidateQueries({ queryKey: backfillsQuery.queryKey }),
  });
  if (one.ended_at !== null) {
    if (one.cancelled_by !== "" && one.error !== "") return <span role="status">{t("backfill.cancelled", { who: one.cancelled_by, at: moment(parseTime(one.upto)) })}</span>;
    return one.error !== "" ? <Problem error={new Error(one.error)} /> : <span role="status">{t("backfill.done", { n: formatNumber(one.results, 0) })}</span>;
  }
  return (
    <div className={styles.backfillState}>
      <ProgressBar part={partOf(one)} label={t("backfill.running")} />
      {one.cancelled_by !== "" ? (
        <span role="status">{t("backfill.cancelling")}</span>
      ) : (
        may("configure") && (
          <Button size="xs" variant="default" loading={cancel.isPending} onClick={() => cancel.mutate()} aria-label={t("backfill.cancel", { id: one.id })}>
            {t("action.cancel")}
          </Button>
        )
      )}
      <Problem error={cancel.error} />
    </div>
  );
}
