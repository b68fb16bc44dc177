/** Users and tokens. Secrets are shown once, when they are made. */
import { Button, Modal, Select, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ask, client, type Role } from "../../api/client";
import { queryClient, tokensQuery, usersQuery } from "../../api/queries";
import { useSession } from "../../app/session";
import { dateTime, parseTime } from "../../format/time";
import { useT } from "../../i18n";
import { Icon } from "../../ui/Icon";
import { Empty, Panel, parts, Problem } from "../../ui/Page";
import { Sure } from "../../ui/Sure";
import styles from "./system.module.css";

const ROLES: readonly Role[] = ["viewer", "operator", "engineer", "administrator", "source"];

export function Access() {
  return (
    <div className={styles.runtime}>
      <Users />
      <Tokens />
    </div>
  );
}

function Users() {
  const t = useT();
  const { user: me } = useSession();
  const { data, error } = useQuery(usersQuery);
  const [adding, setAdding] = useState(false);
  const fresh = () => void queryClient.invalidateQueries({ queryKey: usersQuery.queryKey });
  const update = useMutation({
    mutationFn: ({ name, ...body }: { name: string; role?: Role; disabled?: boolean }) => ask(client.PATCH("/api/v1/users/{name}", { params: { path: { name } }, body })),
    onSettled: fresh,
  });
  const remove = useMutation({ mutationFn: (name: string) => ask(client.DELETE("/api/v1/users/{name}", { params: { path: { name } } })), onSettled: fresh });
  return (
    <Panel
      title={t("access.users")}
      aside={
        <Button size="xs" leftSection={<Icon name="plus" size={14} />} onClick={() => setAdding(true)}>
          {t("access.addUser")}
        </Button>
      }
    >
      <Problem error={error ?? update.error ?? remove.error} />
      <div className={parts.scroll}>
        <table className={parts.table}>
          <thead>
            <tr>
              <th>{t("access.name")}</th>
              <th>{t("access.role")}</th>
              <th>{t("access.state")}</th>
              <th>{t("access.created")}</th>
              <th>
                <span className="unseen">{t("explore.actions")}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {data?.map((user) => (
              <tr key={user.name}>
                <td>
                  <b>{user.name}</b> {user.name === me && `(${t("access.you")})`}
                </td>
                <td>
                  <Select
                    size="xs"
                    w={150}
                    aria-label={t("access.roleOf", { name: user.name })}
                    value={user.role}
                    disabled={user.name === me}
                    data={ROLES.map((role) => ({ value: role, label: t(`role.${role}`) }))}
                    onChange={(role) => role && update.mutate({ name: user.name, role: role as Role })}
                  />
                </td>
                <td>{user.disabled ? t("access.disabled") : user.must_change_password ? t("access.oneTime") : t("access.active")}</td>
                <td>{dateTime(parseTime(user.created_at))}</td>
                <td className={styles.rowButtons}>
                  {user.name !== me && (
                    <>
                      <Button size="xs" variant="default" onClick={() => update.mutate({ name: user.name, disabled: !user.disabled })}>
                        {user.disabled ? t("access.enable") : t("access.disable")}
                      </Button>
                      <Sure label={t("access.delete")} onSure={() => remove.mutate(user.name)} />
                    </>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {adding && (
        <MakeDialog
          title={t("access.addUser")}
          secretText={t("access.passwordOnce")}
          make={async (name, role) => {
            const made = await ask(client.POST("/api/v1/users", { body: { name, role } }));
            fresh();
            return made.one_time_password;
          }}
          onClose={() => setAdding(false)}
        />
      )}
    </Panel>
  );
}

function Tokens() {
  const t = useT();
  const { data, error } = useQuery(tokensQuery);
  const [adding, setAdding] = useState(false);
  const fresh = () => void queryClient.invalidateQueries({ queryKey: tokensQuery.queryKey });
  const remove = useMutation({ mutationFn: (id: string) => ask(client.DELETE("/api/v1/tokens/{id}", { params: { path: { id } } })), onSettled: fresh });
  return (
    <Panel
      title={t("access.tokens")}
      aside={
        <Button size="xs" leftSection={<Icon name="plus" size={14} />} onClick={() => setAdding(true)}>
          {t("access.addToken")}
        </Button>
      }
    >
      <Problem error={error ?? remove.error} />
      {data?.length === 0 ? (
        <Empty>{t("access.noTokens")}</Empty>
      ) : (
        <div className={parts.scroll}>
          <table className={parts.table}>
            <thead>
              <tr>
                <th>{t("access.name")}</th>
                <th>{t("access.role")}</th>
                <th>{t("access.created")}</th>
                <th>{t("access.expires")}</th>
                <th>{t("access.lastUsed")}</th>
                <th>
                  <span className="unseen">{t("explore.actions")}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {data?.map((token) => (
                <tr key={token.id}>
                  <td>
                    <b>{token.name}</b>
                  </td>
                  <td>{t(`role.${token.role}` as "role.viewer")}</td>
                  <td>
                    {dateTime(parseTime(token.created_at))} · {token.created_by}
                  </td>
                  <td>{token.expires_at ? dateTime(parseTime(token.expires_at)) : t("access.never")}</td>
                  <td>{token.last_used_at ? dateTime(parseTime(token.last_used_at)) : "—"}</td>
                  <td className={styles.rowButtons}>
                    <Sure label={t("access.withdraw")} onSure={() => remove.mutate(token.id)} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {adding && (
        <MakeDialog
          title={t("access.addToken")}
          secretText={t("access.tokenOnce")}
          make={async (name, role) => {
            const made = await ask(client.POST("/api/v1/tokens", { body: { name, role } }));
            fresh();
            return made.secret;
          }}
          onClose={() => setAdding(false)}
        />
      )}
    </Panel>
  );
}

interface MakeDialogProps {
  title: string;
  secretText: string;
  make: (name: string, role: Role) => Promise<string>;
  onClose: () => void;
}

function MakeDialog({ title, secretText, make, onClose }: MakeDialogProps) {
  const t = useT();
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const run = useMutation({ mutationFn: () => make(name.trim(), role) });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (name.trim() !== "") run.mutate();
  };
  return (
    <Modal opened onClose={onClose} title={title} closeOnClickOutside={false} closeButtonProps={{ "aria-label": t("action.close") }}>
      {run.data === undefined ? (
        <form className={styles.dialog} onSubmit={submit}>
          <TextInput data-autofocus label={t("access.name")} required value={name} onChange={(event) => setName(event.currentTarget.value)} />
          <Select label={t("access.role")} value={role} data={ROLES.map((one) => ({ value: one, label: t(`role.${one}`) }))} onChange={(value) => setRole((value ?? "viewer") as Role)} />
          <p>{t(`roleText.${role}`)}</p>
          <Problem error={run.error} />
          <Button type="submit" loading={run.isPending}>
            {t("access.make")}
          </Button>
        </form>
      ) : (
        <div className={styles.dialog}>
          <p>{secretText}</p>
          <output className={styles.fingerprint}>{run.data}</output>
          <div className={styles.dialogButtons}>
            <Button variant="default" onClick={() => void navigator.clipboard?.writeText(run.data)}>
              {t("action.copy")}
            </Button>
            <Button onClick={onClose}>{t("action.close")}</Button>
          </div>
        </div>
      )}
    </Modal>
  );
}
