/** A one-time token for an edge, and the command that spends it on the edge's own machine. */
import { Button, Modal, Select, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ask, client } from "../../api/client";
import { assetsQuery, edgesQuery, queryClient } from "../../api/queries";
import { dateTime, parseTime } from "../../format/time";
import { useT } from "../../i18n";
import { parts, Problem } from "../../ui/Page";
import { Secret } from "../../ui/Secret";

/** Where a hub lets edges in, unless `--listen-edges` says otherwise. */
const HUB_PORT = 8472;
const VALID_S = { hour: 3_600, day: 86_400, week: 604_800 } as const;

export function InviteDialog({ name: given, prefix: before, onClose }: { name: string; prefix: string; onClose: () => void }) {
  const t = useT();
  const { data: assets } = useQuery(assetsQuery);
  const [name, setName] = useState(given);
  const [prefix, setPrefix] = useState(before);
  const [valid, setValid] = useState<keyof typeof VALID_S>("hour");
  const invite = useMutation({
    mutationFn: () => ask(client.POST("/api/v1/edges", { body: { name: name.trim(), prefix, valid_s: VALID_S[valid] } })),
    onSettled: () => void queryClient.invalidateQueries({ queryKey: edgesQuery.queryKey }),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    invite.mutate();
  };
  const parents = (assets ?? []).map((one) => one.path).filter((path) => path !== "system" && !path.startsWith("system/"));
  return (
    <Modal opened onClose={onClose} size={600} title={t("edges.inviteTitle")} closeOnClickOutside={false} closeButtonProps={{ "aria-label": t("action.close") }}>
      {invite.data ? (
        <div className={parts.form}>
          <p>{t("edges.invited", { name: invite.data.edge.name, at: invite.data.edge.token_ends_at ? dateTime(parseTime(invite.data.edge.token_ends_at)) : "" })}</p>
          <Secret label={t("edges.command")} text={`headrace edge --hub ${window.location.hostname}:${HUB_PORT} --token ${invite.data.token}`} />
          <div className={parts.formButtons}>
            <Button onClick={onClose}>{t("action.close")}</Button>
          </div>
        </div>
      ) : (
        <form className={parts.form} onSubmit={submit}>
          <p>{t("edges.inviteText")}</p>
          <TextInput data-autofocus label={t("access.name")} description={t("edges.nameHint")} required value={name} onChange={(event) => setName(event.currentTarget.value)} />
          <Select label={t("edges.prefix")} description={t("edges.prefixHint")} required searchable data={parents} value={prefix || null} onChange={(value) => setPrefix(value ?? "")} />
          <Select
            label={t("edges.valid")}
            value={valid}
            data={(Object.keys(VALID_S) as (keyof typeof VALID_S)[]).map((one) => ({ value: one, label: t(`edgeValid.${one}`) }))}
            onChange={(value) => setValid((value ?? "hour") as keyof typeof VALID_S)}
          />
          <Problem error={invite.error} />
          <div className={parts.formButtons}>
            <Button variant="default" onClick={onClose}>
              {t("action.cancel")}
            </Button>
            <Button type="submit" loading={invite.isPending}>
              {t("edges.makeToken")}
            </Button>
          </div>
        </form>
      )}
    </Modal>
  );
}
