/** Who did what, newest first; whether the trail is whole; and all of it as a file. */
import { Button, Menu, TextInput } from "@mantine/core";
import { useInfiniteQuery, useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ask, client } from "../../api/client";
import { dateTime, parseTime, rfc3339 } from "../../format/time";
import { useT } from "../../i18n";
import { Age, Empty, Panel, parts, Problem } from "../../ui/Page";
import styles from "./system.module.css";

const FIELDS = ["actor", "action", "subject", "outcome"] as const;
type Filter = Partial<Record<(typeof FIELDS)[number] | "start" | "end", string>>;

export function Audit() {
  const [filter, setFilter] = useState<Filter>({});
  return (
    <div className={styles.runtime}>
      <Whole />
      <Filters filter={filter} onChange={setFilter} />
      <Entries filter={filter} />
    </div>
  );
}

/** The newest entry, the newest that was signed, and a check on demand. */
function Whole() {
  const t = useT();
  const state = useQuery({ queryKey: ["audit-state"], queryFn: ({ signal }) => ask(client.GET("/api/v1/audit/state", { signal })), refetchInterval: 10_000 });
  const check = useMutation({ mutationFn: () => ask(client.GET("/api/v1/audit/verify")) });
  const { data } = state;
  return (
    <Panel
      title={t("audit.state")}
      aside={
        <Button size="xs" variant="default" loading={check.isPending} onClick={() => check.mutate()}>
          {t("audit.check")}
        </Button>
      }
    >
      <Problem error={state.error ?? check.error} />
      {data?.trouble.map((text) => <Problem key={text} error={new Error(text)} />)}
      {check.data && !check.data.whole && <Problem error={new Error(check.data.problem ?? "")} />}
      {data && (
        <dl className={`${styles.linkFacts} ${styles.inset} ${styles.auditFacts}`}>
          <div>
            <dt>{t("audit.head")}</dt>
            <dd>
              {data.head.sequence} <code className="code" title={data.head.hash}>{data.head.hash.slice(0, 16)}</code>
            </dd>
          </div>
          <div>
            <dt>{t("audit.checkpoint")}</dt>
            <dd>
              {data.checkpoint ? (
                <>
                  {data.checkpoint.sequence} · {t("audit.ago")} <Age at={data.checkpoint_at} />
                </>
              ) : (
                t("audit.notSigned")
              )}
            </dd>
          </div>
          <div>
            <dt>{t("audit.checked")}</dt>
            <dd>
              <span role="status">
                {check.data?.whole ? t("audit.whole", { n: check.data.entries, files: check.data.archived }) : check.data ? t("audit.notWhole") : t("audit.notChecked")}
              </span>
            </dd>
          </div>
          <div>
            <dt>{t("audit.keep")}</dt>
            <dd>{data.keep_days === null ? "—" : t("audit.days", { n: data.keep_days })}</dd>
          </div>
        </dl>
      )}
    </Panel>
  );
}

function Filters({ filter, onChange }: { filter: Filter; onChange: (filter: Filter) => void }) {
  const t = useT();
  const [draft, setDraft] = useState<Record<string, string>>({});
  const apply = (event: FormEvent) => {
    event.preventDefault();
    const filled = Object.entries(draft).filter(([, text]) => text !== "");
    onChange(Object.fromEntries(filled.map(([name, text]) => [name, name === "start" || name === "end" ? rfc3339(new Date(text).getTime()) : text])));
  };
  const clear = () => {
    setDraft({});
    onChange({});
  };
  const words = { actor: t("alarms.who"), action: t("audit.actionBegins"), subject: t("audit.subjectBegins"), outcome: t("audit.outcome") };
  const exportUrl = (format: string) => `/api/v1/audit/export?${new URLSearchParams({ ...filter, format })}`;
  const field = (name: string, label: string, type = "text") => (
    <TextInput key={name} size="xs" type={type} label={label} value={draft[name] ?? ""} onChange={(event) => setDraft({ ...draft, [name]: event.currentTarget.value })} />
  );
  return (
    <form className={styles.auditFilter} onSubmit={apply} aria-label={t("audit.filter")}>
      {FIELDS.map((name) => field(name, words[name]))}
      {field("start", t("audit.from"), "datetime-local")}
      {field("end", t("audit.to"), "datetime-local")}
      <div className={styles.auditButtons}>
        <Button size="xs" type="submit">
          {t("audit.filter")}
        </Button>
        <Button size="xs" variant="default" onClick={clear}>
          {t("audit.clear")}
        </Button>
        <Menu position="bottom-end">
          <Menu.Target>
            <Button size="xs" variant="default">
              {t("audit.export")}
            </Button>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Item component="a" href={exportUrl("ndjson")} download>
              {t("audit.exportSigned")}
            </Menu.Item>
            <Menu.Item component="a" href={exportUrl("csv")} download>
              {t("audit.exportSheet")}
            </Menu.Item>
          </Menu.Dropdown>
        </Menu>
      </div>
    </form>
  );
}

function Entries({ filter }: { filter: Filter }) {
  const t = useT();
  const audit = useInfiniteQuery({
    queryKey: ["audit", filter],
    queryFn: ({ pageParam, signal }) => ask(client.GET("/api/v1/audit", { params: { query: { limit: 100, ...filter, ...(pageParam ? { cursor: pageParam } : {}) } }, signal })),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const entries = audit.data?.pages.flatMap((page) => page.entries) ?? [];
  const filtered = Object.keys(filter).length > 0;
  return (
    <>
      <Problem error={audit.error} />
      <Panel label={t("system.audit")}>
        {entries.length === 0 ? (
          <Empty>{audit.isPending ? t("state.loading") : filtered ? t("audit.noneFit") : t("system.noAudit")}</Empty>
        ) : (
          <div className={parts.scroll}>
            <table className={parts.table}>
              <thead>
                <tr>
                  <th>{t("alarms.time")}</th>
                  <th>{t("alarms.who")}</th>
                  <th>{t("audit.action")}</th>
                  <th>{t("audit.subject")}</th>
                  <th>{t("audit.outcome")}</th>
                  <th>{t("audit.data")}</th>
                </tr>
              </thead>
              <tbody>
                {entries.map((entry) => (
                  <tr key={entry.sequence}>
                    <td className={styles.nowrap}>{dateTime(parseTime(entry.time))}</td>
                    <td className={styles.nowrap}>{entry.actor}</td>
                    <td className={styles.nowrap}>{entry.action}</td>
                    <td className={styles.wrap}>{entry.subject}</td>
                    <td>{entry.outcome}</td>
                    <td className={`code ${styles.wrap}`}>{Object.entries(entry.data).map(([key, value]) => `${key}: ${typeof value === "object" ? JSON.stringify(value) : String(value)}`).join(" · ")}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Panel>
      {audit.hasNextPage && (
        <div>
          <Button variant="default" loading={audit.isFetchingNextPage} onClick={() => void audit.fetchNextPage()}>
            {t("action.more")}
          </Button>
        </div>
      )}
    </>
  );
}
