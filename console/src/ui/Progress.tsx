/** How far long work is: a bar for the eye, a number for everybody. `part` is 0 to 1; unknown where it is null. */
import { formatNumber } from "../format/number";
import styles from "./parts.module.css";

export function ProgressBar({ part, label }: { part: number | null; label: string }) {
  const percent = part === null ? null : Math.round(Math.max(0, Math.min(1, part)) * 100);
  return (
    <div className={styles.progress}>
      <div role="progressbar" aria-label={label} aria-valuemin={0} aria-valuemax={100} {...(percent === null ? {} : { "aria-valuenow": percent })}>
        <span style={{ width: `${percent ?? 0}%` }} />
      </div>
      <span>{percent === null ? "—" : `${formatNumber(percent, 0)} %`}</span>
    </div>
  );
}
