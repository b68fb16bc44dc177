/** Stream functions: versions, how those that run fare, and what people did with them.
 *
 *     add (source, file) ─► shadow ─► difference from the active one ─► promote ─► active ─► roll back, retire
 */
import { Button, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import type { StreamAnswer } from "../../../api/client";
import { streamActsQuery, streamsQuery } from "../../../api/queries";
import { useSession } from "../../../app/session";
import { moment, parseTime } from "../../../format/time";
import { useT } from "../../../i18n";
import { Icon } from "../../../ui/Icon";
import { DocLink } from "../../../ui/links";
import { Empty, Panel, parts, Problem } from "../../../ui/Page";
import { type Asked, ActDialog } from "./ActDialog";
import { AddDialog, EXAMPLE } from "./AddDialog";
import { FunctionPanel } from "./FunctionPanel";
import styles from "./streams.module.css";

const PAGE = 30;

export function Streams() {
  const t = useT();
  const configures = useSession().mayEverywhere("configure");
  const [text, setText] = useState("");
  const [shown, setShown] = useState(PAGE);
  const [asked, setAsked] = useState<Asked | null>(null);
  // What was begun is there again when the dialog is opened again.
  const [draft, setDraft] = useState(EXAMPLE);
  const [adding, setAdding] = useState(false);
  const [done, setDone] = useState("");
  const { data, error } = useQuery(streamsQuery);
  const functions = useMemo(() => byName(data ?? []), [data]);
  const found = functions.filter(([name]) => name.toLowerCase().includes(text.trim().toLowerCase()));
  return (
    <div className={styles.page}>
      <div className={styles.head}>
        <p>
          {t("stream.what")} <DocLink name="streams" />
        </p>
        <div className={styles.headActs}>
          {functions.length > 1 && <TextInput size="xs" aria-label={t("alarms.filter")} placeholder={t("alarms.filter")} value={text} onChange={(event) => setText(event.currentTarget.value)} />}
          {configures && (
            <Button size="xs" leftSection={<Icon name="plus" size={14} />} onClick={() => setAdding(true)}>
              {t("stream.add")}
            </Button>
          )}
        </div>
      </div>
      <Problem error={error} />
      <div role="status">
        {done !== "" && (
          <p className={styles.done}>
            <Icon name="check" size={16} /> {done}
          </p>
        )}
      </div>
      {found.length === 0 && !error && (
        <Panel title={t("stream.list")}>
          <Empty>
            {!data ? (
              t("state.loading")
            ) : functions.length > 0 ? (
              t("stream.noneMatch")
            ) : (
              <>
                {t(configures ? "stream.none" : "stream.noneMayNot")} <DocLink name="streams" />
              </>
            )}
          </Empty>
        </Panel>
      )}
      {found.slice(0, shown).map(([name, versions]) => (
        <FunctionPanel key={name} name={name} versions={versions} onAsk={configures ? setAsked : undefined} />
      ))}
      {found.length > shown && (
        <div>
          <Button variant="default" onClick={() => setShown(shown + PAGE)}>
            {t("action.more")}
          </Button>
        </div>
      )}
      <Acts />
      {asked && (
        <ActDialog
          asked={asked}
          onClose={(said) => {
            setAsked(null);
            if (said) setDone(said);
          }}
        />
      )}
      {adding && (
        <AddDialog
          draft={draft}
          onDraft={setDraft}
          onClose={(made) => {
            setAdding(false);
            if (!made) return;
            setDraft(EXAMPLE);
            setDone(t("stream.added", { name: made.name, version: made.version }));
          }}
        />
      )}
    </div>
  );
}

/** Functions by name, the newest version first. */
function byName(versions: readonly StreamAnswer[]): [string, StreamAnswer[]][] {
  const found = new Map<string, StreamAnswer[]>();
  for (const one of versions) found.set(one.name, [one, ...(found.get(one.name) ?? [])]);
  return [...found].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

const ACTS_PAGE = 20;

function Acts() {
  const t = useT();
  const [shown, setShown] = useState(ACTS_PAGE);
  const { data, error } = useQuery(streamActsQuery);
  const newest = useMemo(() => (data ?? []).toReversed(), [data]);
  return (
    <Panel title={t("stream.acts")}>
      <Problem error={error} />
      {newest.length === 0 ? (
        <Empty>{data ? t("stream.noActs") : error ? "" : t("state.loading")}</Empty>
      ) : (
        <div className={parts.scroll} tabIndex={0} role="region" aria-label={t("stream.acts")}>
          <table className={parts.table}>
            <thead>
              <tr>
                <th>{t("alarms.time")}</th>
                <th>{t("alarms.who")}</th>
                <th>{t("stream.act")}</th>
                <th>{t("stream.version")}</th>
                <th>{t("alarms.reason")}</th>
              </tr>
            </thead>
            <tbody>
              {newest.slice(0, shown).map((one) => (
                <tr key={`${one.time} ${one.act} ${one.name} ${one.version}`}>
                  <td className={styles.nowrap}>{moment(parseTime(one.time))}</td>
                  <td>{one.who}</td>
                  <td className={styles.nowrap}>{t(`streamAct.${one.act}` as "streamAct.add")}</td>
                  <td className={styles.nowrap}>
                    {one.name} {one.version}
                  </td>
                  <td className={styles.why}>{one.why || "—"}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {newest.length > shown && (
        <div className={styles.foot}>
          <Button size="xs" variant="default" onClick={() => setShown(shown + ACTS_PAGE)}>
            {t("action.more")}
          </Button>
        </div>
      )}
    </Panel>
  );
}
