/** Takes a firm in; the one-time passwords of its first accounts are shown once, each to be handed to its own person. */
import { Button, Checkbox, Modal, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ask, client } from "../../api/client";
import { proven } from "../../app/FreshProof";
import { useT } from "../../i18n";
import { parts, Problem } from "../../ui/Page";
import { Secret } from "../../ui/Secret";
import { freshTenants } from "./Firms";

export function FirmDialog({ onClose }: { onClose: () => void }) {
  const t = useT();
  const [name, setName] = useState("");
  const [title, setTitle] = useState("");
  const [roots, setRoots] = useState("");
  const [separate, setSeparate] = useState(true);
  const words = roots.split(/[\s,，、]+/).filter(Boolean);
  const add = useMutation({
    mutationFn: () => proven(() => ask(client.POST("/api/v1/tenants", { body: { name: name.trim(), title: title.trim(), roots: words, separate_duties: separate } }))),
    onSettled: freshTenants,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (words.length > 0) add.mutate();
  };
  return (
    <Modal opened onClose={onClose} size={560} title={t("firms.add")} closeOnClickOutside={false} closeOnEscape={!add.data} closeButtonProps={{ "aria-label": t("action.close") }}>
      {add.data ? (
        <div className={parts.form}>
          <p>{t("firms.handOver", { firm: add.data.tenant.title || add.data.tenant.name })}</p>
          {Object.entries(add.data.one_time_passwords).map(([user, password]) => (
            <Secret key={user} label={user} text={password} />
          ))}
          <div className={parts.formButtons}>
            <Button onClick={onClose}>{t("action.close")}</Button>
          </div>
        </div>
      ) : (
        <form className={parts.form} onSubmit={submit}>
          <TextInput data-autofocus label={t("firms.title")} required value={title} onChange={(event) => setTitle(event.currentTarget.value)} />
          <TextInput label={t("access.name")} description={t("firms.nameHint")} required classNames={{ input: "code" }} value={name} onChange={(event) => setName(event.currentTarget.value)} />
          <TextInput label={t("firms.roots")} description={t("firms.rootsHint")} required classNames={{ input: "code" }} value={roots} onChange={(event) => setRoots(event.currentTarget.value)} />
          <Checkbox label={t("roles.separate")} description={t("firms.separateHint")} checked={separate} onChange={(event) => setSeparate(event.currentTarget.checked)} />
          <Problem error={add.error} />
          <div className={parts.formButtons}>
            <Button variant="default" onClick={onClose}>
              {t("action.cancel")}
            </Button>
            <Button type="submit" loading={add.isPending}>
              {t("firms.takeIn")}
            </Button>
          </div>
        </form>
      )}
    </Modal>
  );
}
