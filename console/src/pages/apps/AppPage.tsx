/** A page of an app: widgets that the console draws, or a module in a frame. */
import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { lazy, Suspense } from "react";
import { ApiError } from "../../api/client";
import { pagesQuery } from "../../apps/queries";
import { useT, useTitle } from "../../i18n";
import { Empty, Page, Problem } from "../../ui/Page";

const Frame = lazy(() => import("./Frame").then((m) => ({ default: m.Frame })));
const WidgetPage = lazy(() => import("./WidgetPage").then((m) => ({ default: m.WidgetPage })));

export function AppPage() {
  const t = useT();
  const title = useTitle();
  const { name, page: wanted } = useParams({ from: "/shell/apps/$name/$page" });
  const { data, error } = useQuery(pagesQuery);
  const page = data?.find((one) => one.app === name && one.name === wanted);
  if (!page) {
    return (
      <Page title={t("nav.apps")}>{data ? <Problem error={new ApiError(404, "not-found", t("page.gone"))} /> : error ? <Problem error={error} /> : <Empty>…</Empty>}</Page>
    );
  }
  const key = `${page.app} ${page.name} ${page.version}`;
  return (
    <Suspense fallback={<Page title={title(page.title, page.name)}><Empty>…</Empty></Page>}>
      {page.kind === "module" ? <Frame key={key} page={page} /> : <WidgetPage key={key} page={page} />}
    </Suspense>
  );
}
