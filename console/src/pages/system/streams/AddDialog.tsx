/** A version from its source, typed or from a file. It is loaded before it is taken up; what it said then is told at its line. */
import { Button, FileInput, Modal, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { lazy, Suspense, useMemo, useState } from "react";
import { ask, client, type StreamAnswer } from "../../../api/client";
import { queryClient, streamsQuery } from "../../../api/queries";
import { useT } from "../../../i18n";
import { Empty, parts, Problem } from "../../../ui/Page";
import styles from "./streams.module.css";

const Editor = lazy(() => import("../../engineering/Editor").then((m) => ({ default: m.Editor })));

const FILE = "function.py";
const SOURCE_CHARS_MAX = 262_144;
const NAME_MAX = 100;

/** That of docs/streams.md, in short: what somebody begins with. */
export const EXAMPLE = `import pyarrow.compute as pc
from headrace.sdk.stream import stream


@stream(
    version="1",
    window="10s",
    by="asset",
    inputs={"oil": "oil.temperature [Cel]"},
    outputs={"oil.mean": "[Cel]"},
    lateness="2s",
)
def oil(columns):
    return {"oil.mean": pc.mean(columns["oil"])}
`;

interface AddDialogProps {
  draft: string;
  onDraft: (text: string) => void;
  onClose: (made?: StreamAnswer) => void;
}

export function AddDialog({ draft, onDraft, onClose }: AddDialogProps) {
  const t = useT();
  const [file, setFile] = useState<File | null>(null);
  const [which, setWhich] = useState("");
  const [unread, setUnread] = useState<Error | null>(null);
  const run = useMutation({
    mutationFn: () => ask(client.POST("/api/v1/streams", { body: { source: draft, function: which.trim(), on: "hub", model: "" } })),
    onSuccess: async (made) => {
      await queryClient.invalidateQueries({ queryKey: streamsQuery.queryKey });
      onClose(made);
    },
  });
  const errors = useMemo(() => {
    const line = lineOf(run.error);
    return line === null || run.error === null ? [] : [{ file: FILE, line, column: 1, message: run.error.message }];
  }, [run.error]);
  const edit = (text: string) => {
    onDraft(text);
    run.reset();
    setUnread(null);
  };
  const take = async (from: File | null) => {
    setFile(from);
    if (from === null) return;
    // A character has four bytes at most: what is longer is not read at all.
    if (from.size > 4 * SOURCE_CHARS_MAX) setUnread(new Error(t("stream.tooLong", { n: SOURCE_CHARS_MAX })));
    else await from.text().then(edit, setUnread);
  };
  const tooLong = draft.length > SOURCE_CHARS_MAX;
  return (
    <Modal opened onClose={() => onClose()} size={820} title={t("stream.addTitle")} closeOnClickOutside={false} closeButtonProps={{ "aria-label": t("action.close") }}>
      <form
        className={parts.form}
        onSubmit={(event) => {
          event.preventDefault();
          if (!tooLong && !run.isPending) run.mutate();
        }}
      >
        <p>{t("stream.addText")}</p>
        <div className={styles.from}>
          <FileInput label={t("stream.file")} accept=".py,text/x-python" value={file} onChange={(from) => void take(from)} placeholder="wear.py" clearable={false} />
          <TextInput label={t("stream.which")} description={t("stream.whichHint")} maxLength={NAME_MAX} value={which} onChange={(event) => setWhich(event.currentTarget.value)} />
        </div>
        <div className={styles.editor}>
          <Suspense fallback={<Empty>{t("state.loading")}</Empty>}>
            <Editor name={t("stream.source")} language="python" text={draft} readOnly={false} errors={errors} place={null} onChange={edit} />
          </Suspense>
        </div>
        <Problem error={unread ?? (tooLong ? new Error(t("stream.tooLong", { n: SOURCE_CHARS_MAX })) : run.error)} />
        <div className={parts.formButtons}>
          <Button variant="default" onClick={() => onClose()}>
            {t("action.cancel")}
          </Button>
          <Button type="submit" disabled={draft.trim() === "" || tooLong} loading={run.isPending}>
            {t("stream.addNow")}
          </Button>
        </div>
      </form>
    </Modal>
  );
}

/** `SyntaxError: invalid syntax (<source>, line 3)` is about line 3. */
function lineOf(error: Error | null): number | null {
  const found = /, line (\d+)\)/.exec(error?.message ?? "");
  return found ? Number(found[1]) : null;
}
