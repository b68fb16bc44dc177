/** Where I am signed in, and signing out there. */
import { Button } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { ask, client } from "../../api/client";
import { ownSessionsQuery, queryClient } from "../../api/queries";
import { useT } from "../../i18n";
import { Panel, Problem } from "../../ui/Page";
import { SessionTable } from "./SessionTable";

export function Sessions() {
  const t = useT();
  const { data, error } = useQuery(ownSessionsQuery);
  const fresh = () => void queryClient.invalidateQueries({ queryKey: ownSessionsQuery.queryKey });
  const end = useMutation({ mutationFn: (id: string) => ask(client.DELETE("/api/v1/account/sessions/{id}", { params: { path: { id } } })), onSettled: fresh });
  const endOthers = useMutation({ mutationFn: () => ask(client.DELETE("/api/v1/account/sessions")), onSettled: fresh });
  return (
    <Panel
      title={t("account.sessions")}
      aside={
        (data?.length ?? 0) > 1 && (
          <Button size="xs" variant="default" loading={endOthers.isPending} onClick={() => endOthers.mutate()}>
            {t("account.endOthers")}
          </Button>
        )
      }
    >
      <Problem error={error ?? end.error ?? endOthers.error} />
      <SessionTable label={t("account.sessions")} sessions={data ?? []} onEnd={end.mutate} />
    </Panel>
  );
}
