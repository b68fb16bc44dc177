/** The plant as text: edit, see what would change, apply. Nothing changes before the plan was seen.
 *
 *     files ──edit──► plan (create, change, remove; errors with file:line:column) ──apply──► new revision
 */
import { Button, Checkbox, Modal, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useMemo, useState } from "react";
import { ApiError, ask, client, type DeclarationError, type DeclarationFile, type PlanAnswer } from "../../api/client";
import { declarationsQuery, queryClient } from "../../api/queries";
import { useSession } from "../../app/session";
import { useT } from "../../i18n";
import { Icon } from "../../ui/Icon";
import { Empty, Page, Panel, Problem } from "../../ui/Page";
import styles from "./engineering.module.css";

const Editor = lazy(() => import("./Editor").then((m) => ({ default: m.Editor })));

export interface Place {
  line: number;
  column: number;
  /** Grows with each jump, so that the same place can be gone to twice. */
  nonce: number;
}

export function Engineering() {
  const t = useT();
  const { may } = useSession();
  const { data: declared, error } = useQuery(declarationsQuery);
  const [files, setFiles] = useState<readonly DeclarationFile[] | null>(null);
  const [chosen, setChosen] = useState("");
  const [prune, setPrune] = useState(true);
  const [place, setPlace] = useState<Place | null>(null);
  const [naming, setNaming] = useState(false);
  const current = files ?? declared?.files ?? [];
  const file = current.find((one) => one.name === chosen) ?? current[0];
  const body = { files: [...current], prune };
  const mayApply = may("configure");

  const plan = useMutation({ mutationFn: () => ask(client.POST("/api/v1/declarations/plan", { body })) });
  const apply = useMutation({
    mutationFn: (revision: number) => ask(client.POST("/api/v1/declarations/apply", { body: { ...body, revision } })),
    onSuccess: async () => {
      plan.reset();
      // First the text as it is declared now, then let go of ours: never a moment of the old one.
      await queryClient.invalidateQueries();
      setFiles(null);
    },
  });
  useEffect(() => {
    if (!files) return undefined;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", warn);
    return () => window.removeEventListener("beforeunload", warn);
  }, [files]);

  const edit = (name: string, text: string) => {
    setFiles(current.map((one) => (one.name === name ? { name, text } : one)));
    plan.reset();
    apply.reset();
  };
  const errors = useMemo(() => [...(plan.data?.errors ?? []), ...(apply.error instanceof ApiError ? (apply.error.errors ?? []) : [])], [plan.data, apply.error]);
  const jump = (error: DeclarationError) => {
    if (error.file) setChosen(error.file);
    if (error.line) setPlace({ line: error.line, column: error.column ?? 1, nonce: Date.now() });
  };
  const changed = (name: string) => declared?.files.find((one) => one.name === name)?.text !== current.find((one) => one.name === name)?.text;
  return (
    <div className={styles.fill}>
      <Page
        title={t("nav.engineering")}
        aside={
          <>
            <span className={styles.revision}>{declared && t("engineering.revision", { n: declared.revision })}</span>
            <Button variant="default" disabled={!files} onClick={() => { setFiles(null); plan.reset(); apply.reset(); }}>
              {t("engineering.discard")}
            </Button>
            <Button loading={plan.isPending} disabled={!declared || !mayApply} onClick={() => plan.mutate()}>
              {t("engineering.plan")}
            </Button>
          </>
        }
      >
        <Problem error={error ?? plan.error} />
        <div className={styles.work}>
          <Panel label={t("engineering.files")}>
            <ul className={styles.files}>
              {current.map((one) => (
                <li key={one.name}>
                  <button type="button" aria-current={one.name === file?.name} onClick={() => setChosen(one.name)}>
                    <Icon name="file" size={16} />
                    <span>{one.name}</span>
                    {changed(one.name) && <b title={t("engineering.changed")}>*</b>}
                    {errors.some((error_) => error_.file === one.name) && <b>!</b>}
                  </button>
                </li>
              ))}
            </ul>
            <div className={styles.filesFoot}>
              <Button size="xs" variant="default" leftSection={<Icon name="plus" size={14} />} onClick={() => setNaming(true)} disabled={!mayApply}>
                {t("engineering.newFile")}
              </Button>
              <Checkbox size="xs" checked={prune} onChange={(event) => { setPrune(event.currentTarget.checked); plan.reset(); }} label={t("engineering.prune")} />
            </div>
          </Panel>
          <Panel label={t("engineering.editor")}>
            {file ? (
              <Suspense fallback={<Empty>{t("state.loading")}</Empty>}>
                <Editor key={file.name} name={file.name} text={file.text} readOnly={!mayApply} errors={errors.filter((one) => one.file === file.name)} place={place} onChange={(text) => edit(file.name, text)} />
              </Suspense>
            ) : (
              <Empty>{declared ? t("engineering.noFiles") : t("state.loading")}</Empty>
            )}
          </Panel>
          <Panel title={t("engineering.planTitle")} aside={plan.data && plan.data.errors.length === 0 && plan.data.changes.length > 0 ? (
            <Button size="xs" loading={apply.isPending} onClick={() => apply.mutate(plan.data.revision)}>
              {t("engineering.apply", { n: plan.data.changes.length })}
            </Button>
          ) : undefined}>
            <div className={styles.plan} role="status">
              {apply.data && <p className={styles.done}><Icon name="check" size={16} /> {t("engineering.applied", { n: apply.data.revision })}</p>}
              <Problem error={apply.error} />
              {!plan.data && !apply.data && !apply.error && <Empty>{mayApply ? t("engineering.planHint") : t("engineering.mayNot")}</Empty>}
              {errors.length > 0 && <Errors errors={errors} onJump={jump} />}
              {plan.data && plan.data.errors.length === 0 && <Changes plan={plan.data} />}
            </div>
          </Panel>
        </div>
        {naming && (
          <NameDialog
            taken={current.map((one) => one.name)}
            onClose={(name) => {
              setNaming(false);
              if (!name) return;
              setFiles([...current, { name, text: "" }]);
              setChosen(name);
            }}
          />
        )}
      </Page>
    </div>
  );
}

function Errors({ errors, onJump }: { errors: readonly DeclarationError[]; onJump: (error: DeclarationError) => void }) {
  const t = useT();
  return (
    <>
      <h3 className={styles.sum}>{t("engineering.errors", { n: errors.length })}</h3>
      <ul className={styles.errors}>
        {errors.map((error) => (
          <li key={`${error.file}:${error.line}:${error.column}:${error.message}`}>
            <button type="button" onClick={() => onJump(error)}>
              <span className="code">{[error.file, error.line, error.column].filter((part) => part !== null).join(":")}</span>
              {error.message}
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}

const SIGNS = { create: "+", change: "~", remove: "−" } as const;

function Changes({ plan }: { plan: PlanAnswer }) {
  const t = useT();
  const count = (action: keyof typeof SIGNS) => plan.changes.filter((change) => change.action === action).length;
  if (plan.changes.length === 0) return <Empty>{t("engineering.noChange")}</Empty>;
  return (
    <>
      <h3 className={styles.sum}>{t("engineering.summary", { create: count("create"), change: count("change"), remove: count("remove") })}</h3>
      <ul className={styles.changes}>
        {plan.changes.slice(0, 500).map((change) => (
          <li key={`${change.kind}${change.key}`} data-action={change.action}>
            <span className={styles.sign} aria-label={t(`planAction.${change.action}`)} role="img">
              {SIGNS[change.action]}
            </span>
            <div>
              <span className={styles.kind}>{t(`planKind.${change.kind}` as "planKind.point")}</span> {change.key}
              {change.details.map((detail) => (
                <div key={detail.field} className={styles.detail}>
                  <span>{detail.field}</span> <del>{show(detail.old)}</del> → <ins>{show(detail.new)}</ins>
                </div>
              ))}
            </div>
          </li>
        ))}
      </ul>
      {plan.changes.length > 500 && <p className={styles.sum}>{t("engineering.moreChanges", { n: plan.changes.length - 500 })}</p>}
    </>
  );
}

const show = (value: unknown) => (value === null || value === undefined ? "—" : typeof value === "object" ? JSON.stringify(value) : String(value));

function NameDialog({ taken, onClose }: { taken: readonly string[]; onClose: (name?: string) => void }) {
  const t = useT();
  const [name, setName] = useState("");
  const full = /\.ya?ml$/.test(name.trim()) ? name.trim() : `${name.trim()}.yaml`;
  const good = name.trim() !== "" && !taken.includes(full);
  return (
    <Modal opened onClose={() => onClose()} title={t("engineering.newFile")} closeButtonProps={{ "aria-label": t("action.close") }}>
      <form onSubmit={(event) => { event.preventDefault(); if (good) onClose(full); }} style={{ display: "grid", gap: 14 }}>
        <TextInput data-autofocus label={t("engineering.fileName")} placeholder="line-2.yaml" value={name} onChange={(event) => setName(event.currentTarget.value)} />
        <Button type="submit" disabled={!good}>
          {t("access.make")}
        </Button>
      </form>
    </Modal>
  );
}
