/** Rows that exist only while they can be seen, so that ten thousand alarms scroll as ten do. WAI-ARIA table pattern. */
import { Checkbox } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useEffect, useRef } from "react";
import type { AlarmAnswer } from "../../api/client";
import { unacknowledged } from "../../app/alarms";
import { useT, useTitle } from "../../i18n";
import { parts } from "../../ui/Page";
import { usePhone } from "../../ui/usePhone";
import styles from "./alarms.module.css";
import type { Choice } from "./useChoice";

const ROW_PX = 52;
const PHONE_ROW_PX = 84;
/** On a phone a list that is no longer than this scrolls with its page. */
const LONG = 30;

export interface Column<T> {
  name: string;
  head: string;
  cell(line: T): ReactNode;
}

interface AlarmTableProps<T> {
  label: string;
  lines: readonly T[];
  alarmOf: (line: T) => AlarmAnswer;
  insideOf?: (line: T) => boolean;
  columns: readonly Column<T>[];
  choice: Choice;
}

export function AlarmTable<T>({ label, lines, alarmOf, insideOf, columns, choice }: AlarmTableProps<T>) {
  const t = useT();
  const title = useTitle();
  const phone = usePhone();
  const scroller = useRef<HTMLDivElement>(null);
  const { at, moved } = choice;
  // Nothing here is memoized: the virtualizer is read anew on each render.
  // oxlint-disable-next-line react/incompatible-library
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => (phone ? PHONE_ROW_PX : ROW_PX),
    getItemKey: (index) => alarmOf(lines[index] as T).rule,
    overscan: 8,
    // So that there is something to read before the first measure.
    initialRect: { width: 800, height: 900 },
  });
  const items = virtual.getVirtualItems();
  const [before, after] = [items[0]?.start ?? 0, virtual.getTotalSize() - (items.at(-1)?.end ?? 0)];
  useEffect(() => {
    if (moved === 0) return undefined;
    virtual.scrollToIndex(at);
    const frame = requestAnimationFrame(() => scroller.current?.querySelector<HTMLElement>(`tr[data-index="${at}"] a`)?.focus({ preventScroll: true }));
    return () => cancelAnimationFrame(frame);
    // Only for a key: a click scrolls nothing.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [moved]);
  return (
    <div ref={scroller} className={styles.rows} data-long={lines.length > LONG} tabIndex={0} role="region" aria-label={label}>
      <table className={`${parts.table} ${styles.table} ${styles.current}`} aria-rowcount={lines.length + 1}>
        <thead>
          <tr>
            <th data-column="select">
              <span className="unseen">{t("alarms.select")}</span>
            </th>
            {columns.map((column) => (
              <th key={column.name} data-column={column.name}>
                {column.head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {before > 0 && <tr aria-hidden="true" className={styles.spacer} style={{ height: before }} />}
          {items.map((item) => {
            const line = lines[item.index] as T;
            const alarm = alarmOf(line);
            const can = choice.canSelect(alarm);
            return (
              <tr
                key={alarm.rule}
                ref={virtual.measureElement}
                data-index={item.index}
                aria-rowindex={item.index + 2}
                aria-current={item.index === at}
                data-at={item.index === at}
                data-open={unacknowledged(alarm)}
                data-inside={insideOf?.(line)}
                data-rule={alarm.rule}
                onClick={() => choice.go(item.index)}
              >
                <td data-column="select">
                  <Checkbox
                    size="xs"
                    aria-label={t("alarms.selectOne", { message: title(alarm.message, alarm.rule) })}
                    disabled={!can}
                    checked={can && choice.chosen.has(alarm.rule)}
                    onChange={() => choice.toggle(alarm.rule)}
                  />
                </td>
                {columns.map((column) => (
                  <td key={column.name} data-column={column.name}>
                    {column.cell(line)}
                  </td>
                ))}
              </tr>
            );
          })}
          {after > 0 && <tr aria-hidden="true" className={styles.spacer} style={{ height: after }} />}
        </tbody>
      </table>
    </div>
  );
}
