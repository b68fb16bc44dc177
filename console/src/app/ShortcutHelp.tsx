import { Modal } from "@mantine/core";
import { type Key, useT } from "../i18n";
import { parts } from "../ui/Page";

const KEYS: readonly (readonly [string, Key])[] = [
  ["/", "search.title"],
  ["g h", "nav.overview"],
  ["g e", "nav.explore"],
  ["g t", "nav.trend"],
  ["g a", "nav.alarms"],
  ["g w", "nav.writes"],
  ["g v", "nav.devices"],
  ["g n", "nav.edges"],
  ["g s", "nav.system"],
  ["g d", "nav.engineering"],
  ["g p", "nav.apps"],
  ["↑ ↓ ← →", "keys.tree"],
  ["↑ ↓ ␣ a s r o → ← ↵", "keys.alarms"],
  ["↑ ↓ ␣ u ↵", "keys.quiet"],
  ["← → + − l", "keys.trend"],
  ["Esc", "keys.close"],
];

export function ShortcutHelp({ onClose }: { onClose: () => void }) {
  const t = useT();
  return (
    <Modal opened onClose={onClose} title={t("shell.keys")} closeButtonProps={{ "aria-label": t("action.close") }}>
      <dl className={parts.facts}>
        {KEYS.map(([key, what]) => (
          <div key={key} style={{ display: "contents" }}>
            <dt className="code">{key}</dt>
            <dd>{t(what)}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}
