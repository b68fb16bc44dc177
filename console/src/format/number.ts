/** Numbers as on a panel: fixed decimals so that digits stay in their column, a thin space every three from 10,000 on. */
export type JsonValue = number | string | boolean | null;

const GROUP = " ";

function grouped(digits: string): string {
  return digits.length < 5 ? digits : digits.replace(/\B(?=(\d{3})+$)/g, GROUP);
}

/** Five significant digits where nobody said how many decimals make sense. */
function guessDecimals(value: number): number {
  const size = Math.abs(value);
  if (size === 0 || Number.isInteger(value)) return 0;
  return Math.min(6, Math.max(0, 4 - Math.floor(Math.log10(size))));
}

export function formatNumber(value: number, decimals?: number | null): string {
  const size = Math.abs(value);
  if (size >= 1e15 || (size !== 0 && size < 1e-6)) return value.toExponential(3).replace("-", "−").replace("e−", "e−");
  const text = size.toFixed(decimals ?? guessDecimals(value));
  const [whole = "", fraction] = text.split(".");
  const negative = value < 0 && Number(text) !== 0;
  return (negative ? "−" : "") + grouped(whole) + (fraction === undefined ? "" : `.${fraction}`);
}

/** A limit or the end of a range: no more digits than somebody would write. */
export function formatShort(value: number): string {
  const rounded = Number(value.toPrecision(9));
  const [, fraction = ""] = String(Math.abs(rounded)).split(".");
  return formatNumber(rounded, Math.min(9, /e/.test(fraction) ? 0 : fraction.length));
}

/** An int64 beyond 2^53 arrives as decimal text and is shown in full. */
export function formatValue(value: JsonValue | undefined, kind: string, decimals?: number | null): string {
  if (value === null || value === undefined) return "—";
  if (typeof value === "boolean") return value ? "1" : "0";
  if (typeof value === "number") return formatNumber(value, kind === "int64" ? 0 : decimals);
  if (kind === "int64" && /^-?\d+$/.test(value)) return (value.startsWith("-") ? "−" : "") + grouped(value.replace("-", ""));
  return value;
}

/** Text of a number field to what the API takes; undefined where it is not a number. A decimal comma is understood. */
export function parseNumber(text: string, kind: string): number | string | undefined {
  const clean = text.trim().replaceAll(GROUP, "").replaceAll(" ", "").replace("−", "-").replace(",", ".");
  if (kind === "int64") {
    if (!/^[+-]?\d+$/.test(clean)) return undefined;
    const value = Number(clean);
    return Number.isSafeInteger(value) ? value : clean;
  }
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(clean)) return undefined;
  const value = Number(clean);
  return Number.isFinite(value) ? value : undefined;
}

export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = bytes;
  let step = 0;
  while (size >= 1000 && step < units.length - 1) {
    size /= 1000;
    step += 1;
  }
  return `${formatNumber(size, step === 0 || size >= 100 ? 0 : 1)} ${units[step]}`;
}
