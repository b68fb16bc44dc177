import { Button } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useT } from "../i18n";
import { Page, Problem } from "../ui/Page";

export function Waiting() {
  const t = useT();
  return (
    <div role="status" style={{ padding: 24, color: "var(--ink-3)" }}>
      {t("state.loading")}
    </div>
  );
}

export function Missing() {
  const t = useT();
  return (
    <Page title={t("error.missing")}>
      <Link to="/">{t("nav.overview")}</Link>
    </Page>
  );
}

export function Wrong({ error, reset }: { error: unknown; reset: () => void }) {
  const t = useT();
  return (
    <Page title={t("error.title")}>
      <Problem error={error} />
      <div>
        <Button variant="default" onClick={reset}>
          {t("action.retry")}
        </Button>
      </div>
    </Page>
  );
}
