/** Lets a device in: its name, its topics, and the asset that it becomes, with the parameters that its type asks for. */
import { Autocomplete, Button, Checkbox, Select, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";
import { ask, client, type DeviceDetail, type TypeAnswer } from "../../api/client";
import { assetsQuery, connectionsQuery, typesQuery } from "../../api/queries";
import { parseNumber } from "../../format/number";
import { useT, useTitle } from "../../i18n";
import { parts, Problem } from "../../ui/Page";
import { freshDevices } from "./Devices";
import { Limits, limitsOf } from "./Limits";

type Value = string | number | boolean;

/** A device may be called `0A:1B@hall`; a part of a path has letters, digits, dots, dashes and underscores. */
const segment = (name: string) => name.trim().replace(/[^\p{L}\p{N}._-]/gu, "-");

export function ApproveForm({ detail, onDone, children }: { detail: DeviceDetail; onDone: () => void; children: ReactNode }) {
  const t = useT();
  const { device } = detail;
  const [name, setName] = useState(device.name);
  // What it sends is what it will go on to send, so that is what it may; an engineer may widen or narrow it.
  const [limits, setLimits] = useState(limitsOf(detail.suggested_publish.length > 0 ? detail.suggested_publish : device.publish, device.subscribe, device.messages_per_s));
  const [declares, setDeclares] = useState(false);
  const [asset, setAsset] = useState<AssetValue>({ parent: "", type: "", connection: device.gateway, parameters: {} });
  const approve = useMutation({
    mutationFn: () => {
      const declare = { path: [asset.parent, segment(name)].filter(Boolean).join("/"), type: asset.type, connection: asset.connection, parameters: asset.parameters };
      const body = { ...limits.body(), ...(name.trim() === device.name ? {} : { name: name.trim() }), ...(declares ? { declare } : {}) };
      return ask(client.POST("/api/v1/devices/{name}/approve", { params: { path: { name: device.name } }, body }));
    },
    onSuccess: () => {
      onDone();
      void freshDevices();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    approve.mutate();
  };
  return (
    <form className={parts.form} onSubmit={submit}>
      <h2>{t("devices.letIn")}</h2>
      <TextInput label={t("access.name")} description={t("devices.nameHint", { login: device.login })} required value={name} onChange={(event) => setName(event.currentTarget.value)} />
      <Limits value={limits} onChange={setLimits} />
      <Checkbox label={t("devices.declare")} description={t("devices.declareHint")} checked={declares} onChange={(event) => setDeclares(event.currentTarget.checked)} />
      {declares && <AssetFields name={name} login={device.login} value={asset} onChange={setAsset} />}
      <Problem error={approve.error} />
      <div className={parts.formButtons}>
        {children}
        <Button type="submit" loading={approve.isPending}>
          {t("devices.approve")}
        </Button>
      </div>
    </form>
  );
}

interface AssetValue {
  parent: string;
  type: string;
  connection: string;
  parameters: Record<string, Value>;
}

function AssetFields({ name, login, value, onChange }: { name: string; login: string; value: AssetValue; onChange: (value: AssetValue) => void }) {
  const t = useT();
  const title = useTitle();
  const { data: assets } = useQuery(assetsQuery);
  const { data: types } = useQuery(typesQuery);
  const { data: connections } = useQuery(connectionsQuery);
  const type = types?.find((one) => one.name === value.type);
  const parents = (assets ?? []).filter((one) => one.path !== "system" && !one.path.startsWith("system/"));
  return (
    <>
      <Select
        label={t("devices.below")}
        description={t("devices.becomes", { path: [value.parent || "…", segment(name)].join("/") })}
        required
        searchable
        data={parents.map((one) => ({ value: one.path, label: one.path }))}
        value={value.parent || null}
        onChange={(parent) => onChange({ ...value, parent: parent ?? "" })}
      />
      <Select
        label={t("devices.type")}
        required
        searchable
        data={(types ?? []).map((one) => ({ value: one.name, label: `${title(one.title, one.name)} · ${t("explore.pointCount", { n: one.points })}` }))}
        value={value.type || null}
        onChange={(chosen) => onChange({ ...value, type: chosen ?? "", parameters: defaults(types?.find((one) => one.name === chosen), login) })}
      />
      <Autocomplete
        label={t("point.connection")}
        required
        comboboxProps={{ shadow: "none" }}
        data={(connections ?? []).map((one) => one.name)}
        value={value.connection}
        onChange={(connection) => onChange({ ...value, connection })}
      />
      {type &&
        Object.entries(type.parameters).map(([key, otherwise]) => (
          <Parameter key={`${type.name} ${key}`} name={key} otherwise={otherwise} value={value.parameters[key] ?? otherwise} onChange={(next) => onChange({ ...value, parameters: { ...value.parameters, [key]: next } })} />
        ))}
    </>
  );
}

/** A parameter that is called `device` is the device: that is how a type's addresses name it. */
const defaults = (type: TypeAnswer | undefined, login: string): Record<string, Value> => (type && "device" in type.parameters ? { device: login } : {});

function Parameter({ name, otherwise, value, onChange }: { name: string; otherwise: Value; value: Value; onChange: (value: Value) => void }) {
  const t = useT();
  const [text, setText] = useState(String(value));
  if (typeof otherwise === "boolean") return <Checkbox label={name} checked={value === true} onChange={(event) => onChange(event.currentTarget.checked)} />;
  const number = typeof otherwise === "number";
  return (
    <TextInput
      label={name}
      {...(number ? { inputMode: "decimal" as const, error: typeof parseNumber(text, "float64") !== "number" && t("write.notANumber") } : {})}
      value={text}
      onChange={(event) => {
        setText(event.currentTarget.value);
        const parsed = number ? parseNumber(event.currentTarget.value, "float64") : event.currentTarget.value;
        if (parsed !== undefined) onChange(parsed);
      }}
    />
  );
}
