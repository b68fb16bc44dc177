/** Promote, roll back or retire: what will follow, and why it is done. */
import { Button, Modal, Textarea } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { ask, client } from "../../../api/client";
import { queryClient, streamsQuery } from "../../../api/queries";
import { useT } from "../../../i18n";
import { parts, Problem } from "../../../ui/Page";

const WHY_MAX = 500;

export interface Asked {
  act: "promote" | "roll back" | "retire";
  name: string;
  /** The one to promote or retire, or that comes back. */
  version: string;
  /** The one that is active now; empty for none. */
  active: string;
}

const send = ({ act, name, version }: Asked, why: string) => {
  if (act === "roll back") return ask(client.POST("/api/v1/streams/{name}/rollback", { params: { path: { name } }, body: { why } }));
  const params = { path: { name, version } };
  return act === "promote"
    ? ask(client.POST("/api/v1/streams/{name}/versions/{version}/promote", { params, body: { why } }))
    : ask(client.POST("/api/v1/streams/{name}/versions/{version}/retire", { params, body: { why } }));
};

/** `onClose` is told in a sentence what was done; nothing where nothing was. */
export function ActDialog({ asked, onClose }: { asked: Asked; onClose: (done?: string) => void }) {
  const t = useT();
  const [why, setWhy] = useState("");
  const { act, name, version, active } = asked;
  const run = useMutation({
    mutationFn: () => send(asked, why.trim()),
    onSuccess: async (now) => {
      await queryClient.invalidateQueries({ queryKey: streamsQuery.queryKey });
      onClose(t(`streamDone.${act}`, { name, version: now.version }));
    },
  });
  const submit = () => {
    if (!run.isPending) run.mutate();
  };
  const follows = act === "promote" && active === "" ? "first" : act === "retire" && active === version ? "active" : act;
  return (
    <Modal opened onClose={() => onClose()} title={t(`streamActTitle.${act}`, { name, version })} closeOnClickOutside={false} closeButtonProps={{ "aria-label": t("action.close") }}>
      <form
        className={parts.form}
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <p>{t(`streamFollows.${follows}`, { version, active })}</p>
        <Textarea
          data-autofocus
          label={t("stream.why")}
          description={t("stream.whyHint")}
          autosize
          minRows={2}
          maxLength={WHY_MAX}
          value={why}
          onChange={(event) => setWhy(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
          }}
        />
        <Problem error={run.error} />
        <div className={parts.formButtons}>
          <Button variant="default" onClick={() => onClose()}>
            {t("action.cancel")}
          </Button>
          <Button type="submit" loading={run.isPending}>
            {t(act === "promote" ? "stream.promote" : act === "retire" ? "stream.retire" : "stream.rollBack")}
          </Button>
        </div>
      </form>
    </Modal>
  );
}
