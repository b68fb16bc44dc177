/** For the platform's operator: what is installed for all firms; packages come as files, and what is wrong with one is said. */
import { Button, FileInput, Modal, Radio, Textarea } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ApiError, ask, client, type ShelvedAppAnswer } from "../../api/client";
import { proven } from "../../app/FreshProof";
import { queryClient } from "../../api/queries";
import { shelfQuery } from "../../apps/queries";
import { upload } from "../../apps/upload";
import { useT, useTitle } from "../../i18n";
import { Icon } from "../../ui/Icon";
import { Empty, Panel, parts, Problem } from "../../ui/Page";
import { ProgressBar } from "../../ui/Progress";
import { Version } from "./AppRecord";
import styles from "./apps.module.css";
import { GoneDialog } from "./GoneDialog";

const PACKAGE_BYTES_MAX = 64 * 1_048_576;
const WHY_MAX = 500;

type Open = { act: "install" } | { act: "update" | "rollback" | "uninstall"; app: ShelvedAppAnswer };

export function Shelf({ onDone }: { onDone: (text: string) => void }) {
  const t = useT();
  const title = useTitle();
  const { data, error } = useQuery(shelfQuery);
  const [open, setOpen] = useState<Open | null>(null);
  const close = (done?: string) => {
    setOpen(null);
    if (done) onDone(done);
  };
  return (
    <Panel
      title={t("shelf.title")}
      label={t("shelf.title")}
      aside={
        <Button size="xs" leftSection={<Icon name="plus" size={14} />} onClick={() => setOpen({ act: "install" })}>
          {t("shelf.install")}
        </Button>
      }
    >
      <p className={styles.shelfLead}>{t("shelf.lead")}</p>
      <Problem error={data ? null : error} />
      {data?.length === 0 && <Empty>{t("shelf.none")}</Empty>}
      {data?.map((app) => {
        const builtIn = app.versions.every((one) => one.origin === "built-in");
        return (
          <div key={app.name} className={styles.shelved} data-shelved={app.name}>
            <div>
              <strong>{title(app.title, app.name)}</strong> <span className={parts.path}>{app.name}</span>
              {app.trouble !== "" && <p className={styles.error}>{app.trouble}</p>}
            </div>
            <div>
              {app.versions.map((one) => (
                <Version key={one.version} one={one} running={one.version === app.offered} />
              ))}
            </div>
            <div>
              <small>{t("shelf.tenants")}</small> {t("shelf.tenantCount", { n: app.tenants })}
            </div>
            <div className={styles.acts}>
              {!builtIn && (
                <Button size="xs" variant="default" aria-label={t("shelf.updateOf", { app: title(app.title, app.name) })} onClick={() => setOpen({ act: "update", app })}>
                  {t("shelf.update")}
                </Button>
              )}
              {before(app) !== null && (
                <Button size="xs" variant="default" aria-label={t("shelf.rollbackOf", { app: title(app.title, app.name) })} onClick={() => setOpen({ act: "rollback", app })}>
                  {t("shelf.rollback")}
                </Button>
              )}
              {!builtIn && (
                <Button size="xs" variant="default" aria-label={t("shelf.uninstallOf", { app: title(app.title, app.name) })} onClick={() => setOpen({ act: "uninstall", app })}>
                  {t("shelf.uninstall")}
                </Button>
              )}
            </div>
          </div>
        );
      })}
      {(open?.act === "install" || open?.act === "update") && <PackageDialog app={open.act === "update" ? open.app : null} onClose={close} />}
      {open?.act === "rollback" && <RollBackDialog app={open.app} onClose={close} />}
      {open?.act === "uninstall" && (
        <GoneDialog
          name={open.app.name}
          title={t("shelf.uninstallOf", { app: title(open.app.title, open.app.name) })}
          button={t("shelf.uninstall")}
          text={t("shelf.uninstallText", { n: open.app.tenants })}
          done={t("shelf.uninstalled", { app: title(open.app.title, open.app.name) })}
          act={(data) => ask(client.DELETE("/api/v1/apps/{name}", { params: { path: { name: open.app.name }, query: { data } } }))}
          onClose={close}
        />
      )}
    </Panel>
  );
}

/** The version that a roll back leads to. */
function before(app: ShelvedAppAnswer): string | null {
  const at = app.versions.findIndex((one) => one.version === app.offered);
  const known = app.versions.toSorted((a, b) => a.version.localeCompare(b.version, "en", { numeric: true }));
  const place = known.findIndex((one) => one.version === app.offered);
  return at < 0 ? null : (known[place - 1]?.version ?? null);
}

const refresh = () => Promise.all(["apps", "app-shelf", "app-pages"].map((key) => queryClient.invalidateQueries({ queryKey: [key] })));

function PackageDialog({ app, onClose }: { app: ShelvedAppAnswer | null; onClose: (done?: string) => void }) {
  const t = useT();
  const title = useTitle();
  const [file, setFile] = useState<File | null>(null);
  const [share, setShare] = useState<number | null>(null);
  const run = useMutation({
    mutationFn: async (from: File) => {
      if (from.size > PACKAGE_BYTES_MAX) throw new ApiError(413, "too-large", t("shelf.tooLarge"));
      const path = app === null ? "/api/v1/apps" : `/api/v1/apps/${encodeURIComponent(app.name)}/update`;
      return proven(() => upload<ShelvedAppAnswer>(path, from, setShare));
    },
    onSettled: () => setShare(null),
    onSuccess: async (now) => {
      await refresh();
      onClose(t(app === null ? "shelf.installed" : "shelf.updated", { app: title(now.title, now.name), version: now.offered }));
    },
  });
  return (
    <Modal
      opened
      onClose={() => onClose()}
      title={app === null ? t("shelf.install") : t("shelf.updateOf", { app: title(app.title, app.name) })}
      closeOnClickOutside={false}
      closeButtonProps={{ "aria-label": t("action.close") }}
    >
      <form
        className={parts.form}
        onSubmit={(event) => {
          event.preventDefault();
          if (file && !run.isPending) run.mutate(file);
        }}
      >
        <FileInput
          label={t("shelf.file")}
          description={t("shelf.fileHint")}
          accept=".hrpkg"
          value={file}
          onChange={(chosen) => {
            setFile(chosen);
            run.reset();
          }}
        />
        {share !== null && file && (
          <div role="status">
            <p>{share < 1 ? t("shelf.sending", { file: file.name }) : t("shelf.checking")}</p>
            <ProgressBar part={share} label={t("shelf.sending", { file: file.name })} />
          </div>
        )}
        <Problem error={run.error} />
        <div className={parts.formButtons}>
          <Button variant="default" onClick={() => onClose()}>
            {t("action.cancel")}
          </Button>
          <Button type="submit" disabled={file === null} loading={run.isPending}>
            {t(app === null ? "shelf.install" : "shelf.update")}
          </Button>
        </div>
      </form>
    </Modal>
  );
}

function RollBackDialog({ app, onClose }: { app: ShelvedAppAnswer; onClose: (done?: string) => void }) {
  const t = useT();
  const title = useTitle();
  const name = title(app.title, app.name);
  const [tables, setTables] = useState<"keep" | "restore">("keep");
  const [why, setWhy] = useState("");
  const run = useMutation({
    mutationFn: () => proven(() => ask(client.POST("/api/v1/apps/{name}/rollback", { params: { path: { name: app.name } }, body: { tables, why: why.trim() } }))),
    onSuccess: async (now) => {
      await refresh();
      onClose(t("shelf.rolledBack", { app: name, version: now.offered }));
    },
  });
  return (
    <Modal opened onClose={() => onClose()} title={t("shelf.rollbackOf", { app: name })} closeOnClickOutside={false} closeButtonProps={{ "aria-label": t("action.close") }}>
      <form
        className={parts.form}
        onSubmit={(event) => {
          event.preventDefault();
          if (!run.isPending) run.mutate();
        }}
      >
        <p>{t("shelf.rollbackText", { from: app.offered, to: before(app) ?? "" })}</p>
        <Radio.Group label={t("shelf.tables")} value={tables} onChange={(value) => setTables(value as "keep" | "restore")}>
          <div className={styles.choices}>
            <Radio value="keep" label={t("shelf.tables.keep")} />
            <Radio value="restore" label={t("shelf.tables.restore")} />
          </div>
        </Radio.Group>
        <Textarea label={t("shelf.why")} autosize minRows={2} maxLength={WHY_MAX} value={why} onChange={(event) => setWhy(event.currentTarget.value)} />
        <Problem error={run.error} />
        <div className={parts.formButtons}>
          <Button variant="default" onClick={() => onClose()}>
            {t("action.cancel")}
          </Button>
          <Button type="submit" loading={run.isPending}>
            {t("shelf.rollback")}
          </Button>
        </div>
      </form>
    </Modal>
  );
}
