/** Setpoints that wait for a second person, locks that stand, and what was written lately. */
import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { ask, client, type CommandAnswer, type LockAnswer, type PointAnswer } from "../../api/client";
import { decide, useLocks, useWaiting } from "../../app/guards";
import { LockDialog, ReasonDialog, ReleaseDialog } from "../../app/LockDialog";
import { useSession } from "../../app/session";
import { formatValue } from "../../format/number";
import { moment, parseTime, span } from "../../format/time";
import { displayUnit } from "../../format/unit";
import { type Key, useT, useTitle } from "../../i18n";
import { useNow } from "../../live/hooks";
import { Icon } from "../../ui/Icon";
import { Age, Empty, Page, Panel, parts, Problem } from "../../ui/Page";
import { Conditions, useConditions } from "../../write/Conditions";
import styles from "./writes.module.css";

export function Writes() {
  const t = useT();
  const { may } = useSession();
  const waiting = useWaiting();
  const locks = useLocks();
  const [locking, setLocking] = useState(false);
  const [releasing, setReleasing] = useState<LockAnswer | null>(null);
  return (
    <Page
      title={t("nav.writes")}
      aside={
        (may("write") || may("maintain") || may("lock")) && (
          <Button color="var(--danger)" leftSection={<Icon name="lock" size={16} />} onClick={() => setLocking(true)}>
            {t("lock.open")}
          </Button>
        )
      }
    >
      {locks.length > 0 && (
        <Panel title={t("lock.standing")}>
          <ul className={styles.list}>
            {locks.map((lock) => (
              <li key={lock.id} className={styles.lock}>
                <Icon name="lock" />
                <div>
                  <strong>{lock.path || t("lock.all")}</strong>
                  <p>{lock.reason}</p>
                  <small>
                    {lock.locked_by} · {moment(parseTime(lock.locked_at))}
                  </small>
                </div>
                {may("lock") && (
                  <Button size="xs" variant="default" onClick={() => setReleasing(lock)}>
                    {t("lock.release")}
                  </Button>
                )}
              </li>
            ))}
          </ul>
        </Panel>
      )}
      <Panel title={t("approval.title")}>
        {waiting.length === 0 ? (
          <Empty>{t("approval.none")}</Empty>
        ) : (
          <ul className={styles.list}>
            {waiting.map((command) => (
              <Waiting key={command.id} command={command} />
            ))}
          </ul>
        )}
      </Panel>
      <Latest />
      {locking && <LockDialog onClose={() => setLocking(false)} />}
      {releasing && <ReleaseDialog lock={releasing} onClose={() => setReleasing(null)} />}
    </Page>
  );
}

function Waiting({ command }: { command: CommandAnswer }) {
  const t = useT();
  const title = useTitle();
  const now = useNow();
  const { user, may } = useSession();
  const [asking, setAsking] = useState<"approve" | "reject" | "withdraw" | null>(null);
  const { data: point, error } = useQuery({
    queryKey: ["point", command.path],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/points/{path}", { params: { path: { path: command.path } }, signal })),
    staleTime: 60_000,
  });
  const conditions = useConditions(command.path);
  const own = command.actor === user;
  const words = { s: t("unit.s"), min: t("unit.min"), h: t("unit.h"), d: t("unit.d") };
  const left = span(Math.max(0, parseTime(command.expires_at) - now), words);
  const value = point ? `${formatValue(command.value, point.kind, point.decimals)} ${displayUnit(point.unit)}`.trim() : String(command.value);
  return (
    <li className={styles.waiting} data-command={command.id}>
      <div className={styles.what}>
        <Link to="/explore/$" params={{ _splat: command.path.slice(0, command.path.lastIndexOf("/")) }} search={{ point: command.path }}>
          {title(point?.title, command.path)}
        </Link>
        <small>{command.path}</small>
      </div>
      <div className={styles.value}>
        <Icon name="right" />
        <b>{value}</b>
      </div>
      <p className={styles.reason}>{command.reason}</p>
      <small>
        {command.actor} · <Age at={command.requested_at} /> · {t("approval.left", { span: left })}
      </small>
      <Problem error={error} />
      {point && <Conditions point={point as PointAnswer} conditions={conditions && { ...conditions, waiting: null }} />}
      <div className={styles.buttons}>
        {own ? (
          <>
            <span>{t("approval.own")}</span>
            <Button variant="default" onClick={() => setAsking("withdraw")}>
              {t("approval.withdraw")}
            </Button>
          </>
        ) : may("approve") ? (
          <>
            <Button variant="default" onClick={() => setAsking("reject")}>
              {t("approval.reject")}
            </Button>
            <Button disabled={(conditions?.locks.length ?? 0) > 0} onClick={() => setAsking("approve")}>
              {t("approval.approve")}
            </Button>
          </>
        ) : (
          <span>{t("approval.others")}</span>
        )}
      </div>
      {asking && (
        <ReasonDialog
          title={t(`approval.${asking}` as Key)}
          text={t(`approval.${asking}Text` as Key, { value, point: title(point?.title, command.path), actor: command.actor })}
          action={t(`approval.${asking}` as Key)}
          required={asking === "reject"}
          run={(reason) => decide(command.id, asking, reason)}
          onClose={() => setAsking(null)}
        />
      )}
    </li>
  );
}

function Latest() {
  const t = useT();
  const { data, error } = useQuery({
    queryKey: ["writes", "latest"],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/writes", { params: { query: { limit: 50 } }, signal })),
    refetchInterval: 3_000,
  });
  return (
    <Panel title={t("writes.latest")}>
      <Problem error={error} />
      {data?.length === 0 ? (
        <Empty>{t("writes.none")}</Empty>
      ) : (
        <div className={parts.scroll}>
          <table className={parts.table}>
            <thead>
              <tr>
                <th>{t("writes.when")}</th>
                <th>{t("writes.point")}</th>
                <th className={parts.num}>{t("writes.value")}</th>
                <th>{t("writes.state")}</th>
                <th>{t("writes.who")}</th>
                <th>{t("writes.why")}</th>
              </tr>
            </thead>
            <tbody>
              {data?.map((command) => (
                <tr key={command.id} data-write={command.id}>
                  <td>{moment(parseTime(command.requested_at))}</td>
                  <td className={styles.path}>{command.path}</td>
                  <td className={parts.num}>{String(command.value)}</td>
                  <td>{t(`command.${command.state}`)}</td>
                  <td>
                    {command.actor}
                    {command.approver && ` + ${command.approver}`}
                  </td>
                  <td className={styles.why}>{[command.reason, command.decision, command.detail].filter(Boolean).join(" · ")}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}
