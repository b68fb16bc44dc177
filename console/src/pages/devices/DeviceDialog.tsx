/** One device: what it may do and does; while it waits, what it shows and sends, and the form that lets it in. */
import { Button, Modal, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { ask, client, type DeviceAnswer, type DeviceDetail } from "../../api/client";
import { deviceQuery } from "../../api/queries";
import { useSession } from "../../app/session";
import { formatNumber } from "../../format/number";
import { dateTime, parseTime } from "../../format/time";
import { useT } from "../../i18n";
import { Age, parts, Problem } from "../../ui/Page";
import { Secret } from "../../ui/Secret";
import { Sure } from "../../ui/Sure";
import { ApproveForm } from "./ApproveForm";
import { Certificates } from "./Certificates";
import { freshDevices } from "./Devices";
import { State } from "./DeviceTable";
import styles from "./devices.module.css";
import { Limits, limitsOf, type LimitsValue } from "./Limits";

interface DeviceDialogProps {
  name: string;
  onRenamed: (name: string) => void;
  onClose: () => void;
}

export function DeviceDialog({ name, onRenamed, onClose }: DeviceDialogProps) {
  const t = useT();
  const { may } = useSession();
  const { data, error } = useQuery(deviceQuery(name));
  const [editing, setEditing] = useState(false);
  return (
    <Modal opened onClose={onClose} size={640} title={name} closeButtonProps={{ "aria-label": t("action.close") }}>
      <div className={parts.form}>
        <Problem error={error} />
        {data && (
          <>
            <Facts device={data.device} />
            {data.device.state === "quarantined" && <Sends detail={data} />}
            {data.device.state === "approved" && !editing && <Certificates name={name} />}
            {may("configure") &&
              (data.device.state === "approved" ? (
                editing ? (
                  <Change device={data.device} onRenamed={onRenamed} onDone={() => setEditing(false)} />
                ) : (
                  <Acts device={data.device} onChange={() => setEditing(true)} onClose={onClose} />
                )
              ) : (
                <ApproveForm detail={data} onDone={onClose}>
                  <Remove name={name} onDone={onClose} />
                  {data.device.state === "quarantined" && <Block name={name} />}
                </ApproveForm>
              ))}
          </>
        )}
      </div>
    </Modal>
  );
}

function Facts({ device }: { device: DeviceAnswer }) {
  const t = useT();
  return (
    <dl className={parts.facts}>
      <dt>{t("devices.state")}</dt>
      <dd>
        <State device={device} />
        {device.rotating && ` · ${t("devices.rotating")}`}
      </dd>
      <dt>{t("devices.showsLogin")}</dt>
      <dd>
        <span className="code">{device.login}</span> · {t(`credential.${device.credential}`)}
        {device.certificate !== null && <div className={parts.path}>SHA-256 {device.certificate}</div>}
      </dd>
      <dt>{t("devices.from")}</dt>
      <dd>{device.gateway === "" ? "—" : `${device.gateway} · ${device.peer}`}</dd>
      <dt>{t("devices.lastSeen")}</dt>
      <dd>
        {device.last_seen_at === null ? t("devices.neverSeen") : <Age at={device.last_seen_at} />}
        {device.first_seen_at !== null && ` · ${t("devices.firstSeen", { at: dateTime(parseTime(device.first_seen_at)) })}`}
      </dd>
      <dt>{t("devices.messages")}</dt>
      <dd>
        {formatNumber(device.messages, 0)}
        {device.refused > 0 && (
          <b>
            {" "}
            · {t("devices.refusedOf", { n: formatNumber(device.refused, 0) })}
          </b>
        )}
      </dd>
      {device.asset !== "" && (
        <>
          <dt>{t("devices.asset")}</dt>
          <dd>
            <Link to="/explore/$" params={{ _splat: device.asset }}>
              {device.asset}
            </Link>
          </dd>
        </>
      )}
      {device.state === "approved" && (
        <>
          <dt>{t("devices.publish")}</dt>
          <dd className="code">{device.publish.join("  ") || "—"}</dd>
          <dt>{t("devices.subscribe")}</dt>
          <dd className="code">{device.subscribe.join("  ") || "—"}</dd>
          {device.messages_per_s !== null && (
            <>
              <dt>{t("devices.rate")}</dt>
              <dd>{formatNumber(device.messages_per_s)} /s</dd>
            </>
          )}
        </>
      )}
      {device.note !== "" && (
        <>
          <dt>{t("devices.note")}</dt>
          <dd>{device.note}</dd>
        </>
      )}
    </dl>
  );
}

function Sends({ detail }: { detail: DeviceDetail }) {
  const t = useT();
  return (
    <section aria-label={t("devices.sends")}>
      <h2>{t("devices.sends")}</h2>
      {detail.previews.length === 0 ? (
        <p className={styles.hint}>{t("devices.sendsNothing")}</p>
      ) : (
        <ul className={styles.previews}>
          {detail.previews.map((one) => (
            <li key={one.topic}>
              <span className="code">{one.topic}</span>
              <small>
                <Age at={one.received_at} /> · {t("devices.bytes", { n: formatNumber(one.bytes, 0) })}
                {one.form === "hex" && " · hex"}
              </small>
              <pre>{one.payload}</pre>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Acts({ device, onChange, onClose }: { device: DeviceAnswer; onChange: () => void; onClose: () => void }) {
  const t = useT();
  const path = { path: { name: device.name } };
  const rotate = useMutation({
    mutationFn: (at_once: boolean) => ask(client.POST("/api/v1/devices/{name}/secret", { params: path, body: { at_once } })),
    onSettled: () => void freshDevices(),
  });
  return (
    <>
      <Problem error={rotate.error} />
      {rotate.data && <Secret label={t(rotate.variables ? "devices.secretAtOnce" : "devices.secretNew")} text={rotate.data.secret} />}
      <div className={parts.formButtons}>
        <Remove name={device.name} onDone={onClose} />
        <Block name={device.name} />
        {device.credential === "secret" && (
          <>
            <Sure label={t("devices.rotateAtOnce")} onSure={() => rotate.mutate(true)} />
            <Button size="xs" variant="default" loading={rotate.isPending} onClick={() => rotate.mutate(false)}>
              {t("devices.rotate")}
            </Button>
          </>
        )}
        <Button size="xs" onClick={onChange}>
          {t("devices.change")}
        </Button>
      </div>
    </>
  );
}

function Change({ device, onRenamed, onDone }: { device: DeviceAnswer; onRenamed: (name: string) => void; onDone: () => void }) {
  const t = useT();
  const [name, setName] = useState(device.name);
  const [note, setNote] = useState(device.note);
  const [limits, setLimits] = useState<LimitsValue>(limitsOf(device.publish, device.subscribe, device.messages_per_s));
  const save = useMutation({
    mutationFn: () => ask(client.PATCH("/api/v1/devices/{name}", { params: { path: { name: device.name } }, body: { ...limits.body(), note, ...(name.trim() === device.name ? {} : { name: name.trim() }) } })),
    onSuccess: async (saved) => {
      if (saved.name !== device.name) onRenamed(saved.name);
      await freshDevices();
      onDone();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <form className={parts.form} onSubmit={submit}>
      <TextInput label={t("access.name")} description={t("devices.nameHint", { login: device.login })} required value={name} onChange={(event) => setName(event.currentTarget.value)} />
      <Limits value={limits} onChange={setLimits} />
      <TextInput label={t("devices.note")} value={note} onChange={(event) => setNote(event.currentTarget.value)} />
      <Problem error={save.error} />
      <div className={parts.formButtons}>
        <Button variant="default" onClick={onDone}>
          {t("action.cancel")}
        </Button>
        <Button type="submit" loading={save.isPending}>
          {t("devices.save")}
        </Button>
      </div>
    </form>
  );
}

function Block({ name }: { name: string }) {
  const t = useT();
  const block = useMutation({
    mutationFn: () => ask(client.POST("/api/v1/devices/{name}/block", { params: { path: { name } } })),
    onSettled: () => void freshDevices(),
  });
  return (
    <>
      <Problem error={block.error} />
      <Sure label={t("devices.block")} loading={block.isPending} onSure={() => block.mutate()} />
    </>
  );
}

function Remove({ name, onDone }: { name: string; onDone: () => void }) {
  const t = useT();
  const remove = useMutation({
    mutationFn: () => ask(client.DELETE("/api/v1/devices/{name}", { params: { path: { name } } })),
    onSuccess: () => {
      onDone();
      void freshDevices();
    },
  });
  return (
    <>
      <Problem error={remove.error} />
      <Sure label={t("devices.remove")} loading={remove.isPending} onSure={() => remove.mutate()} />
    </>
  );
}
