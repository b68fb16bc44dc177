/** The platform itself: sessions with devices, what flows, who may come in, and who did what. */
import { Tabs } from "@mantine/core";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useShared } from "../../app/shared";
import { useSession } from "../../app/session";
import { useT } from "../../i18n";
import { Page } from "../../ui/Page";
import { Access } from "../access/Access";
import { Firms } from "../access/Firms";
import { Partners } from "../access/Partners";
import { Roles } from "../access/Roles";
import { Audit } from "./Audit";
import { Calculations } from "./Calculations";
import { Connections } from "./Connections";
import { Outlets } from "./Outlets";
import { Runtime } from "./Runtime";
import { Security } from "./Security";
import { Streams } from "./streams/Streams";

export function System() {
  const t = useT();
  const { tab } = useSearch({ from: "/shell/system" });
  const { may, mayEverywhere, seesPlatform, tenant } = useSession();
  const { received } = useShared();
  const navigate = useNavigate();
  const [admin, auditor] = [mayEverywhere("administer"), mayEverywhere("audit")];
  const [secures, shares, operates] = [mayEverywhere("secure"), may("share") || received.length > 0, mayEverywhere("operate") && tenant === "default"];
  const whole = mayEverywhere("view");
  const settings = secures && tenant === "default";
  return (
    <Page title={t("nav.system")}>
      <Tabs value={tab ?? "connections"} keepMounted={false} onChange={(value) => void navigate({ to: "/system", search: value && value !== "connections" ? { tab: value } : {} })}>
        <Tabs.List>
          <Tabs.Tab value="connections">{t("system.connections")}</Tabs.Tab>
          <Tabs.Tab value="calculations">{t("system.calculations")}</Tabs.Tab>
          {whole && <Tabs.Tab value="streams">{t("system.streams")}</Tabs.Tab>}
          {seesPlatform && <Tabs.Tab value="runtime">{t("system.runtime")}</Tabs.Tab>}
          {(admin || secures) && <Tabs.Tab value="access">{t("system.access")}</Tabs.Tab>}
          {secures && <Tabs.Tab value="roles">{t("system.roles")}</Tabs.Tab>}
          {shares && <Tabs.Tab value="partners">{t("system.partners")}</Tabs.Tab>}
          {operates && <Tabs.Tab value="firms">{t("system.firms")}</Tabs.Tab>}
          {settings && <Tabs.Tab value="security">{t("system.security")}</Tabs.Tab>}
          {auditor && <Tabs.Tab value="audit">{t("system.audit")}</Tabs.Tab>}
        </Tabs.List>
        <Tabs.Panel value="connections" pt={14}>
          <Connections />
          <Outlets />
        </Tabs.Panel>
        <Tabs.Panel value="calculations" pt={14}>
          <Calculations />
        </Tabs.Panel>
        {whole && (
          <Tabs.Panel value="streams" pt={14}>
            <Streams />
          </Tabs.Panel>
        )}
        {seesPlatform && (
          <Tabs.Panel value="runtime" pt={14}>
            <Runtime />
          </Tabs.Panel>
        )}
        {(admin || secures) && (
          <Tabs.Panel value="access" pt={14}>
            <Access />
          </Tabs.Panel>
        )}
        {secures && (
          <Tabs.Panel value="roles" pt={14}>
            <Roles />
          </Tabs.Panel>
        )}
        {shares && (
          <Tabs.Panel value="partners" pt={14}>
            <Partners />
          </Tabs.Panel>
        )}
        {operates && (
          <Tabs.Panel value="firms" pt={14}>
            <Firms />
          </Tabs.Panel>
        )}
        {settings && (
          <Tabs.Panel value="security" pt={14}>
            <Security />
          </Tabs.Panel>
        )}
        {auditor && (
          <Tabs.Panel value="audit" pt={14}>
            <Audit />
          </Tabs.Panel>
        )}
      </Tabs>
    </Page>
  );
}
