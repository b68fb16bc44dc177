/** What was told to whom, newest first, page after page; of all alarms or of one. */
import { Button } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { ask, client } from "../../../api/client";
import { useSession } from "../../../app/session";
import { SECOND } from "../../../format/time";
import { useT } from "../../../i18n";
import { DocLink } from "../../../ui/links";
import { Empty, Panel, Problem } from "../../../ui/Page";
import { RulePicker } from "../backtests/RulePicker";
import { Notice } from "./Notice";
import styles from "./notifications.module.css";

const PAGE = 50;
const AGAIN_MS = 10 * SECOND;

export function Told() {
  const t = useT();
  const navigate = useNavigate();
  const { of } = useSearch({ from: "/shell/alarms" });
  const log = useInfiniteQuery({
    queryKey: ["notifications", of ?? ""],
    queryFn: ({ pageParam, signal }) =>
      ask(client.GET("/api/v1/notifications", { params: { query: { limit: PAGE, ...(of === undefined ? {} : { alarm: of }), ...(pageParam ? { cursor: pageParam } : {}) } }, signal })),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    refetchInterval: AGAIN_MS,
  });
  const told = log.data?.pages.flatMap((page) => page.notifications) ?? [];
  const filter = (rules: readonly string[]) => {
    const rule = rules.at(-1);
    void navigate({ to: "/alarms", search: { tab: "notifications", ...(rule === undefined ? {} : { of: rule }) } });
  };
  return (
    <Panel title={t("told.title")}>
      {(told.length > 0 || of !== undefined) && (
        <div className={styles.inside}>
          <RulePicker rules={of === undefined ? [] : [of]} onChange={filter} all={t("told.all")} some={t("told.ofOne")} find={t("told.find")} />
        </div>
      )}
      {log.error && (
        <div className={styles.inside}>
          <Problem error={log.error} />
        </div>
      )}
      {told.length > 0 ? (
        <ol className={styles.told}>
          {told.map((one) => (
            <li key={one.key}>
              <Notice notice={one} />
            </li>
          ))}
        </ol>
      ) : log.isPending ? (
        <Empty>{t("state.loading")}</Empty>
      ) : (
        !log.error && <Empty>{of === undefined ? <Undeclared /> : t("told.noneOf")}</Empty>
      )}
      {log.hasNextPage && (
        <Button m={12} variant="default" loading={log.isFetchingNextPage} onClick={() => void log.fetchNextPage()}>
          {t("action.more")}
        </Button>
      )}
    </Panel>
  );
}

/** Nothing told yet: how people come to hear of alarms, and where that is written. */
function Undeclared() {
  const t = useT();
  const { may } = useSession();
  return (
    <>
      {t("told.none")} <DocLink name="notifications" />
      {may("configure") && (
        <>
          {" "}
          <Link to="/engineering">{t("told.declare")}</Link>
        </>
      )}
    </>
  );
}
