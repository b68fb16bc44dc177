/** A role of the tenant's own: a name for the machine, a title for people, and what it allows. */
import { Button, Checkbox, Modal, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { type Action, ACTIONS, ask, client, type RoleAnswer } from "../../api/client";
import { proven } from "../../app/FreshProof";
import { useT } from "../../i18n";
import { parts, Problem } from "../../ui/Page";
import styles from "./access.module.css";
import { freshRoles } from "./Roles";

export function RoleDialog({ role, onClose }: { role: RoleAnswer | null; onClose: () => void }) {
  const t = useT();
  const [name, setName] = useState(role?.name ?? "");
  const [title, setTitle] = useState(role?.title ?? "");
  const [actions, setActions] = useState<ReadonlySet<Action>>(new Set(role?.actions ?? ["view"]));
  const save = useMutation({
    mutationFn: () => proven(() => ask(client.PUT("/api/v1/roles/{name}", { params: { path: { name: name.trim() } }, body: { title: title.trim(), actions: [...actions] } }))),
    onSuccess: onClose,
    onSettled: freshRoles,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (name.trim() !== "") save.mutate();
  };
  return (
    <Modal opened onClose={onClose} size={560} title={role ? role.title : t("roles.add")} closeOnClickOutside={false} closeButtonProps={{ "aria-label": t("action.close") }}>
      <form className={parts.form} onSubmit={submit}>
        {role === null && <TextInput data-autofocus label={t("access.name")} description={t("roles.nameHint")} required classNames={{ input: "code" }} value={name} onChange={(event) => setName(event.currentTarget.value)} />}
        <TextInput label={t("roles.title")} description={t("roles.titleHint")} value={title} onChange={(event) => setTitle(event.currentTarget.value)} />
        <fieldset className={styles.rightsLong}>
          <legend>{t("roles.rights")}</legend>
          {ACTIONS.map((one) => (
            <Checkbox
              key={one}
              label={t(`right.${one}`)}
              description={t(`rightText.${one}`)}
              checked={actions.has(one)}
              onChange={(event) => {
                const next = new Set(actions);
                if (event.currentTarget.checked) next.add(one);
                else next.delete(one);
                setActions(next);
              }}
            />
          ))}
        </fieldset>
        {role !== null && <p className={styles.hint}>{t("roles.counts")}</p>}
        <Problem error={save.error} />
        <div className={parts.formButtons}>
          <Button variant="default" onClick={onClose}>
            {t("action.cancel")}
          </Button>
          <Button type="submit" loading={save.isPending}>
            {t("devices.save")}
          </Button>
        </div>
      </form>
    </Modal>
  );
}
