/** One person: role, parts, and what ends their access; or somebody new, whose one-time password is shown once. */
import { Button, Modal, Select, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ask, client, type UserAnswer } from "../../api/client";
import { proven } from "../../app/FreshProof";
import { useRoles } from "../../app/roles";
import { useT } from "../../i18n";
import { parts, Problem } from "../../ui/Page";
import { Secret } from "../../ui/Secret";
import { Sure } from "../../ui/Sure";
import styles from "./access.module.css";
import { draftsOf, PartsEditor, partsOf } from "./PartsEditor";
import { freshUsers } from "./People";

export function PersonDialog({ user, onClose }: { user: UserAnswer | undefined; onClose: () => void }) {
  const t = useT();
  const [password, setPassword] = useState<{ text: string; label: string } | null>(null);
  const title = user ? user.name : t("access.addUser");
  return (
    <Modal opened onClose={onClose} size={720} title={title} closeOnClickOutside={false} closeButtonProps={{ "aria-label": t("action.close") }}>
      {password ? (
        <div className={parts.form}>
          <Secret label={password.label} text={password.text} />
          <div className={parts.formButtons}>
            <Button onClick={onClose}>{t("action.close")}</Button>
          </div>
        </div>
      ) : user ? (
        <div className={parts.form}>
          <Change user={user} onClose={onClose} />
          <Ends user={user} onPassword={(text) => setPassword({ text, label: t("access.resetOnce", { name: user.name }) })} onClose={onClose} />
        </div>
      ) : (
        <Add onPassword={(text) => setPassword({ text, label: t("access.passwordOnce") })} />
      )}
    </Modal>
  );
}

function RoleSelect({ value, onChange }: { value: string; onChange: (role: string) => void }) {
  const t = useT();
  const { options, text } = useRoles();
  return (
    <div>
      <Select label={t("access.roleWhole")} value={value} data={options} onChange={(role) => onChange(role ?? value)} />
      <p className={styles.hint}>{text(value)}</p>
    </div>
  );
}

function Add({ onPassword }: { onPassword: (text: string) => void }) {
  const t = useT();
  const [name, setName] = useState("");
  const [role, setRole] = useState("viewer");
  const [drafts, setDrafts] = useState(draftsOf([]));
  const add = useMutation({
    mutationFn: () => proven(() => ask(client.POST("/api/v1/users", { body: { name: name.trim(), role, parts: partsOf(drafts) } }))),
    onSuccess: (made) => onPassword(made.one_time_password),
    onSettled: freshUsers,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (name.trim() !== "") add.mutate();
  };
  return (
    <form className={parts.form} onSubmit={submit}>
      <TextInput data-autofocus label={t("access.name")} required value={name} onChange={(event) => setName(event.currentTarget.value)} />
      <RoleSelect value={role} onChange={setRole} />
      <PartsEditor value={drafts} onChange={setDrafts} />
      <Problem error={add.error} />
      <div className={parts.formButtons}>
        <Button type="submit" loading={add.isPending}>
          {t("access.make")}
        </Button>
      </div>
    </form>
  );
}

function Change({ user, onClose }: { user: UserAnswer; onClose: () => void }) {
  const t = useT();
  const [role, setRole] = useState(user.role);
  const [drafts, setDrafts] = useState(draftsOf(user.parts));
  const save = useMutation({
    mutationFn: () => proven(() => ask(client.PATCH("/api/v1/users/{name}", { params: { path: { name: user.name } }, body: { role, parts: partsOf(drafts) } }))),
    onSuccess: onClose,
    onSettled: freshUsers,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <form className={parts.form} onSubmit={submit}>
      <RoleSelect value={role} onChange={setRole} />
      <PartsEditor value={drafts} onChange={setDrafts} />
      <Problem error={save.error} />
      <div className={parts.formButtons}>
        <Button type="submit" loading={save.isPending}>
          {t("devices.save")}
        </Button>
      </div>
    </form>
  );
}

function Ends({ user, onPassword, onClose }: { user: UserAnswer; onPassword: (text: string) => void; onClose: () => void }) {
  const t = useT();
  const path = { path: { name: user.name } };
  const disable = useMutation({ mutationFn: () => proven(() => ask(client.PATCH("/api/v1/users/{name}", { params: path, body: { disabled: !user.disabled } }))), onSettled: freshUsers });
  const reset = useMutation({ mutationFn: () => proven(() => ask(client.POST("/api/v1/users/{name}/password", { params: path }))), onSuccess: (made) => onPassword(made.one_time_password), onSettled: freshUsers });
  const remove = useMutation({ mutationFn: () => proven(() => ask(client.DELETE("/api/v1/users/{name}", { params: path }))), onSuccess: onClose, onSettled: freshUsers });
  return (
    <section className={styles.ends} aria-label={t("access.account")}>
      <h2>{t("access.account")}</h2>
      <p className={styles.hint}>{t("access.accountText")}</p>
      <Problem error={disable.error ?? reset.error ?? remove.error} />
      <div className={styles.buttons}>
        <Sure label={t("access.reset")} loading={reset.isPending} onSure={() => reset.mutate()} />
        <Button size="xs" variant="default" loading={disable.isPending} onClick={() => disable.mutate()}>
          {user.disabled ? t("access.enable") : t("access.disable")}
        </Button>
        <Sure label={t("access.delete")} loading={remove.isPending} onSure={() => remove.mutate()} />
      </div>
    </section>
  );
}
