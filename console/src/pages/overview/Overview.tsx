/** What needs me now, then the plant: areas with their machines. Nothing to do looks like nothing: grey. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import type { AssetNode } from "../../api/client";
import { assetsQuery, connectionsQuery } from "../../api/queries";
import { unacknowledged, useAlarms } from "../../app/alarms";
import { type Key, useT, useTitle } from "../../i18n";
import { ancestors } from "../../plant/tree";
import { MachineTile } from "../../plant/MachineTile";
import tileStyles from "../../plant/tile.module.css";
import { Age, Empty, Page, Panel, Problem } from "../../ui/Page";
import { AlarmBadges, PriorityMark } from "../../ui/Priority";
import { QualitySymbol } from "../../ui/Value";
import styles from "./overview.module.css";

const ALARMS_SHOWN = 5;

export function Overview() {
  const t = useT();
  const { data: assets, error } = useQuery(assetsQuery);
  return (
    <Page title={t("overview.title")}>
      <Problem error={error} />
      <div className={styles.now}>
        <AlarmsNow assets={assets ?? []} />
        <ConnectionsNow />
      </div>
      {assets && <Areas assets={assets} />}
    </Page>
  );
}

function AlarmsNow({ assets }: { assets: readonly AssetNode[] }) {
  const t = useT();
  const title = useTitle();
  const all = useAlarms();
  const alarms = all.filter(unacknowledged);
  const names = useMemo(() => new Map(assets.map((asset) => [asset.path, asset])), [assets]);
  return (
    <Panel
      title={t("overview.alarms")}
      aside={
        <Link to="/alarms" className={styles.more}>
          {t("overview.allAlarms", { n: all.length })}
        </Link>
      }
    >
      {alarms.length === 0 ? (
        <Empty>{t("overview.noAlarms")}</Empty>
      ) : (
        <ul className={styles.list}>
          {alarms.slice(0, ALARMS_SHOWN).map((alarm) => (
            <li key={alarm.rule}>
              <PriorityMark priority={alarm.priority} state={alarm.state} />
              <Link to="/explore/$" params={{ _splat: alarm.asset }} search={{ point: alarm.point }} className={styles.what}>
                {title(alarm.message, alarm.rule)}
              </Link>
              <span className={styles.where}>{title(names.get(alarm.asset)?.title, alarm.asset)}</span>
              <span className={styles.age}>
                <Age at={alarm.raised_at} />
              </span>
            </li>
          ))}
          {alarms.length > ALARMS_SHOWN && <li className={styles.rest}>{t("overview.moreAlarms", { n: alarms.length - ALARMS_SHOWN })}</li>}
        </ul>
      )}
    </Panel>
  );
}

function ConnectionsNow() {
  const t = useT();
  const title = useTitle();
  const { data } = useQuery(connectionsQuery);
  const wanted = (data ?? []).filter((one) => one.state !== "disabled");
  const sick = wanted.filter((one) => one.state !== "connected");
  return (
    <Panel
      title={t("overview.connections")}
      aside={
        <Link to="/system" className={styles.more}>
          {t("overview.connected", { n: wanted.length - sick.length, of: wanted.length })}
        </Link>
      }
    >
      {sick.length === 0 ? (
        <Empty>{t(!data ? "state.loading" : data.length === 0 ? "overview.noConnections" : "overview.noSick")}</Empty>
      ) : (
        <ul className={styles.list}>
          {sick.map((one) => (
            <li key={one.name}>
              <QualitySymbol look="bad" size={18} />
              <Link to="/system" className={styles.what}>
                {title(one.title, one.name)}
              </Link>
              <span className={styles.where}>{t(`link.${one.state}` as Key)}</span>
              <span className={styles.age}>
                <Age at={one.since} />
              </span>
              {one.error && <span className={styles.error}>{one.error}</span>}
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

/** Machines by the area they stand in; where nobody declared areas, by their parent. */
function Areas({ assets }: { assets: readonly AssetNode[] }) {
  const t = useT();
  const title = useTitle();
  const groups = useMemo(() => {
    const byPath = new Map(assets.map((asset) => [asset.path, asset]));
    const found = new Map<string, { area: AssetNode | undefined; machines: AssetNode[] }>();
    for (const asset of assets) {
      if (asset.level !== "equipment") continue;
      const area = ancestors(asset.path)
        .map((path) => byPath.get(path))
        .findLast((one) => one?.level === "area");
      const key = area?.path ?? asset.parent ?? "";
      const group = found.get(key) ?? { area: area ?? byPath.get(key), machines: [] };
      group.machines.push(asset);
      found.set(key, group);
    }
    return [...found.entries()];
  }, [assets]);
  if (groups.length === 0) {
    return (
      <Panel>
        <Empty>
          {t("overview.empty")} <Link to="/engineering">{t("nav.engineering")}</Link>
        </Empty>
      </Panel>
    );
  }
  return groups.map(([key, { area, machines }]) => (
    <section key={key} className={styles.area} aria-label={title(area?.title, key)}>
      <div className={styles.areaHead}>
        <h2>
          <Link to="/explore/$" params={{ _splat: key }}>
            {title(area?.title, key)}
          </Link>
        </h2>
        <span>{t("overview.machines", { n: machines.length })}</span>
        {area && <AlarmBadges counts={area.alarms} />}
      </div>
      <div className={tileStyles.grid}>
        {machines.map((machine) => (
          <MachineTile key={machine.path} asset={machine} />
        ))}
      </div>
    </section>
  ));
}
