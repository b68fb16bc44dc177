/** Let a partner see a part of the plant. What the patterns take is shown before anything is shared. */
import { Button, Modal, Select, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useMemo, useState } from "react";
import { ask, client } from "../../api/client";
import { partnersQuery, pointsQuery } from "../../api/queries";
import { proven } from "../../app/FreshProof";
import { parseLocal, rfc3339 } from "../../format/time";
import { useT, useTitle } from "../../i18n";
import { parts, Problem } from "../../ui/Page";
import styles from "./access.module.css";
import { AssetPicker } from "./AssetPicker";
import { globs } from "./globs";
import { freshGrants } from "./Partners";

/** As many as the API gives at once; above it the preview says "at least". */
const POINTS_MAX = 5_000;
const NAMED_MAX = 6;
const lines = (text: string) => text.split("\n").map((line) => line.trim()).filter(Boolean);

export function GrantDialog({ onClose }: { onClose: () => void }) {
  const t = useT();
  const { data: partners, error } = useQuery(partnersQuery);
  const [partner, setPartner] = useState("");
  const [asset, setAsset] = useState("");
  const [patterns, setPatterns] = useState("");
  const [purpose, setPurpose] = useState("");
  const [times, setTimes] = useState({ start: "", end: "", expires_at: "" });
  const share = useMutation({
    mutationFn: () => {
      const given = Object.entries(times).filter(([, text]) => text !== "");
      const moments = Object.fromEntries(given.map(([key, text]) => [key, rfc3339(parseLocal(text))]));
      return proven(() => ask(client.POST("/api/v1/grants", { body: { partner, asset, points: lines(patterns), purpose: purpose.trim(), ...moments } })));
    },
    onSuccess: onClose,
    onSettled: freshGrants,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    share.mutate();
  };
  const time = (key: keyof typeof times, description: string) => (
    <TextInput type="datetime-local" label={t(`grantTime.${key}`)} description={description} value={times[key]} onChange={(event) => setTimes({ ...times, [key]: event.currentTarget.value })} />
  );
  return (
    <Modal opened onClose={onClose} size={640} title={t("partners.add")} closeOnClickOutside={false} closeButtonProps={{ "aria-label": t("action.close") }}>
      <form className={parts.form} onSubmit={submit}>
        <p>{t("partners.addText")}</p>
        <Problem error={error} />
        <Select
          data-autofocus
          label={t("partners.firm")}
          required
          searchable
          nothingFoundMessage={t("partners.nobody")}
          data={(partners ?? []).map((one) => ({ value: one.name, label: one.title || one.name }))}
          value={partner || null}
          onChange={(value) => setPartner(value ?? "")}
        />
        <AssetPicker label={t("partners.asset")} description={t("partners.assetHint")} required value={asset} onChange={setAsset} />
        <Textarea
          label={t("partners.points")}
          description={t("partners.pointsHint")}
          placeholder={"*/oil.*\npress-[1-3]/*"}
          autosize
          minRows={2}
          maxRows={8}
          classNames={{ input: "code" }}
          value={patterns}
          onChange={(event) => setPatterns(event.currentTarget.value)}
        />
        {asset !== "" && <Preview asset={asset} patterns={patterns} />}
        <div className={styles.times}>
          {time("start", t("partners.startHint"))}
          {time("end", t("partners.endHint"))}
          {time("expires_at", t("partners.expiresHint"))}
        </div>
        <TextInput label={t("partners.purpose")} description={t("partners.purposeHint")} required maxLength={500} value={purpose} onChange={(event) => setPurpose(event.currentTarget.value)} />
        <Problem error={share.error} />
        <div className={parts.formButtons}>
          <Button variant="default" onClick={onClose}>
            {t("action.cancel")}
          </Button>
          <Button type="submit" loading={share.isPending}>
            {t("partners.share")}
          </Button>
        </div>
      </form>
    </Modal>
  );
}

function Preview({ asset, patterns }: { asset: string; patterns: string }) {
  const t = useT();
  const title = useTitle();
  const { data, error } = useQuery(pointsQuery(asset, POINTS_MAX));
  const taken = useMemo(() => {
    const takes = globs(lines(patterns));
    return (data?.points ?? []).filter((point) => takes(point.path.slice(asset.length + 1)));
  }, [data, patterns, asset]);
  if (error) return <Problem error={error} />;
  if (!data) return null;
  const partial = data.total > data.points.length;
  return (
    <div className={styles.preview} role="status" data-none={taken.length === 0}>
      <p>{t(partial ? "partners.matchAtLeast" : "partners.match", { n: taken.length, of: data.total })}</p>
      {taken.length === 0 ? (
        <p>{t("partners.matchNone")}</p>
      ) : (
        <ul>
          {taken.slice(0, NAMED_MAX).map((point) => (
            <li key={point.path}>
              <span className="code">{point.path.slice(asset.length + 1)}</span> <small>{title(point.title, point.path)}</small>
            </li>
          ))}
          {taken.length > NAMED_MAX && <li>{t("engineering.moreChanges", { n: taken.length - NAMED_MAX })}</li>}
        </ul>
      )}
    </div>
  );
}
