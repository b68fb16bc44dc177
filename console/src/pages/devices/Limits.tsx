/** What a device may publish and subscribe to, one topic filter a line, and how fast. */
import { Textarea, TextInput } from "@mantine/core";
import { parseNumber } from "../../format/number";
import { useT } from "../../i18n";

export interface LimitsValue {
  publish: string;
  subscribe: string;
  rate: string;
  /** As the API takes it; an empty rate takes the limit away. */
  body: () => { publish: string[]; subscribe: string[]; messages_per_s: number | null };
}

const lines = (text: string) => text.split("\n").map((line) => line.trim()).filter(Boolean);

function value(publish: string, subscribe: string, rate: string): LimitsValue {
  const body = () => {
    const perSecond = parseNumber(rate, "float64");
    return { publish: lines(publish), subscribe: lines(subscribe), messages_per_s: typeof perSecond === "number" ? perSecond : null };
  };
  return { publish, subscribe, rate, body };
}

export const limitsOf = (publish: readonly string[], subscribe: readonly string[], rate: number | null) => value(publish.join("\n"), subscribe.join("\n"), rate === null ? "" : String(rate));

export function Limits({ value: now, onChange }: { value: LimitsValue; onChange: (value: LimitsValue) => void }) {
  const t = useT();
  const wrongRate = now.rate.trim() !== "" && typeof parseNumber(now.rate, "float64") !== "number";
  return (
    <>
      <Textarea
        label={t("devices.publish")}
        description={t("devices.filterHint", { device: "{device}" })}
        autosize
        minRows={1}
        maxRows={6}
        classNames={{ input: "code" }}
        value={now.publish}
        onChange={(event) => onChange(value(event.currentTarget.value, now.subscribe, now.rate))}
      />
      <Textarea
        label={t("devices.subscribe")}
        autosize
        minRows={1}
        maxRows={6}
        classNames={{ input: "code" }}
        value={now.subscribe}
        onChange={(event) => onChange(value(now.publish, event.currentTarget.value, now.rate))}
      />
      <TextInput
        label={t("devices.rate")}
        description={t("devices.rateHint")}
        inputMode="decimal"
        error={wrongRate && t("write.notANumber")}
        value={now.rate}
        onChange={(event) => onChange(value(now.publish, now.subscribe, event.currentTarget.value))}
      />
    </>
  );
}
