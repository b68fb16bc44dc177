/** A message that says that it is a test, to one contact over one channel; what the channel said is shown. */
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ask, client } from "../../../api/client";
import { declarationsQuery, queryClient } from "../../../api/queries";
import { useList, useT } from "../../../i18n";
import { Panel, Problem } from "../../../ui/Page";
import { StateMark } from "./Notice";
import styles from "./notifications.module.css";

/** As the API takes it. */
const NAME_MAX = 200;

interface Declared {
  channels: readonly string[];
  contacts: readonly string[];
}
const UNKNOWN: Declared = { channels: [], contacts: [] };

/** Names in the declarations that somebody may read; where none are found, they are typed. */
function useDeclared(): Declared {
  const { data: declared } = useQuery(declarationsQuery);
  const texts = declared?.files.map((one) => one.text);
  const { data } = useQuery({
    queryKey: ["declared-names", texts],
    queryFn: async () => {
      // The reader of YAML comes when there is something to read.
      const { namesUnder } = await import("./declared");
      const all = (key: string) => [...new Set((texts ?? []).flatMap((text) => namesUnder(text, key)))].toSorted();
      return { channels: all("channels"), contacts: all("contacts") };
    },
    enabled: texts !== undefined,
  });
  return data ?? UNKNOWN;
}

export function SendTest() {
  const t = useT();
  const list = useList();
  const { channels, contacts } = useDeclared();
  const [channel, setChannel] = useState("");
  const [contact, setContact] = useState("");
  const [asked, setAsked] = useState(false);
  const send = useMutation({
    mutationFn: () => ask(client.POST("/api/v1/notifications/test", { body: { channel: channel.trim(), contact: contact.trim() } })),
    onSettled: () => queryClient.invalidateQueries({ queryKey: ["notifications"] }),
  });
  const missing = channel.trim() === "" || contact.trim() === "";
  const done = send.data;
  return (
    <Panel title={t("noticeTest.title")}>
      <form
        className={styles.test}
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          setAsked(true);
          if (!missing && !send.isPending) send.mutate();
        }}
      >
        <p>{t("noticeTest.text")}</p>
        <div className={styles.fields}>
          <Name label={t("notice.channel")} names={channels} value={channel} onChange={setChannel} wrong={asked && channel.trim() === "" ? t("noticeTest.whichChannel") : undefined} />
          <Name label={t("notice.contact")} names={contacts} value={contact} onChange={setContact} wrong={asked && contact.trim() === "" ? t("noticeTest.whichContact") : undefined} />
          <Button type="submit" loading={send.isPending}>
            {t("noticeTest.send")}
          </Button>
        </div>
        <Problem error={send.error} />
        {done && !send.isPending && (
          <div className={styles.result} role="status">
            <StateMark state={done.state} />
            <span>{done.state === "sent" ? t("noticeTest.taken", { channel: done.channel, people: list(done.people) }) : t("noticeTest.refused", { channel: done.channel, error: done.error })}</span>
          </div>
        )}
      </form>
    </Panel>
  );
}

interface NameProps {
  label: string;
  names: readonly string[];
  value: string;
  onChange: (value: string) => void;
  wrong: string | undefined;
}

function Name({ label, names, value, onChange, wrong }: NameProps) {
  const t = useT();
  return names.length > 0 ? (
    <NativeSelect label={label} value={value} error={wrong} onChange={(event) => onChange(event.currentTarget.value)} data={[{ value: "", label: t("noticeTest.choose") }, ...names]} />
  ) : (
    <TextInput label={label} placeholder={t("noticeTest.asDeclared")} maxLength={NAME_MAX} value={value} error={wrong} onChange={(event) => onChange(event.currentTarget.value)} />
  );
}
