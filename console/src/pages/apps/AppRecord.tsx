/** One app: what it is, what it may do, how it fares, and what can be done with it. */
import { Button, Tabs } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { type AppAnswer, type AppVersionAnswer, ask, client } from "../../api/client";
import { appQuery } from "../../apps/queries";
import { useSession } from "../../app/session";
import { dateTime, parseTime } from "../../format/time";
import { useList, useT, useTitle } from "../../i18n";
import { Icon } from "../../ui/Icon";
import { ButtonLink } from "../../ui/links";
import { Age, Panel, parts, Problem } from "../../ui/Page";
import styles from "./apps.module.css";
import { EnableDialog } from "./EnableDialog";
import { GoneDialog } from "./GoneDialog";
import { Grants } from "./Grants";
import { Health, Log } from "./Run";
import { Settings } from "./Settings";
import { StateMark } from "./StateMark";

export function AppRecord({ name, onDone }: { name: string; onDone: (text: string) => void }) {
  const { data, error } = useQuery(appQuery(name));
  return data ? <Record app={data} onDone={onDone} /> : <Problem error={error} />;
}

function Record({ app, onDone }: { app: AppAnswer; onDone: (text: string) => void }) {
  const t = useT();
  const title = useTitle();
  const { mayEverywhere, may } = useSession();
  const [open, setOpen] = useState<"enable" | "disable" | null>(null);
  const name = title(app.title, app.name);
  const configures = mayEverywhere("configure");
  const enabled = app.state !== "available" && app.state !== "disabled";
  const close = (done?: string) => {
    setOpen(null);
    if (done) onDone(done);
  };
  const shown = app.pages.filter((page) => may(page.action));
  return (
    <Panel label={name} title={name} aside={<StateMark state={app.state} />}>
      <div className={styles.record}>
        <p className={styles.summary}>{title(app.summary, "")}</p>
        {app.trouble !== "" && (
          <div className={parts.problem} role="alert">
            <Icon name="close" size={18} />
            <div>
              <p><strong>{t("apps.trouble")}</strong></p>
              <p>{app.trouble}</p>
            </div>
          </div>
        )}
        {enabled && app.asks.length > 0 && (
          <div className={styles.offer} role="status">
            <span>{t("apps.asksMore", { version: app.offered, app: name, running: app.version })}</span>
            {configures && (
              <Button size="xs" variant="default" onClick={() => setOpen("enable")}>
                {t("apps.readMore")}
              </Button>
            )}
          </div>
        )}
        <div className={styles.acts}>
          {enabled && shown.map((page) => (
            <ButtonLink key={page.name} size="xs" variant="default" to="/apps/$name/$page" params={{ name: app.name, page: page.name }} search={{}}>
              {title(page.title, page.name)}
            </ButtonLink>
          ))}
          {configures && !enabled && (
            <Button size="xs" onClick={() => setOpen("enable")}>
              {t("apps.enable")}
            </Button>
          )}
          {configures && enabled && (
            <Button size="xs" variant="default" onClick={() => setOpen("disable")}>
              {t("apps.disable")}
            </Button>
          )}
          {configures && app.state !== "available" && (
            <Button size="xs" variant="default" component="a" href={`/api/v1/apps/${encodeURIComponent(app.name)}/export`} download leftSection={<Icon name="export" size={14} />}>
              {t("apps.export")}
            </Button>
          )}
        </div>
        <Facts app={app} />
        <Tabs defaultValue="grants" keepMounted={false}>
          <Tabs.List>
            <Tabs.Tab value="grants">{t("apps.tab.grants")}</Tabs.Tab>
            {configures && app.state !== "available" && <Tabs.Tab value="settings">{t("apps.tab.settings")}</Tabs.Tab>}
            {mayEverywhere("view") && enabled && <Tabs.Tab value="health">{t("apps.tab.health")}</Tabs.Tab>}
            {mayEverywhere("maintain") && enabled && <Tabs.Tab value="log">{t("apps.tab.log")}</Tabs.Tab>}
          </Tabs.List>
          <Tabs.Panel value="grants" pt={12}>
            <h3>{t(app.accepted === null ? "apps.asked" : "apps.granted")}</h3>
            <Grants asked={app.accepted ?? app.permissions} memoryMb={app.memory_mb} callS={app.call_s} />
            {app.licence_text !== "" && (
              <details className={styles.licence}>
                <summary>{t("apps.licenceText")}</summary>
                <pre tabIndex={0}>{app.licence_text}</pre>
              </details>
            )}
          </Tabs.Panel>
          <Tabs.Panel value="settings" pt={12}>
            <Settings app={app} onDone={onDone} />
          </Tabs.Panel>
          <Tabs.Panel value="health" pt={12}>
            <Health app={app} />
          </Tabs.Panel>
          <Tabs.Panel value="log" pt={12}>
            <Log app={app} />
          </Tabs.Panel>
        </Tabs>
      </div>
      {open === "enable" && <EnableDialog app={app} onClose={close} />}
      {open === "disable" && (
        <GoneDialog
          name={app.name}
          title={t("apps.disableTitle", { app: name })}
          button={t("apps.disable")}
          done={t("apps.disabled", { app: name })}
          act={(data) => ask(client.POST("/api/v1/apps/{name}/disable", { params: { path: { name: app.name } }, body: { data } }))}
          onClose={close}
        />
      )}
    </Panel>
  );
}

function Facts({ app }: { app: AppAnswer }) {
  const t = useT();
  return (
    <dl className={parts.facts}>
      <dt>{t("apps.versions")}</dt>
      <dd>
        {app.versions.map((one) => (
          <Version key={one.version} one={one} running={one.version === app.version} />
        ))}
      </dd>
      <dt>{t("apps.publisher")}</dt>
      <dd>{app.publisher || "—"}</dd>
      <dt>{t("apps.licence")}</dt>
      <dd>{app.licence}</dd>
      {app.changed_at !== null && (
        <>
          <dt>{t("apps.changed")}</dt>
          <dd title={dateTime(parseTime(app.changed_at))}>
            <Changed by={app.changed_by} at={app.changed_at} />
          </dd>
        </>
      )}
    </dl>
  );
}

function Changed({ by, at }: { by: string; at: string }) {
  const t = useT();
  const [before, after = ""] = t("apps.changedBy", { who: by, age: "\u0000" }).split("\u0000");
  return <>{before}<Age at={at} />{after}</>;
}

export function Version({ one, running = false }: { one: AppVersionAnswer; running?: boolean }) {
  const t = useT();
  const list = useList();
  const signed = one.signers.length > 0 ? `${t("apps.signedBy")} ${list(one.signers)}` : one.origin === "built-in" ? "" : t("apps.unsigned");
  const said = [`${t("apps.origin")} ${t(`apps.from.${one.origin}`)}`, signed].filter(Boolean).join(" · ");
  return (
    <div className={styles.version} title={one.sha256}>
      {running ? <strong>{one.version}</strong> : <span>{one.version}</span>} <small>{said}</small>
    </div>
  );
}
