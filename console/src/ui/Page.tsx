/** Parts that every page is made of. */
import type { ReactNode } from "react";
import { ApiError } from "../api/client";
import { span, parseTime } from "../format/time";
import { useT } from "../i18n";
import { useNow } from "../live/hooks";
import { QualitySymbol } from "./Value";
import styles from "./parts.module.css";

export { styles as parts };

export function Page({ title, aside, children }: { title: ReactNode; aside?: ReactNode; children: ReactNode }) {
  return (
    <div className={styles.page}>
      <div className={styles.head}>
        <h1>{title}</h1>
        {aside !== undefined && <div className={styles.aside}>{aside}</div>}
      </div>
      {children}
    </div>
  );
}

export function Panel({ title, aside, children, label }: { title?: ReactNode; aside?: ReactNode; children: ReactNode; label?: string }) {
  return (
    <section className={styles.panel} aria-label={label}>
      {title !== undefined && (
        <div className={styles.panelHead}>
          <h2>{title}</h2>
          {aside !== undefined && <div>{aside}</div>}
        </div>
      )}
      {children}
    </section>
  );
}

export function Empty({ children }: { children: ReactNode }) {
  return <div className={styles.empty}>{children}</div>;
}

export function Problem({ error }: { error: unknown }) {
  const t = useT();
  if (!error) return null;
  const unreachable = error instanceof ApiError && error.status === 0;
  const message = unreachable ? t("error.unreachable") : error instanceof Error ? error.message : String(error);
  const hint = error instanceof ApiError ? error.hint : undefined;
  return (
    <div className={styles.problem} role="alert">
      <QualitySymbol look="bad" size={18} />
      <div>
        <p>{message}</p>
        {hint && <p>{hint}</p>}
      </div>
    </div>
  );
}

/** How long ago, counting by itself. */
export function Age({ at }: { at: string | number | null | undefined }) {
  const t = useT();
  const now = useNow();
  if (at === null || at === undefined) return <>—</>;
  const ms = typeof at === "number" ? at : parseTime(at);
  return <>{span(Math.max(0, now - ms), { s: t("unit.s"), min: t("unit.min"), h: t("unit.h"), d: t("unit.d") })}</>;
}
