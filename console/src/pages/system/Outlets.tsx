/** Who is told of samples and events: state, what waits, what was dropped, and what to do next. */
import { useQuery } from "@tanstack/react-query";
import type { OutletAnswer } from "../../api/client";
import { outletsQuery } from "../../api/queries";
import { formatNumber } from "../../format/number";
import { type Key, useT, useTitle } from "../../i18n";
import { Icon } from "../../ui/Icon";
import { Age, Panel, Problem } from "../../ui/Page";
import { type Look, QualitySymbol } from "../../ui/Value";
import styles from "./system.module.css";

const LOOKS: Readonly<Record<OutletAnswer["state"], Look>> = { connected: "good", disabled: "none", connecting: "stale", waiting: "bad", refused: "bad" };
const COUNTERS = ["samples", "events", "waiting", "failures", "losses", "dropped", "given_up"] as const;
const ODD: ReadonlySet<string> = new Set(["failures", "losses", "dropped", "given_up"]);

/** Samples and events that found no room are one number here. */
const count = (of: OutletAnswer["counters"], name: (typeof COUNTERS)[number]) => (name === "dropped" ? of.dropped + of.dropped_events : of[name]);

export function Outlets() {
  const t = useT();
  const title = useTitle();
  const { data, error } = useQuery(outletsQuery);
  if (!error && !data?.length) return null;
  return (
    <section className={styles.outlets}>
      <h2>{t("system.outlets")}</h2>
      <Problem error={error} />
      <div className={styles.links}>
        {data?.map((one) => (
          <Panel key={one.name} label={title(one.title, one.name)}>
            <div className={styles.link} data-state={one.state} data-outlet={one.name}>
              <div className={styles.linkHead}>
                <h3>{title(one.title, one.name)}</h3>
                <span className={styles.linkState}>
                  {one.state === "connected" ? <Icon name="check" size={16} /> : <QualitySymbol look={LOOKS[one.state]} size={16} />}
                  {t(`link.${one.state}`)} · <Age at={one.since} />
                </span>
              </div>
              <p className={styles.linkFacts}>
                <span className="code">{one.name}</span>
                <span>{one.protocol}</span>
                <span>{t("explore.pointCount", { n: one.points })}</span>
                <span>
                  {t("system.lastSent")} <Age at={one.counters.last_sent_at} />
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
                  <div key={name} data-odd={ODD.has(name) && count(one.counters, name) > 0}>
                    <dt>{t(`outlet.${name}`)}</dt>
                    <dd>{formatNumber(count(one.counters, name), 0)}</dd>
                  </div>
                ))}
              </dl>
            </div>
          </Panel>
        ))}
      </div>
    </section>
  );
}
