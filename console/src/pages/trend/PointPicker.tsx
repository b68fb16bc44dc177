/** Add points to the trend: search, tick, done. */
import { Button, Checkbox, Modal, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { assetsQuery, pointsQuery, searchQuery } from "../../api/queries";
import { displayUnit } from "../../format/unit";
import { useT, useTitle } from "../../i18n";
import styles from "./trend.module.css";

interface PickerProps {
  taken: readonly string[];
  max: number;
  onPick: (paths: string[]) => void;
  onClose: () => void;
}

export function PointPicker({ taken, max, onPick, onClose }: PickerProps) {
  const t = useT();
  const title = useTitle();
  const [text, setText] = useState("");
  const [asked] = useDebouncedValue(text, 120);
  const [chosen, setChosen] = useState<readonly string[]>(taken);
  const { data: assets } = useQuery(assetsQuery);
  const { data: found } = useQuery(searchQuery(asked));
  const { data: first } = useQuery({ ...pointsQuery("", 60), enabled: asked.trim() === "" });
  const points = ((asked.trim() === "" ? first : found)?.points ?? []).filter((point) => point.kind !== "text");
  const names = new Map((assets ?? []).map((asset) => [asset.path, asset.title]));
  return (
    <Modal opened onClose={onClose} title={t("trend.add")} size={560} closeButtonProps={{ "aria-label": t("action.close") }}>
      <TextInput data-autofocus aria-label={t("search.title")} placeholder={t("search.hint")} value={text} onChange={(event) => setText(event.currentTarget.value)} />
      <div className={styles.picks}>
        {points.map((point) => (
          <Checkbox
            key={point.path}
            checked={chosen.includes(point.path)}
            disabled={!chosen.includes(point.path) && chosen.length >= max}
            onChange={(event) => setChosen(event.currentTarget.checked ? [...chosen, point.path] : chosen.filter((path) => path !== point.path))}
            label={
              <>
                {title(point.title, point.path)} <small>{`${title(names.get(point.asset), point.asset)}${point.unit === "1" ? "" : ` · ${displayUnit(point.unit)}`}`}</small>
              </>
            }
          />
        ))}
      </div>
      <div className={styles.pickButtons}>
        <span>{t("trend.chosen", { n: chosen.length, max })}</span>
        <Button
          onClick={() => {
            onPick([...chosen]);
            onClose();
          }}
        >
          {t("trend.show")}
        </Button>
      </div>
    </Modal>
  );
}
