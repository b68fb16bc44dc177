/** My account: password, second factors, sessions. */
import { useQuery } from "@tanstack/react-query";
import { Button } from "@mantine/core";
import { lazy, Suspense, useState } from "react";
import { factorsQuery } from "../../api/queries";
import { useSession } from "../../app/session";
import { useT } from "../../i18n";
import { Page, Panel, Problem } from "../../ui/Page";
import styles from "./account.module.css";
import { Factors } from "./Factors";
import { Sessions } from "./Sessions";

const PasswordDialog = lazy(() => import("../../app/PasswordDialog").then((m) => ({ default: m.PasswordDialog })));

export function Account() {
  const t = useT();
  const { user } = useSession();
  const { data, error } = useQuery(factorsQuery);
  const [changing, setChanging] = useState(false);
  return (
    <Page title={t("account.title", { user })}>
      <div className={styles.page}>
        <Problem error={error} />
        {data?.password !== false && (
          <Panel title={t("signin.password")}>
            <div className={styles.row}>
              <p>{t("password.rule")}</p>
              <Button size="xs" variant="default" onClick={() => setChanging(true)}>
                {t("password.change")}
              </Button>
            </div>
          </Panel>
        )}
        <Factors />
        <Sessions />
      </div>
      <Suspense>{changing && <PasswordDialog onClose={() => setChanging(false)} />}</Suspense>
    </Page>
  );
}
