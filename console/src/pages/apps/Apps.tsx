/** Apps: what is installed and taken in, one beside the list; below it, for the platform's operator, the shelf. */
import { useQuery } from "@tanstack/react-query";
import { Link, useSearch } from "@tanstack/react-router";
import { lazy, Suspense, useState } from "react";
import { tenantQuery } from "../../api/queries";
import { appsQuery } from "../../apps/queries";
import { useSession } from "../../app/session";
import { useT, useTitle } from "../../i18n";
import { Empty, Page, Panel, Problem } from "../../ui/Page";
import { AppRecord } from "./AppRecord";
import styles from "./apps.module.css";
import { StateMark } from "./StateMark";

const Shelf = lazy(() => import("./Shelf").then((m) => ({ default: m.Shelf })));

export function Apps() {
  const t = useT();
  const title = useTitle();
  const { app: chosen } = useSearch({ from: "/shell/apps" });
  const { mayEverywhere, tenant } = useSession();
  const { data: apps, error } = useQuery(appsQuery);
  const { data: own } = useQuery(tenantQuery);
  const [done, setDone] = useState("");
  const operates = mayEverywhere("operate") && tenant === "default";
  return (
    <Page title={t("nav.apps")}>
      <p className={styles.lead}>{t("apps.lead", { firm: own?.title || tenant })}</p>
      <p role="status" className={styles.done}>{done}</p>
      <Problem error={apps ? null : error} />
      {apps?.length === 0 && <Panel><Empty>{t("apps.none")}</Empty></Panel>}
      {apps && apps.length > 0 && (
        <div className={styles.store}>
          <ul className={styles.list} aria-label={t("nav.apps")}>
            {apps.map((app) => (
              <li key={app.name}>
                <Link to="/apps" search={{ app: app.name }} className={styles.app} data-app={app.name} aria-current={app.name === chosen ? "true" : undefined}>
                  <span className={styles.appHead}>
                    <strong>{title(app.title, app.name)}</strong>
                    <StateMark state={app.state} />
                  </span>
                  <span className={styles.appText}>{title(app.summary, "")}</span>
                  <span className={styles.appFoot}>
                    {t("apps.version", { version: app.version || app.offered })}
                    {app.offered !== app.version && app.version !== "" && <em className={styles.new}>{t("apps.offered", { version: app.offered })}</em>}
                  </span>
                </Link>
              </li>
            ))}
          </ul>
          {chosen === undefined ? <Panel><Empty>{t("apps.pick")}</Empty></Panel> : <AppRecord key={chosen} name={chosen} onDone={setDone} />}
        </div>
      )}
      {operates && (
        <Suspense>
          <Shelf onDone={setDone} />
        </Suspense>
      )}
    </Page>
  );
}
