/** The one alarm that comes first, on every page, with its acknowledgement one press away. */
import { Button } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { assetsQuery } from "../api/queries";
import { useT, useTitle } from "../i18n";
import { ButtonLink } from "../ui/links";
import { Age } from "../ui/Page";
import { PriorityMark } from "../ui/Priority";
import { act } from "./alarmActs";
import { unacknowledged, useAlarms } from "./alarms";
import { useSession } from "./session";
import styles from "./shell.module.css";

export function AlarmBanner() {
  const t = useT();
  const title = useTitle();
  const { may } = useSession();
  const alarm = useAlarms().find((one) => unacknowledged(one) && (one.priority === "critical" || one.priority === "high"));
  const { data: assets } = useQuery(assetsQuery);
  const ack = useMutation({ mutationFn: (rule: string) => act("acknowledge", [rule], { text: "" }) });
  if (!alarm) return null;
  const asset = assets?.find((one) => one.path === alarm.asset);
  return (
    <div className={styles.banner} role="status" aria-label={t("shell.banner")}>
      <PriorityMark priority={alarm.priority} state={alarm.state} size={22} />
      <Link to="/alarms" search={{ alarm: alarm.rule }} className={styles.bannerText}>
        <strong>{title(alarm.message, alarm.rule)}</strong>
        <span>
          {title(asset?.title, alarm.asset)} · <Age at={alarm.raised_at} />
        </span>
      </Link>
      {may("acknowledge") &&
        (alarm.handling.comment ? (
          <ButtonLink to="/alarms" search={{ alarm: alarm.rule }} size="compact-sm" variant="default">
            {t("action.open")}
          </ButtonLink>
        ) : (
          <Button size="compact-sm" variant="default" loading={ack.isPending} onClick={() => ack.mutate(alarm.rule)}>
            {t("alarmAct.acknowledge")}
          </Button>
        ))}
    </div>
  );
}
