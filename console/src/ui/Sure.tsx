/** A button that asks once more in its own place. */
import { Button } from "@mantine/core";
import { useState } from "react";
import { useT } from "../i18n";

export function Sure({ label, onSure, loading = false }: { label: string; onSure: () => void; loading?: boolean }) {
  const t = useT();
  const [asked, setAsked] = useState(false);
  return asked ? (
    <Button size="xs" color="var(--danger)" variant="outline" loading={loading} onClick={onSure} onBlur={() => setAsked(false)} autoFocus>
      {t("action.sure")}
    </Button>
  ) : (
    <Button size="xs" variant="default" onClick={() => setAsked(true)}>
      {label}
    </Button>
  );
}
