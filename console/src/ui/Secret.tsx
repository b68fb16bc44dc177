/** Something that is shown this once: to be selected, copied, or typed from the screen. */
import { Button } from "@mantine/core";
import { useState } from "react";
import { useT } from "../i18n";
import { Icon } from "./Icon";
import { parts } from "./Page";

export function Secret({ label, text }: { label: string; text: string }) {
  const t = useT();
  const [copied, setCopied] = useState(false);
  return (
    <div className={parts.secret}>
      <span>{label}</span>
      <output aria-label={label}>{text}</output>
      <Button
        size="xs"
        variant="default"
        leftSection={copied ? <Icon name="check" size={14} /> : undefined}
        onClick={() => void navigator.clipboard?.writeText(text).then(() => setCopied(true))}
      >
        {t("action.copy")}
      </Button>
    </div>
  );
}
