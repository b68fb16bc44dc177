/** Rows that exist only while they can be seen, so that ten thousand devices scroll as ten do. WAI-ARIA table pattern. */
import { useVirtualizer } from "@tanstack/react-virtual";
import { Link } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import type { DeviceAnswer } from "../../api/client";
import { usePhone } from "../../ui/usePhone";
import { formatNumber } from "../../format/number";
import { useT } from "../../i18n";
import { Age } from "../../ui/Page";
import { QualitySymbol } from "../../ui/Value";
import styles from "./devices.module.css";

const ROW_PX = 36;
const PHONE_ROW_PX = 64;
/** So many rows before the end the next page is asked for. */
const AHEAD = 60;

interface DeviceTableProps {
  devices: readonly DeviceAnswer[];
  total: number;
  onOpen: (name: string) => void;
  onEnd: () => void;
}

export function DeviceTable({ devices, total, onOpen, onEnd }: DeviceTableProps) {
  const t = useT();
  const phone = usePhone();
  const scroller = useRef<HTMLDivElement>(null);
  const rowPx = phone ? PHONE_ROW_PX : ROW_PX;
  // Nothing here is memoized: the virtualizer is read anew on each render.
  // oxlint-disable-next-line react/incompatible-library
  const virtual = useVirtualizer({ count: devices.length, getScrollElement: () => scroller.current, estimateSize: () => rowPx, overscan: 10 });
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (devices.length < total && last > devices.length - AHEAD) onEnd();
  }, [last, devices.length, total, onEnd]);
  const head = ["name", "state", "lastSeen", "messages", "refusedColumn", "gateway", "asset"] as const;
  return (
    <div ref={scroller} className={styles.rows} tabIndex={0} role="region" aria-label={t("devices.list")}>
      <div role="table" aria-label={t("nav.devices")} aria-rowcount={total + 1}>
        <div role="rowgroup" className={styles.head}>
          <div role="row" className={styles.headRow}>
            {head.map((one) => (
              <span role="columnheader" key={one} data-column={one}>
                {t(`devices.${one}`)}
              </span>
            ))}
          </div>
        </div>
        <div role="rowgroup" style={{ height: virtual.getTotalSize(), position: "relative" }}>
          {items.map((item) => {
            const device = devices[item.index];
            if (!device) return null;
            return (
              <div role="row" aria-rowindex={item.index + 2} key={device.name} data-device={device.name} className={styles.row} style={{ height: rowPx, transform: `translateY(${item.start}px)` }}>
                <span role="cell" data-column="name">
                  <button type="button" onClick={() => onOpen(device.name)}>
                    {device.name}
                  </button>
                  {device.login !== device.name && <small> {device.login}</small>}
                  {device.note !== "" && <small className={styles.note}> {device.note}</small>}
                </span>
                <span role="cell" data-column="state">
                  <State device={device} />
                </span>
                <span role="cell" data-column="lastSeen">
                  <Age at={device.last_seen_at} />
                </span>
                <span role="cell" data-column="messages">
                  {formatNumber(device.messages, 0)}
                </span>
                <span role="cell" data-column="refusedColumn" data-odd={device.refused > 0}>
                  {device.refused > 0 ? formatNumber(device.refused, 0) : ""}
                </span>
                <span role="cell" data-column="gateway">
                  {device.gateway}
                </span>
                <span role="cell" data-column="asset">
                  {device.asset !== "" && (
                    <Link to="/explore/$" params={{ _splat: device.asset }}>
                      {device.asset.slice(device.asset.lastIndexOf("/") + 1)}
                    </Link>
                  )}
                </span>
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

/** Online is normal and says so quietly; everything else has a shape of its own beside its word. */
export function State({ device }: { device: DeviceAnswer }) {
  const t = useT();
  if (device.state === "blocked") return <Marked look="bad" text={t("deviceState.blocked")} />;
  if (device.state === "quarantined") return <Marked look="uncertain" text={t("deviceState.quarantined")} />;
  if (device.online) return <span className={styles.quiet}>{t("devices.online")}</span>;
  return <Marked look="stale" text={device.last_seen_at === null ? t("devices.neverSeen") : t("devices.offline")} />;
}

function Marked({ look, text }: { look: "bad" | "uncertain" | "stale"; text: string }) {
  return (
    <span className={styles.marked}>
      <QualitySymbol look={look} /> {text}
    </span>
  );
}
