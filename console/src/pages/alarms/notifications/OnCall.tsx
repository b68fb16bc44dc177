/** Who is on call by roster, now or at a time that somebody picks; a roster that nobody is on call of says so. */
import { SegmentedControl, TextInput } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ask, client } from "../../../api/client";
import { dateTime, localInput, MINUTE, parseLocal, parseTime, rfc3339 } from "../../../format/time";
import { useT, useTitle } from "../../../i18n";
import { Empty, Panel, Problem } from "../../../ui/Page";
import { QualitySymbol } from "../../../ui/Value";
import styles from "./notifications.module.css";

const NOW = "now";
const OTHER = "other";

export function OnCall() {
  const t = useT();
  const title = useTitle();
  const [when, setWhen] = useState(NOW);
  const [text, setText] = useState("");
  const picked = when === NOW ? null : parseLocal(text);
  const wrong = picked !== null && Number.isNaN(picked);
  const { data, error, isPlaceholderData } = useQuery({
    queryKey: ["on-call", picked],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/notifications/on-call", { params: { query: picked === null ? {} : { at: rfc3339(picked) } }, signal })),
    enabled: !wrong,
    placeholderData: keepPreviousData,
    refetchInterval: picked === null ? MINUTE : false,
  });
  return (
    <Panel title={t("onCall.title")}>
      <div className={styles.controls}>
        <SegmentedControl
          aria-label={t("onCall.when")}
          value={when}
          onChange={(value) => {
            if (text === "") setText(localInput(Date.now()));
            setWhen(value);
          }}
          data={[
            { value: NOW, label: t("onCall.now") },
            { value: OTHER, label: t("onCall.other") },
          ]}
        />
        {when === OTHER && <TextInput type="datetime-local" aria-label={t("onCall.at")} value={text} onChange={(event) => setText(event.currentTarget.value)} error={wrong ? t("onCall.noTime") : undefined} />}
      </div>
      {error && (
        <div className={styles.inside}>
          <Problem error={error} />
        </div>
      )}
      {!data ? (
        !error && <Empty>{t("state.loading")}</Empty>
      ) : data.shifts.length === 0 ? (
        <Empty>{t("onCall.none")}</Empty>
      ) : (
        <>
          <ul className={styles.shifts} aria-busy={isPlaceholderData}>
            {data.shifts.map((one) => (
              <li key={`${one.roster} ${one.shift}`} data-roster={one.roster}>
                <div>
                  <b>{title(one.title, one.roster)}</b>
                  {one.shift !== "" && <small>{t("onCall.shift", { shift: one.shift, day: one.began_on, zone: one.time_zone })}</small>}
                </div>
                {one.people.length === 0 ? (
                  <span className={styles.loud}>
                    <QualitySymbol look="uncertain" size={16} /> {t("onCall.nobody")}
                  </span>
                ) : (
                  <ul>
                    {one.people.map((person) => (
                      <li key={person.contact}>
                        {person.name}
                        <small>{Object.values(person.addresses).join(" · ")}</small>
                      </li>
                    ))}
                  </ul>
                )}
              </li>
            ))}
          </ul>
          <p className={styles.foot}>{t("onCall.asOf", { at: dateTime(parseTime(data.at)) })}</p>
        </>
      )}
    </Panel>
  );
}
