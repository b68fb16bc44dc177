/** More alarms come than a person can work through: say so, how many, and where to begin. Source: ISA-18.2-2016 §16. */
import { useQuery } from "@tanstack/react-query";
import { alarmsQuery } from "../../api/queries";
import { moment, parseTime } from "../../format/time";
import { useT } from "../../i18n";
import { Icon } from "../../ui/Icon";
import styles from "./alarms.module.css";

export function FloodNotice() {
  const t = useT();
  const flood = useQuery(alarmsQuery).data?.flood;
  if (!flood) return null;
  return (
    <div className={styles.flood} role="status">
      <Icon name="bell" />
      <div>
        <strong>{t("alarms.flood", { n: flood.annunciated, at: moment(parseTime(flood.start)) })}</strong>
        <p>{t("alarms.floodText", { n: flood.peak })}</p>
      </div>
    </div>
  );
}
