/** Writes are locked: on every page, in colour, sign and words, until somebody who answers for it releases the lock. */
import { Button } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { lazy, Suspense, useState } from "react";
import type { LockAnswer } from "../api/client";
import { useT } from "../i18n";
import { Icon } from "../ui/Icon";
import { Age } from "../ui/Page";
import { useLocks } from "./guards";
import { useSession } from "./session";
import styles from "./shell.module.css";

const ReleaseDialog = lazy(() => import("./LockDialog").then((m) => ({ default: m.ReleaseDialog })));

export function LockBanner() {
  const t = useT();
  const { may } = useSession();
  const locks = useLocks();
  const [releasing, setReleasing] = useState<LockAnswer | null>(null);
  const first = locks[0];
  if (!first) return null;
  return (
    <div className={styles.locked} role="alert" aria-label={t("lock.banner")}>
      <Icon name="lock" />
      <Link to="/writes" className={styles.bannerText}>
        <strong>{first.path ? t("lock.path", { path: first.path }) : t("lock.everything")}</strong>
        <span>
          {first.reason} · {first.locked_by} · <Age at={first.locked_at} />
          {locks.length > 1 && ` · ${t("lock.more", { n: locks.length - 1 })}`}
        </span>
      </Link>
      {may("lock") && (
        <Button size="compact-sm" variant="default" onClick={() => setReleasing(first)}>
          {t("lock.release")}
        </Button>
      )}
      <Suspense>{releasing && <ReleaseDialog lock={releasing} onClose={() => setReleasing(null)} />}</Suspense>
    </div>
  );
}
