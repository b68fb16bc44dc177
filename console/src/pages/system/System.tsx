/** The platform itself: sessions with devices, what flows, who may come in, and who did what. */
import { Tabs } from "@mantine/core";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useSession } from "../../app/session";
import { useT } from "../../i18n";
import { Page } from "../../ui/Page";
import { Access } from "./Access";
import { Audit } from "./Audit";
import { Connections } from "./Connections";
import { Outlets } from "./Outlets";
import { Runtime } from "./Runtime";

export function System() {
  const t = useT();
  const { tab } = useSearch({ from: "/shell/system" });
  const { may } = useSession();
  const navigate = useNavigate();
  const admin = may("administrator");
  return (
    <Page title={t("nav.system")}>
      <Tabs value={tab ?? "connections"} keepMounted={false} onChange={(value) => void navigate({ to: "/system", search: value && value !== "connections" ? { tab: value } : {} })}>
        <Tabs.List>
          <Tabs.Tab value="connections">{t("system.connections")}</Tabs.Tab>
          <Tabs.Tab value="runtime">{t("system.runtime")}</Tabs.Tab>
          {admin && <Tabs.Tab value="access">{t("system.access")}</Tabs.Tab>}
          {admin && <Tabs.Tab value="audit">{t("system.audit")}</Tabs.Tab>}
        </Tabs.List>
        <Tabs.Panel value="connections" pt={14}>
          <Connections />
          <Outlets />
        </Tabs.Panel>
        <Tabs.Panel value="runtime" pt={14}>
          <Runtime />
        </Tabs.Panel>
        {admin && (
          <>
            <Tabs.Panel value="access" pt={14}>
              <Access />
            </Tabs.Panel>
            <Tabs.Panel value="audit" pt={14}>
              <Audit />
            </Tabs.Panel>
          </>
        )}
      </Tabs>
    </Page>
  );
}
