/** The last while of a point: mean line on its min/max shadow; a hole stays a hole. */
import styles from "./marks.module.css";

interface SparklineProps {
  min: readonly (number | null)[];
  max: readonly (number | null)[];
  mean: readonly (number | null)[];
  label: string;
}

export function Sparkline({ min, max, mean, label }: SparklineProps) {
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < mean.length; i += 1) {
    const [a, b] = [min[i], max[i]];
    if (a !== null && a !== undefined && a < low) low = a;
    if (b !== null && b !== undefined && b > high) high = b;
  }
  if (low > high) return <svg className={styles.spark} viewBox="0 0 100 24" role="img" aria-label={label} />;
  const spread = high - low || 1;
  const y = (v: number) => (high === low ? 12 : 22 - ((v - low) / spread) * 20).toFixed(1);
  const step = 100 / Math.max(1, mean.length - 1);
  let line = "";
  let area = "";
  let run: number[] = [];
  const flush = () => {
    if (run.length > 1) {
      line += run.map((i, k) => `${k === 0 ? "M" : "L"}${(i * step).toFixed(1)} ${y(mean[i] as number)}`).join("");
      area += `M${run.map((i) => `${(i * step).toFixed(1)} ${y(max[i] as number)}`).join("L")}L${run.toReversed().map((i) => `${(i * step).toFixed(1)} ${y(min[i] as number)}`).join("L")}z`;
    }
    run = [];
  };
  mean.forEach((value, i) => {
    if (value === null) flush();
    else run.push(i);
  });
  flush();
  return (
    <svg className={styles.spark} viewBox="0 0 100 24" preserveAspectRatio="none" role="img" aria-label={label}>
      <path className={styles.area} d={area} />
      <path d={line} />
    </svg>
  );
}
