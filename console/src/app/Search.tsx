/** Search everything by title or path, in both languages: assets at once from memory, points from the server. */
import { Modal } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, useMemo, useState } from "react";
import { assetsQuery, searchQuery } from "../api/queries";
import { useT, useTitle } from "../i18n";
import { matches } from "../plant/tree";
import { Icon } from "../ui/Icon";
import styles from "./search.module.css";

interface Hit {
  kind: "asset" | "point";
  path: string;
  title: string;
  asset: string;
}

const ASSETS_MAX = 8;

export function Search({ onClose }: { onClose: () => void }) {
  const t = useT();
  const title = useTitle();
  const navigate = useNavigate();
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(0);
  const [asked] = useDebouncedValue(text, 120);
  const { data: assets } = useQuery(assetsQuery);
  const { data: points } = useQuery(searchQuery(asked));
  const hits = useMemo<Hit[]>(() => {
    if (text.trim() === "") return [];
    const found: Hit[] = (assets ?? [])
      .filter((asset) => matches(asset, text))
      .slice(0, ASSETS_MAX)
      .map((asset) => ({ kind: "asset", path: asset.path, title: title(asset.title, asset.path), asset: asset.path }));
    for (const point of points?.points ?? []) {
      found.push({ kind: "point", path: point.path, title: title(point.title, point.path), asset: point.asset });
    }
    return found;
  }, [text, assets, points, title]);
  const at = Math.min(chosen, Math.max(0, hits.length - 1));

  const go = (hit: Hit | undefined) => {
    if (!hit) return;
    onClose();
    void navigate({ to: "/explore/$", params: { _splat: hit.asset }, search: hit.kind === "point" ? { point: hit.path } : {} });
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") setChosen(Math.min(at + 1, hits.length - 1));
    else if (event.key === "ArrowUp") setChosen(Math.max(at - 1, 0));
    else if (event.key === "Enter") go(hits[at]);
    else return;
    event.preventDefault();
  };
  return (
    <Modal opened onClose={onClose} withCloseButton={false} size={620} padding={0} yOffset="12vh" centered={false} aria-label={t("search.title")}>
      <div className={styles.field}>
        <Icon name="search" />
        <input
          data-autofocus
          autoFocus
          role="combobox"
          aria-expanded={hits.length > 0}
          aria-controls="search-hits"
          aria-activedescendant={hits.length > 0 ? `hit-${at}` : undefined}
          aria-label={t("search.title")}
          placeholder={t("search.hint")}
          value={text}
          onChange={(event) => {
            setText(event.currentTarget.value);
            setChosen(0);
          }}
          onKeyDown={onKey}
        />
      </div>
      <div id="search-hits" role="listbox" aria-label={t("search.results")} className={styles.hits}>
        {hits.map((hit, index) => (
          <div
            key={`${hit.kind}${hit.path}`}
            id={`hit-${index}`}
            role="option"
            tabIndex={-1}
            aria-selected={index === at}
            className={styles.hit}
            onClick={() => go(hit)}
            onKeyDown={onKey}
            onMouseMove={() => setChosen(index)}
          >
            <Icon name={hit.kind === "asset" ? "tree" : "trend"} size={16} />
            <span>{hit.title}</span>
            <small>{hit.path}</small>
          </div>
        ))}
      </div>
      {asked.trim() !== "" && hits.length === 0 && points && <p className={styles.none}>{t("search.none", { text: asked })}</p>}
    </Modal>
  );
}
