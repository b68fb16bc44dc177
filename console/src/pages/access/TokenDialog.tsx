/** A token for a program: no more than it needs, for no longer than it needs. Its secret is shown once. */
import { Button, Checkbox, Modal, Select, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { type Action, ACTIONS, ask, client } from "../../api/client";
import { proven } from "../../app/FreshProof";
import { useRoles } from "../../app/roles";
import { DAY, rfc3339 } from "../../format/time";
import { useT } from "../../i18n";
import { parts, Problem } from "../../ui/Page";
import { Secret } from "../../ui/Secret";
import styles from "./access.module.css";
import { AssetList } from "./AssetPicker";
import { freshTokens } from "./Tokens";

const VALID_DAYS = { month: 30, quarter: 90, year: 365, ever: null } as const;
type Valid = keyof typeof VALID_DAYS;

function endOf(valid: Valid): { expires_at?: string } {
  const days = VALID_DAYS[valid];
  return days === null ? {} : { expires_at: rfc3339(Date.now() + days * DAY) };
}

export function TokenDialog({ onClose }: { onClose: () => void }) {
  const t = useT();
  const { roles, options, text } = useRoles();
  const [name, setName] = useState("");
  const [role, setRole] = useState("viewer");
  const [paths, setPaths] = useState<string[]>([]);
  const [left, setLeft] = useState<ReadonlySet<Action>>(new Set());
  const [valid, setValid] = useState<Valid>("quarter");
  const allowed = ACTIONS.filter((one) => roles.find((known) => known.name === role)?.actions.includes(one));
  const kept = allowed.filter((one) => !left.has(one));
  const make = useMutation({
    mutationFn: () => {
      const actions = kept.length === allowed.length ? [] : kept;
      return proven(() => ask(client.POST("/api/v1/tokens", { body: { name: name.trim(), role, paths, actions, ...endOf(valid) } })));
    },
    onSettled: freshTokens,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (name.trim() !== "") make.mutate();
  };
  const none = allowed.length > 0 && kept.length === 0;
  return (
    <Modal opened onClose={onClose} size={600} title={t("access.addToken")} closeOnClickOutside={false} closeButtonProps={{ "aria-label": t("action.close") }}>
      {make.data ? (
        <div className={parts.form}>
          <Secret label={t("access.tokenOnce")} text={make.data.secret} />
          <div className={parts.formButtons}>
            <Button onClick={onClose}>{t("action.close")}</Button>
          </div>
        </div>
      ) : (
        <form className={parts.form} onSubmit={submit}>
          <TextInput data-autofocus label={t("access.name")} required value={name} onChange={(event) => setName(event.currentTarget.value)} />
          <div>
            <Select
              label={t("access.role")}
              value={role}
              data={options.filter((one) => one.value !== "member")}
              onChange={(value) => {
                setRole(value ?? role);
                setLeft(new Set());
              }}
            />
            <p className={styles.hint}>{text(role)}</p>
          </div>
          {allowed.length > 1 && (
            <fieldset className={styles.rights}>
              <legend>{t("access.scopes")}</legend>
              {allowed.map((one) => (
                <Checkbox
                  key={one}
                  label={t(`right.${one}`)}
                  checked={!left.has(one)}
                  onChange={(event) => {
                    const next = new Set(left);
                    if (event.currentTarget.checked) next.delete(one);
                    else next.add(one);
                    setLeft(next);
                  }}
                />
              ))}
            </fieldset>
          )}
          {none && <p>{t("access.noScope")}</p>}
          <AssetList label={t("access.assets")} description={t("access.assetsHint")} value={paths} onChange={setPaths} />
          <Select
            label={t("access.valid")}
            value={valid}
            data={(Object.keys(VALID_DAYS) as Valid[]).map((one) => ({ value: one, label: t(`tokenValid.${one}`) }))}
            onChange={(value) => setValid((value ?? valid) as Valid)}
          />
          <Problem error={make.error} />
          <div className={parts.formButtons}>
            <Button type="submit" loading={make.isPending} disabled={none}>
              {t("access.make")}
            </Button>
          </div>
        </form>
      )}
    </Modal>
  );
}
