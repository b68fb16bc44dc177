/** What waits to be sent and what was refused: how many, how old, and what a person can do about it. */
import { Button } from "@mantine/core";
import { useEffect, useState } from "react";
import { type Kept, outbox } from "../../apps/outbox";
import { useOutbox } from "../../apps/useOutbox";
import { dateTime, moment } from "../../format/time";
import { useT } from "../../i18n";
import { Age, parts } from "../../ui/Page";
import { Sure } from "../../ui/Sure";
import styles from "./apps.module.css";

export function Later({ app }: { app: string }) {
  const t = useT();
  const kept = useOutbox(app);
  const online = useOnline();
  const [open, setOpen] = useState(false);
  const waiting = kept.filter((one) => one.state === "waiting");
  const refused = kept.length - waiting.length;
  if (kept.length === 0 && online) return null;
  return (
    <section className={styles.later} aria-label={t("later.show")}>
      <div className={styles.laterHead} role="status">
        {!online && <span>{t("later.offline")}</span>}
        {waiting[0] && (
          <strong>
            {t("later.waiting", { n: waiting.length })}
            <small>
              , <Oldest at={waiting[0].at} />
            </small>
          </strong>
        )}
        {refused > 0 && <strong data-refused>{t("later.refused", { n: refused })}</strong>}
      </div>
      {kept.length > 0 && (
        <Button size="xs" variant="default" aria-expanded={open} onClick={() => setOpen(!open)}>
          {t(open ? "later.hide" : "action.more")}
        </Button>
      )}
      {(open || refused > 0) && (
        <ul className={styles.laterList}>
          {kept.filter((one) => open || one.state === "refused").map((one) => (
            <Item key={one.order} one={one} />
          ))}
        </ul>
      )}
    </section>
  );
}

function Oldest({ at }: { at: number }) {
  const t = useT();
  const [before, after = ""] = t("later.oldest", { age: "\u0000" }).split("\u0000");
  return <>{before}<Age at={at} />{after}</>;
}

function Item({ one }: { one: Kept }) {
  const t = useT();
  const said = Object.entries(one.body).filter(([name]) => name !== "client" && name !== "entered");
  return (
    <li data-state={one.state}>
      <div>
        <strong>{t(`later.state.${one.state}`)}</strong> <time title={dateTime(one.at, true)}>{moment(one.at)}</time>{" "}
        <span className={parts.path}>{said.map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : String(value)}`).join(" · ")}</span>
        {one.reason !== "" && <p>{one.reason}</p>}
      </div>
      {one.state === "refused" && (
        <div className={styles.acts}>
          <Button size="xs" variant="default" onClick={() => void outbox.retry(one)}>
            {t("later.again")}
          </Button>
          <Sure label={t("later.drop")} onSure={() => void outbox.drop(one.order)} />
        </div>
      )}
    </li>
  );
}

function useOnline(): boolean {
  const [online, setOnline] = useState(navigator.onLine);
  useEffect(() => {
    const look = () => setOnline(navigator.onLine);
    window.addEventListener("online", look);
    window.addEventListener("offline", look);
    return () => {
      window.removeEventListener("online", look);
      window.removeEventListener("offline", look);
    };
  }, []);
  return online;
}
