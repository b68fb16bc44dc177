/** Devices that publish to a gateway: who waits to be let in, who was turned away, and all of them, ten thousand or more. */
import { Button, SegmentedControl, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { devicesQuery, queryClient, refusalsQuery } from "../../api/queries";
import type { DevicesSearch } from "../../app/router";
import { useSession } from "../../app/session";
import { formatNumber } from "../../format/number";
import { type Key, useT } from "../../i18n";
import { Icon } from "../../ui/Icon";
import { Age, Empty, Page, Panel, parts, Problem } from "../../ui/Page";
import { QualitySymbol } from "../../ui/Value";
import { AddDialog } from "./AddDialog";
import { DeviceDialog } from "./DeviceDialog";
import { DeviceTable } from "./DeviceTable";
import styles from "./devices.module.css";
import { ImportDialog } from "./ImportDialog";

const STATES = ["quarantined", "approved", "blocked"] as const;
const REFUSALS_SHOWN = 5;

export const freshDevices = () => Promise.all([["devices"], ["device"], ["refusals"], ["assets"]].map((queryKey) => queryClient.invalidateQueries({ queryKey })));

export function Devices() {
  const t = useT();
  const { may } = useSession();
  const engineer = may("configure");
  const search = useSearch({ from: "/shell/devices" });
  const navigate = useNavigate();
  const [text, setText] = useState(search.q ?? "");
  const [asked] = useDebouncedValue(text.trim(), 200);
  const [open, setOpen] = useState<"add" | "import" | null>(null);
  const [login, setLogin] = useState("");
  const go = (change: DevicesSearch) => void navigate({ to: "/devices", search: (old) => ({ ...old, ...change }), replace: true });
  useEffect(() => {
    go({ q: asked });
    // Only when a person has stopped typing.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [asked]);
  const query = useInfiniteQuery(devicesQuery(search.state, asked));
  const first = query.data?.pages[0];
  const counts = first?.counts;
  const devices = query.data?.pages.flatMap((page) => page.devices) ?? [];
  return (
    <Page
      title={t("nav.devices")}
      aside={
        engineer && (
          <>
            <Button variant="default" onClick={() => setOpen("import")}>
              {t("devices.import")}
            </Button>
            <Button leftSection={<Icon name="plus" size={16} />} onClick={() => { setLogin(""); setOpen("add"); }}>
              {t("devices.add")}
            </Button>
          </>
        )
      }
    >
      <Problem error={query.error} />
      {!search.state && asked === "" && (counts?.quarantined ?? 0) > 0 && <Waiting onOpen={(device) => go({ device })} />}
      {!search.state && asked === "" && <Refusals onAdd={engineer ? (name) => { setLogin(name); setOpen("add"); } : null} />}
      <Panel label={t("nav.devices")}>
        <div className={styles.bar}>
          <TextInput
            type="search"
            className={styles.search}
            aria-label={t("devices.search")}
            placeholder={t("devices.search")}
            leftSection={<Icon name="search" size={16} />}
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
          />
          <div className={styles.states}>
            <SegmentedControl
              aria-label={t("devices.which")}
              value={search.state ?? "all"}
              onChange={(value) => void navigate({ to: "/devices", search: { ...(value === "all" ? {} : { state: value as (typeof STATES)[number] }), ...(asked ? { q: asked } : {}) }, replace: true })}
              data={[
                { value: "all", label: t("devices.all", { n: formatNumber(counts ? counts.quarantined + counts.approved + counts.blocked : 0, 0) }) },
                ...STATES.map((state) => ({ value: state, label: `${t(`deviceState.${state}`)} ${formatNumber(counts?.[state] ?? 0, 0)}` })),
              ]}
            />
          </div>
          <span className={styles.found}>
            {first && (asked !== "" ? t("devices.found", { n: formatNumber(first.total, 0) }) : t("devices.onlineCount", { n: formatNumber(counts?.online ?? 0, 0) }))}
          </span>
        </div>
        {first && first.total === 0 ? (
          <Empty>{t(asked === "" && !search.state ? "devices.none" : "devices.noneMatch")}</Empty>
        ) : (
          <DeviceTable devices={devices} total={first?.total ?? 0} onOpen={(device) => go({ device })} onEnd={() => query.hasNextPage && !query.isFetching && void query.fetchNextPage()} />
        )}
      </Panel>
      {search.device !== undefined && (
        <DeviceDialog
          key={search.device}
          name={search.device}
          onRenamed={(device) => go({ device })}
          onClose={() => void navigate({ to: "/devices", search: { ...(search.state ? { state: search.state } : {}), ...(asked ? { q: asked } : {}) }, replace: true })}
        />
      )}
      {open === "add" && <AddDialog login={login} onClose={() => setOpen(null)} />}
      {open === "import" && <ImportDialog onClose={() => setOpen(null)} />}
    </Page>
  );
}

/** The one thing on this page that waits for a person. */
function Waiting({ onOpen }: { onOpen: (name: string) => void }) {
  const t = useT();
  const { data } = useInfiniteQuery(devicesQuery("quarantined", ""));
  const page = data?.pages[0];
  if (!page) return null;
  return (
    <Panel title={t("devices.waiting", { n: page.total })}>
      <ul className={styles.waiting}>
        {page.devices.map((device) => (
          <li key={device.name}>
            <QualitySymbol look="uncertain" size={18} />
            <b>{device.name}</b>
            <span>
              {t(`credential.${device.credential}`)} · {device.gateway} · {device.peer}
            </span>
            <span>
              {t("devices.since")} <Age at={device.created_at} /> · {t("devices.sent", { n: formatNumber(device.messages, 0) })}
            </span>
            <Button size="xs" onClick={() => onOpen(device.name)} aria-label={t("devices.lookAt", { name: device.name })}>
              {t("devices.look")}
            </Button>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Refusals({ onAdd }: { onAdd: ((login: string) => void) | null }) {
  const t = useT();
  const { data } = useQuery(refusalsQuery);
  if (!data || data.length === 0) return null;
  return (
    <Panel title={t("devices.turnedAway", { n: data.length })}>
      <div className={parts.scroll}>
        <table className={`${parts.table} ${styles.refusals}`}>
          <thead>
            <tr>
              <th>{t("devices.shows")}</th>
              <th>{t("devices.why")}</th>
              <th className={parts.num}>{t("devices.times")}</th>
              <th>{t("devices.last")}</th>
              <th>{t("devices.from")}</th>
              {onAdd && (
                <th>
                  <span className="unseen">{t("explore.actions")}</span>
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {data.slice(0, REFUSALS_SHOWN).map((one) => (
              <tr key={`${one.login} ${one.peer}`}>
                <td>
                  <b>{one.login}</b>
                </td>
                <td>{reason(one.reason, t)}</td>
                <td className={parts.num}>{formatNumber(one.count, 0)}</td>
                <td>
                  <Age at={one.last_at} />
                </td>
                <td>
                  {one.peer} · {one.gateway}
                </td>
                {onAdd && (
                  <td className={parts.num}>
                    {one.reason === "unknown" && (
                      <Button size="xs" variant="default" onClick={() => onAdd(one.login)} aria-label={t("devices.addNamed", { name: one.login })}>
                        {t("devices.addThis")}
                      </Button>
                    )}
                  </td>
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {data.length > REFUSALS_SHOWN && <p className={styles.rest}>{t("overview.moreAlarms", { n: data.length - REFUSALS_SHOWN })}</p>}
    </Panel>
  );
}

const REASONS: Readonly<Record<string, Key>> = { unknown: "refusal.unknown", "wrong credential": "refusal.credential", blocked: "refusal.blocked", "quarantine full": "refusal.full" };

/** The four that happen every day in the reader's words; what is rarer in the platform's own. */
function reason(said: string, t: (key: Key) => string): string {
  const key = REASONS[said];
  return key ? t(key) : said;
}
