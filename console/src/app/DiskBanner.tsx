/** The disk of the history, on every page, days before it is full: then samples are refused, and somebody must act. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { systemQuery } from "../api/queries";
import { formatBytes } from "../format/number";
import { span } from "../format/time";
import { useT } from "../i18n";
import { QualitySymbol } from "../ui/Value";
import { useSession } from "./session";
import styles from "./shell.module.css";

export function DiskBanner() {
  const t = useT();
  const { seesPlatform } = useSession();
  const { data } = useQuery({ ...systemQuery, enabled: seesPlatform, refetchInterval: 60_000 });
  const disk = data?.history.disk;
  if (!disk || disk.state === "enough") return null;
  const words = { s: t("unit.s"), min: t("unit.min"), h: t("unit.h"), d: t("unit.d") };
  const free = formatBytes(disk.free_bytes);
  return (
    <div className={styles.lost} role="alert">
      <QualitySymbol look={disk.state === "full" ? "bad" : "uncertain"} size={18} />
      <Link to="/system" className={styles.bannerText}>
        <strong>{t(disk.state === "full" ? "disk.full" : "disk.low")}</strong>
        <span>
          {disk.state === "full"
            ? t("disk.refused", { free })
            : disk.full_in_s === null
              ? t("disk.free", { free })
              : t("disk.fullIn", { free, span: span(disk.full_in_s * 1_000, words) })}
        </span>
      </Link>
    </div>
  );
}
