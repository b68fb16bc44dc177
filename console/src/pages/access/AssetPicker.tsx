/** Assets by title or path, our own only: a role on a partner's part of the plant would count for nothing. */
import { Select, type SelectProps } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { assetsQuery } from "../../api/queries";
import { rootOf, useShared } from "../../app/shared";
import { useT, useTitle } from "../../i18n";
import { matches } from "../../plant/tree";
import { Icon } from "../../ui/Icon";
import styles from "./access.module.css";

const SHOWN_MAX = 200;

export function useAssetTitle(): (path: string) => string {
  const title = useTitle();
  const { data } = useQuery(assetsQuery);
  const byPath = useMemo(() => new Map((data ?? []).map((one) => [one.path, one.title])), [data]);
  return (path) => title(byPath.get(path), path);
}

interface AssetPickerProps extends Pick<SelectProps, "label" | "description" | "required" | "placeholder" | "aria-label" | "size" | "clearable"> {
  value: string;
  onChange: (path: string) => void;
}

export function AssetPicker({ value, onChange, ...rest }: AssetPickerProps) {
  const { data: assets } = useQuery(assetsQuery);
  const { ownerOf } = useShared();
  const title = useTitle();
  const own = useMemo(() => (assets ?? []).filter((one) => rootOf(one.path) !== "system" && ownerOf(one.path) === null), [assets, ownerOf]);
  const byPath = useMemo(() => new Map(own.map((one) => [one.path, one])), [own]);
  const data = own.map((one) => ({ value: one.path, label: title(one.title, one.path) }));
  // What was chosen may have been removed since.
  if (value !== "" && !byPath.has(value)) data.unshift({ value, label: value });
  return (
    <Select
      {...rest}
      searchable
      data={data}
      limit={SHOWN_MAX}
      filter={({ options, search, limit }) => {
        const found = options.filter((one) => {
          const asset = "value" in one ? byPath.get(one.value) : undefined;
          return search.trim() === "" || (asset !== undefined && matches(asset, search.trim()));
        });
        return found.slice(0, limit);
      }}
      renderOption={({ option }) => (
        <span className={styles.option}>
          <span>{option.label}</span>
          <small>{option.value}</small>
        </span>
      )}
      value={value || null}
      onChange={(path) => onChange(path ?? "")}
    />
  );
}

/** Several assets: each with a button that takes it away, and a picker that adds one. */
export function AssetList({ label, description, value, onChange }: { label: string; description: string; value: readonly string[]; onChange: (paths: string[]) => void }) {
  const t = useT();
  const titleOf = useAssetTitle();
  return (
    <div className={styles.assets}>
      <AssetPicker label={label} description={description} placeholder={t("access.addAsset")} value="" onChange={(path) => path !== "" && onChange([...new Set([...value, path])])} />
      {value.length > 0 && (
        <ul className={styles.chips}>
          {value.map((path) => (
            <li key={path} className={styles.chip} title={path}>
              {titleOf(path)}
              <button type="button" aria-label={t("access.removeAsset", { asset: titleOf(path) })} onClick={() => onChange(value.filter((one) => one !== path))}>
                <Icon name="close" size={12} />
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
