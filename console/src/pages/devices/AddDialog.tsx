/** A device that somebody is about to connect: it gets a secret, shown this once, or is known by its certificate. */
import { Button, Modal, SegmentedControl, Select, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ask, client } from "../../api/client";
import { assetsQuery } from "../../api/queries";
import { useT } from "../../i18n";
import { parts, Problem } from "../../ui/Page";
import { Secret } from "../../ui/Secret";
import { freshDevices } from "./Devices";
import { Limits, limitsOf } from "./Limits";

const DEFAULT_FILTERS = ["devices/{device}/#"];

export function AddDialog({ login, onClose }: { login: string; onClose: () => void }) {
  const t = useT();
  const [name, setName] = useState(login);
  const [note, setNote] = useState("");
  const [asset, setAsset] = useState("");
  const { data: assets } = useQuery(assetsQuery);
  const [shows, setShows] = useState<"secret" | "certificate">("secret");
  const [certificate, setCertificate] = useState("");
  const [limits, setLimits] = useState(limitsOf(DEFAULT_FILTERS, DEFAULT_FILTERS, null));
  const add = useMutation({
    mutationFn: () => ask(client.POST("/api/v1/devices", { body: { name: name.trim(), note, asset, ...limits.body(), ...(shows === "certificate" ? { certificate: certificate.trim() } : {}) } })),
    onSuccess: () => void freshDevices(),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    add.mutate();
  };
  return (
    <Modal opened onClose={onClose} size={560} title={t("devices.add")} closeOnClickOutside={false} closeButtonProps={{ "aria-label": t("action.close") }}>
      {add.data ? (
        <div className={parts.form}>
          <p>{t(add.data.secret === null ? "devices.addedCertificate" : "devices.addedSecret", { name: add.data.device.name })}</p>
          {add.data.secret !== null && <Secret label={t("devices.password")} text={add.data.secret} />}
          <dl className={parts.facts}>
            <dt>{t("signin.user")}</dt>
            <dd className="code">{add.data.device.login}</dd>
            <dt>{t("devices.publish")}</dt>
            <dd className="code">{add.data.device.publish.map((one) => one.replaceAll("{device}", add.data.device.login)).join("  ")}</dd>
          </dl>
          <div className={parts.formButtons}>
            <Button onClick={onClose}>{t("action.close")}</Button>
          </div>
        </div>
      ) : (
        <form className={parts.form} onSubmit={submit}>
          <TextInput data-autofocus label={t("access.name")} description={t("devices.newNameHint")} required value={name} onChange={(event) => setName(event.currentTarget.value)} />
          <SegmentedControl
            aria-label={t("devices.showsWhat")}
            value={shows}
            onChange={(value) => setShows(value as "secret" | "certificate")}
            data={(["secret", "certificate"] as const).map((one) => ({ value: one, label: t(`credential.${one}`) }))}
          />
          {shows === "certificate" && (
            <TextInput label={t("devices.fingerprint")} description={t("devices.fingerprintHint")} required classNames={{ input: "code" }} value={certificate} onChange={(event) => setCertificate(event.currentTarget.value)} />
          )}
          <Limits value={limits} onChange={setLimits} />
          <Select
            label={t("devices.asset")}
            description={t("devices.assetHint")}
            searchable
            clearable
            data={(assets ?? []).map((one) => one.path).filter((path) => path !== "system" && !path.startsWith("system/"))}
            value={asset || null}
            onChange={(chosen) => setAsset(chosen ?? "")}
          />
          <TextInput label={t("devices.note")} value={note} onChange={(event) => setNote(event.currentTarget.value)} />
          <Problem error={add.error} />
          <div className={parts.formButtons}>
            <Button variant="default" onClick={onClose}>
              {t("action.cancel")}
            </Button>
            <Button type="submit" loading={add.isPending}>
              {t("access.make")}
            </Button>
          </div>
        </form>
      )}
    </Modal>
  );
}
