/** Sessions with devices: state, what went wrong and what to do next; trust a server; look at what it offers. */
import { Button, Checkbox, Modal } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ask, type BrowseNode, client, type ConnectionAnswer } from "../../api/client";
import { connectionsQuery, queryClient } from "../../api/queries";
import { useSession } from "../../app/session";
import { formatNumber } from "../../format/number";
import { displayUnit } from "../../format/unit";
import { type Key, useT, useTitle } from "../../i18n";
import { Icon } from "../../ui/Icon";
import { Age, Empty, Panel, Problem } from "../../ui/Page";
import { type Look, QualitySymbol } from "../../ui/Value";
import styles from "./system.module.css";

const LOOKS: Readonly<Record<ConnectionAnswer["state"], Look>> = { connected: "good", disabled: "none", connecting: "stale", waiting: "bad", refused: "bad" };
const COUNTERS = ["samples", "bad_samples", "requests", "failures", "losses", "overruns", "dropped"] as const;

export function Connections() {
  const t = useT();
  const title = useTitle();
  const { may } = useSession();
  const { data, error } = useQuery(connectionsQuery);
  const [trusting, setTrusting] = useState<ConnectionAnswer | null>(null);
  const [browsing, setBrowsing] = useState<ConnectionAnswer | null>(null);
  return (
    <>
      <Problem error={error} />
      {data?.length === 0 && <Empty>{t("system.noConnections")}</Empty>}
      <div className={styles.links}>
        {data?.map((one) => (
          <Panel key={one.name} label={title(one.title, one.name)}>
            <div className={styles.link} data-state={one.state} data-connection={one.name}>
              <div className={styles.linkHead}>
                <h2>{title(one.title, one.name)}</h2>
                <span className={styles.linkState}>
                  {one.state === "connected" ? <Icon name="check" size={16} /> : <QualitySymbol look={LOOKS[one.state]} size={16} />}
                  {t(`link.${one.state}`)} · <Age at={one.since} />
                </span>
              </div>
              <p className={styles.linkFacts}>
                <span className="code">{one.name}</span>
                <span>{one.driver}</span>
                <span>{t("explore.pointCount", { n: one.points })}</span>
                <span>{t("system.roundTrip", { ms: formatNumber(one.counters.round_trip_ms, 1) })}</span>
                <span>
                  {t("system.lastSample")} <Age at={one.counters.last_sample_at} />
                </span>
              </p>
              {one.error !== "" && (
                <div className={styles.linkError}>
                  <p>{one.error}</p>
                  <p>{one.next_try_s !== null ? t("system.nextTry", { s: formatNumber(one.next_try_s, 0) }) : t(`next.${one.state}` as Key)}</p>
                </div>
              )}
              <dl className={styles.counters}>
                {COUNTERS.map((name) => (
                  <div key={name} data-odd={name !== "samples" && name !== "requests" && one.counters[name] > 0}>
                    <dt>{t(`counter.${name}`)}</dt>
                    <dd>{formatNumber(one.counters[name], 0)}</dd>
                  </div>
                ))}
              </dl>
              {may("configure") && one.driver === "opcua" && (
                <div className={styles.linkButtons}>
                  <Button size="xs" variant={one.state === "refused" ? "filled" : "default"} onClick={() => setTrusting(one)}>
                    {t("system.trust")}
                  </Button>
                  <Button size="xs" variant="default" disabled={one.state !== "connected"} onClick={() => setBrowsing(one)}>
                    {t("system.browse")}
                  </Button>
                </div>
              )}
            </div>
          </Panel>
        ))}
      </div>
      {trusting && <TrustDialog connection={trusting} onClose={() => setTrusting(null)} />}
      {browsing && <BrowseDialog connection={browsing} onClose={() => setBrowsing(null)} />}
    </>
  );
}

/** The person compares what the server shows with what its screen or maker says; only then may it be trusted. */
function TrustDialog({ connection, onClose }: { connection: ConnectionAnswer; onClose: () => void }) {
  const t = useT();
  const title = useTitle();
  const [compared, setCompared] = useState(false);
  const { name } = connection;
  const { data, error, isPending } = useQuery({
    queryKey: ["fingerprint", name],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/connections/{name}/trust", { params: { path: { name } }, signal })),
    gcTime: 0,
    staleTime: Infinity,
    retry: false,
  });
  const trust = useMutation({
    mutationFn: (fingerprint: string) => ask(client.POST("/api/v1/connections/{name}/trust", { params: { path: { name } }, body: { fingerprint } })),
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: connectionsQuery.queryKey });
      onClose();
    },
  });
  return (
    <Modal opened onClose={onClose} title={t("system.trustTitle", { name: title(connection.title, name) })} closeButtonProps={{ "aria-label": t("action.close") }}>
      <div className={styles.dialog}>
        <p>{t("system.trustText")}</p>
        {isPending && <p role="status">{t("state.loading")}</p>}
        {data && <output className={styles.fingerprint}>{data.fingerprint}</output>}
        <Problem error={error ?? trust.error} />
        <Checkbox disabled={!data} checked={compared} onChange={(event) => setCompared(event.currentTarget.checked)} label={t("system.compared")} />
        <div className={styles.dialogButtons}>
          <Button variant="default" onClick={onClose}>
            {t("action.cancel")}
          </Button>
          <Button disabled={!compared || !data} loading={trust.isPending} onClick={() => data && trust.mutate(data.fingerprint)}>
            {t("system.trustThis")}
          </Button>
        </div>
      </div>
    </Modal>
  );
}

function BrowseDialog({ connection, onClose }: { connection: ConnectionAnswer; onClose: () => void }) {
  const t = useT();
  const title = useTitle();
  return (
    <Modal opened onClose={onClose} size={680} title={t("system.browseTitle", { name: title(connection.title, connection.name) })} closeButtonProps={{ "aria-label": t("action.close") }}>
      <div className={styles.browse}>
        <Nodes connection={connection.name} parent={null} />
      </div>
    </Modal>
  );
}

function Nodes({ connection, parent }: { connection: string; parent: BrowseNode["address"] | null }) {
  const t = useT();
  const { data, error, isPending } = useQuery({
    queryKey: ["browse", connection, parent],
    queryFn: ({ signal }) =>
      ask(client.GET("/api/v1/connections/{name}/browse", { params: { path: { name: connection }, query: parent ? { parent: JSON.stringify(parent) } : {} }, signal })),
    retry: false,
  });
  if (error) return <Problem error={error} />;
  if (isPending) return <p role="status">{t("state.loading")}</p>;
  return (
    <ul>
      {data.nodes.map((node) => (
        <Node key={JSON.stringify(node.address)} connection={connection} node={node} />
      ))}
      {data.nodes.length === 0 && <li>{t("system.browseEmpty")}</li>}
      {data.truncated && <li>{t("system.browseMore")}</li>}
    </ul>
  );
}

function Node({ connection, node }: { connection: string; node: BrowseNode }) {
  const t = useT();
  const [open, setOpen] = useState(false);
  const address = Object.entries(node.address).map(([key, value]) => `${key}: ${String(value)}`).join(", ");
  return (
    <li>
      <div className={styles.node}>
        {node.has_children ? (
          <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
            <Icon name={open ? "down" : "right"} size={14} /> {node.name}
          </button>
        ) : (
          <span className={styles.leaf}>{node.name}</span>
        )}
        {node.kind && <span>{[t(`kind.${node.kind}`), node.unit ? displayUnit(node.unit) : "", node.writable ? t("system.writable") : ""].filter(Boolean).join(" · ")}</span>}
        <small className="code">{address}</small>
      </div>
      {open && <Nodes connection={connection} parent={node.address} />}
    </li>
  );
}
