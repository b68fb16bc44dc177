/** The equipment hierarchy: only visible rows exist, filter as you type, arrows as in any tree. WAI-ARIA tree pattern. */
import { useQuery } from "@tanstack/react-query";
import { useDebouncedValue } from "@mantine/hooks";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from "react";
import type { AssetNode } from "../../api/client";
import { searchQuery } from "../../api/queries";
import { useFirmTitle, useShared } from "../../app/shared";
import { useT, useTitle } from "../../i18n";
import { ancestors, rowsOf } from "../../plant/tree";
import { Icon } from "../../ui/Icon";
import { AlarmBadges } from "../../ui/Priority";
import { QualitySymbol } from "../../ui/Value";
import styles from "./explore.module.css";

const ROW_PX = 32;
const OPEN_AT_FIRST = 4;
/** So few assets are all shown at first. */
const ALL_OPEN_MAX = 80;

interface TreeProps {
  assets: readonly AssetNode[];
  chosen: string;
  onChoose: (path: string) => void;
}

export function Tree({ assets, chosen, onChoose }: TreeProps) {
  const t = useT();
  const title = useTitle();
  const navigate = useNavigate();
  const { ownerOf } = useShared();
  const firmTitle = useFirmTitle();
  const [filter, setFilter] = useState("");
  const [toggled, setToggled] = useState<ReadonlyMap<string, boolean>>(new Map());
  const [focus, setFocus] = useState<string | null>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const [asked] = useDebouncedValue(filter, 150);
  const { data: points } = useQuery(searchQuery(asked));

  const rows = useMemo(() => {
    const open = new Set(assets.filter((asset) => assets.length <= ALL_OPEN_MAX || asset.path.split("/").length < OPEN_AT_FIRST).map((asset) => asset.path));
    for (const path of ancestors(chosen)) open.add(path);
    for (const [path, isOpen] of toggled) {
      if (isOpen) open.add(path);
      else open.delete(path);
    }
    return rowsOf(assets, open, filter);
  }, [assets, toggled, chosen, filter]);

  const virtual = useVirtualizer({ count: rows.length, getScrollElement: () => scroller.current, estimateSize: () => ROW_PX, overscan: 12 });
  const current = Math.max(0, rows.findIndex((row) => row.asset.path === (focus ?? chosen)));
  useEffect(() => {
    const index = rows.findIndex((row) => row.asset.path === chosen);
    if (index >= 0) virtual.scrollToIndex(index);
    // Only when another asset is opened: not while a person scrolls or folds.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [chosen, assets.length]);

  const toggle = (path: string, open: boolean) => setToggled(new Map(toggled).set(path, open));
  const focusOn = (index: number) => {
    const row = rows[Math.max(0, Math.min(rows.length - 1, index))];
    if (!row) return;
    setFocus(row.asset.path);
    virtual.scrollToIndex(rows.indexOf(row));
    requestAnimationFrame(() => scroller.current?.querySelector<HTMLElement>(`[data-path="${CSS.escape(row.asset.path)}"]`)?.focus());
  };
  const onKey = (event: KeyboardEvent) => {
    const row = rows[current];
    if (!row) return;
    const moves: Partial<Record<string, () => void>> = {
      ArrowDown: () => focusOn(current + 1),
      ArrowUp: () => focusOn(current - 1),
      Home: () => focusOn(0),
      End: () => focusOn(rows.length - 1),
      ArrowRight: () => (row.leaf ? undefined : row.open ? focusOn(current + 1) : toggle(row.asset.path, true)),
      ArrowLeft: () =>
        row.open && filter === "" ? toggle(row.asset.path, false) : focusOn(rows.findIndex((one) => one.asset.path === row.asset.parent)),
      Enter: () => onChoose(row.asset.path),
      " ": () => onChoose(row.asset.path),
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    move();
  };

  return (
    <nav className={styles.tree} aria-label={t("explore.tree")}>
      <div className={styles.filter}>
        <Icon name="search" size={16} />
        <input
          type="search"
          aria-label={t("explore.filter")}
          placeholder={t("explore.filter")}
          value={filter}
          onChange={(event) => setFilter(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "ArrowDown") {
              event.preventDefault();
              focusOn(0);
            }
          }}
        />
      </div>
      <div ref={scroller} className={styles.rows}>
        <div role="tree" tabIndex={-1} aria-label={t("explore.tree")} style={{ height: virtual.getTotalSize(), position: "relative" }} onKeyDown={onKey}>
          {virtual.getVirtualItems().map((item) => {
            const row = rows[item.index];
            if (!row) return null;
            const { asset, depth, open, leaf } = row;
            const owner = depth === 0 ? ownerOf(asset.path) : null;
            return (
              <div
                key={asset.path}
                role="treeitem"
                aria-level={depth + 1}
                aria-selected={asset.path === chosen}
                {...(leaf ? {} : { "aria-expanded": open })}
                tabIndex={item.index === current ? 0 : -1}
                data-path={asset.path}
                className={styles.row}
                style={{ transform: `translateY(${item.start}px)`, paddingLeft: 8 + depth * 16 }}
                onFocus={() => setFocus(asset.path)}
                onKeyDown={onKey}
                onClick={() => onChoose(asset.path)}
              >
                <span
                  className={styles.twist}
                  aria-hidden="true"
                  onClick={(event) => {
                    event.stopPropagation();
                    if (!leaf) toggle(asset.path, !open);
                  }}
                >
                  {!leaf && <Icon name={open ? "down" : "right"} size={14} />}
                </span>
                <span className={styles.name}>{title(asset.title, asset.path)}</span>
                {owner !== null && <small className={styles.owner}>{t("explore.sharedBy", { firm: firmTitle(owner) })}</small>}
                {asset.worst_quality === "bad" && <QualitySymbol look="bad" />}
                <AlarmBadges counts={asset.alarms} size={16} />
              </div>
            );
          })}
        </div>
        {rows.length === 0 && filter !== "" && (points?.points.length ?? 0) === 0 && <p className={styles.none}>{t("search.none", { text: filter })}</p>}
        {filter.trim() !== "" && points && points.points.length > 0 && (
          <section className={styles.found} aria-label={t("explore.points")}>
            <h3>{t("explore.pointsFound", { n: points.total })}</h3>
            {points.points.map((point) => (
              <button
                key={point.path}
                type="button"
                onClick={() => void navigate({ to: "/explore/$", params: { _splat: point.asset }, search: { point: point.path } })}
              >
                <span>{title(point.title, point.path)}</span>
                <small>{point.path}</small>
              </button>
            ))}
          </section>
        )}
      </div>
    </nav>
  );
}
