/** Alarms: what stands, what is quiet for a reason, what was, who heard, how well they do, and what other rules would have done.
 *
 *     tab ─► a list or figures ─► one alarm opened ─► its record, over any of them
 */
import { Tabs } from "@mantine/core";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { lazy, Suspense } from "react";
import { useAlarms, useQuietAlarms } from "../../app/alarms";
import type { AlarmsSearch } from "../../app/router";
import { useSession } from "../../app/session";
import { useT } from "../../i18n";
import { Empty, Page } from "../../ui/Page";
import { Current } from "./Current";
import { History } from "./History";
import { Quiet } from "./Quiet";
import { DocLink } from "../../ui/links";
import { Record } from "./Record";

const Notifications = lazy(() => import("./notifications/Notifications").then((m) => ({ default: m.Notifications })));

const Figures = lazy(() => import("./Figures").then((m) => ({ default: m.Figures })));

const Backtests = lazy(() => import("./backtests/Backtests").then((m) => ({ default: m.Backtests })));

/** Where each tab is described. */
const HOW = { current: "alarms", quiet: "alarms", history: "alarms", figures: "alarms", notifications: "notifications", backtests: "backtests" } as const;

export function Alarms() {
  const t = useT();
  const { tab, alarm } = useSearch({ from: "/shell/alarms" });
  const navigate = useNavigate();
  const { may } = useSession();
  const [told, quiet] = [useAlarms().length, useQuietAlarms().length];
  const go = (value: string | null) => void navigate({ to: "/alarms", search: value && value !== "current" ? { tab: value as NonNullable<AlarmsSearch["tab"]> } : {} });
  return (
    <Page title={t("nav.alarms")} aside={<DocLink name={HOW[tab ?? "current"]} />}>
      <Tabs value={tab ?? "current"} onChange={go} keepMounted={false}>
        <Tabs.List>
          <Tabs.Tab value="current">{t("alarms.currentN", { n: told })}</Tabs.Tab>
          <Tabs.Tab value="quiet">{t("alarms.quietN", { n: quiet })}</Tabs.Tab>
          <Tabs.Tab value="history">{t("alarms.history")}</Tabs.Tab>
          <Tabs.Tab value="notifications">{t("alarms.notifications")}</Tabs.Tab>
          <Tabs.Tab value="figures">{t("alarms.figures")}</Tabs.Tab>
          {may("configure") && <Tabs.Tab value="backtests">{t("alarms.backtests")}</Tabs.Tab>}
        </Tabs.List>
        <Tabs.Panel value="current" pt={14}>
          <Current />
        </Tabs.Panel>
        <Tabs.Panel value="quiet" pt={14}>
          <Quiet />
        </Tabs.Panel>
        <Tabs.Panel value="history" pt={14}>
          <History />
        </Tabs.Panel>
        <Tabs.Panel value="notifications" pt={14}>
          <Suspense fallback={<Empty>{t("state.loading")}</Empty>}>
            <Notifications />
          </Suspense>
        </Tabs.Panel>
        <Tabs.Panel value="figures" pt={14}>
          <Suspense fallback={<Empty>{t("state.loading")}</Empty>}>
            <Figures />
          </Suspense>
        </Tabs.Panel>
        {may("configure") && (
          <Tabs.Panel value="backtests" pt={14}>
            <Suspense fallback={<Empty>{t("state.loading")}</Empty>}>
              <Backtests />
            </Suspense>
          </Tabs.Panel>
        )}
      </Tabs>
      <Record rule={alarm} />
    </Page>
  );
}
