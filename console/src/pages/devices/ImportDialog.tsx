/** Devices from a table. Wrong rows say why, the others go in, and the secrets are taken away as a file, this once. */
import { Button, FileInput, Modal } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ask, client, type DeviceImportAnswer } from "../../api/client";
import { useT } from "../../i18n";
import { parts, Problem } from "../../ui/Page";
import { freshDevices } from "./Devices";
import styles from "./devices.module.css";

const COLUMNS = "name, secret, certificate, publish, subscribe, messages_per_s, note, asset, type, connection, title, parameter.<name>";

export function ImportDialog({ onClose }: { onClose: () => void }) {
  const t = useT();
  const [file, setFile] = useState<File | null>(null);
  const [taken, setTaken] = useState(false);
  const run = useMutation({
    mutationFn: (from: File) =>
      ask(
        client.POST("/api/v1/devices/import", {
          params: { query: { file: from.name } },
          body: from as unknown as string,
          bodySerializer: (body) => body as unknown as File,
          headers: { "Content-Type": "application/octet-stream" },
        }),
      ),
    onSuccess: () => void freshDevices(),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (file) run.mutate(file);
  };
  const secrets = run.data?.secrets.length ?? 0;
  return (
    <Modal opened onClose={onClose} size={560} title={t("devices.importTitle")} closeOnClickOutside={false} closeButtonProps={{ "aria-label": t("action.close") }}>
      {run.data ? (
        <div className={parts.form}>
          <p role="status">{t("devices.imported", { n: run.data.devices, assets: run.data.assets })}</p>
          {run.data.errors.length > 0 && (
            <section aria-label={t("devices.wrongRows")}>
              <h2>{t("devices.wrongRows")}</h2>
              <ul className={styles.wrongRows}>
                {run.data.errors.map((one) => (
                  <li key={one.row}>
                    <b>{t("devices.row", { n: one.row })}</b> {one.message}
                  </li>
                ))}
              </ul>
            </section>
          )}
          {secrets > 0 && <p>{t("devices.secretsOnce")}</p>}
          <div className={parts.formButtons}>
            {secrets > 0 && (
              <Button
                variant={taken ? "default" : "filled"}
                onClick={() => {
                  save(run.data);
                  setTaken(true);
                }}
              >
                {t("devices.saveSecrets", { n: secrets })}
              </Button>
            )}
            <Button variant={secrets > 0 && !taken ? "default" : "filled"} onClick={onClose}>
              {t("action.close")}
            </Button>
          </div>
        </div>
      ) : (
        <form className={parts.form} onSubmit={submit}>
          <p>{t("devices.importText")}</p>
          <p className={`code ${styles.hint}`}>{COLUMNS}</p>
          <FileInput label={t("devices.file")} required accept=".csv,.xlsx" value={file} onChange={setFile} placeholder="devices.csv" />
          <Problem error={run.error} />
          <div className={parts.formButtons}>
            <Button variant="default" onClick={onClose}>
              {t("action.cancel")}
            </Button>
            <Button type="submit" disabled={!file} loading={run.isPending}>
              {t("devices.importNow")}
            </Button>
          </div>
        </form>
      )}
    </Modal>
  );
}

function save(done: DeviceImportAnswer): void {
  const text = ["name,secret", ...done.secrets.map((one) => `${one.name},${one.secret}`), ""].join("\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = "secrets.csv";
  link.click();
  URL.revokeObjectURL(link.href);
}
