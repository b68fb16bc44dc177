/** How a shadow differs from the active version, and where most. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ask, client } from "../../../api/client";
import { formatNumber, formatShort } from "../../../format/number";
import { dateTime, MINUTE, parseTime } from "../../../format/time";
import { useT } from "../../../i18n";
import { Problem } from "../../../ui/Page";
import styles from "./streams.module.css";

const REFRESH_MS = 10_000;
const AROUND_MS = 15 * MINUTE;

export function Difference({ name, version, active }: { name: string; version: string; active: string }) {
  const t = useT();
  const { data, error, isPending } = useQuery({
    queryKey: ["streams", "difference", name, version],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/streams/{name}/versions/{version}/difference", { params: { path: { name, version } }, signal })),
    refetchInterval: REFRESH_MS,
  });
  if (error) return <Problem error={error} />;
  if (isPending) return <p role="status">{t("state.loading")}</p>;
  if (data === null) return <p className={styles.calm}>{t("stream.notBoth")}</p>;
  const counts = [
    [t("stream.both"), data.both],
    [t("stream.same"), data.same],
    [t("stream.missing", { version: active }), data.missing],
    [t("stream.moreHere", { version }), data.more],
  ] as const;
  const at = data.at === null ? null : parseTime(data.at);
  return (
    <section aria-label={t("stream.difference", { version, active })} className={styles.difference} data-difference={`${name} ${version}`}>
      <h3>{t("stream.difference", { version, active })}</h3>
      <dl>
        {counts.map(([label, n]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{formatNumber(n, 0)}</dd>
          </div>
        ))}
        <div>
          <dt>{t("stream.worst")}</dt>
          <dd>
            {at === null ? (
              t("stream.noWorst")
            ) : (
              <>
                {formatShort(data.worst)}{" "}
                <Link to="/trend" search={{ p: [data.point], from: at - AROUND_MS, to: at + AROUND_MS }}>
                  {t("stream.worstAt", { point: data.point, at: dateTime(at) })}
                </Link>
              </>
            )}
          </dd>
        </div>
      </dl>
    </section>
  );
}
