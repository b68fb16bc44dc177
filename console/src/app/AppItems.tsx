/** Pages of apps in the navigation, under their app: those that somebody may see. */
import { Menu } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useRouterState } from "@tanstack/react-router";
import { Fragment } from "react";
import type { AppPageAnswer } from "../api/client";
import { pagesQuery } from "../apps/queries";
import { useT, useTitle } from "../i18n";
import { Icon } from "../ui/Icon";
import styles from "./shell.module.css";

function useAppPages(): [string, AppPageAnswer[]][] {
  const { data } = useQuery(pagesQuery);
  const byApp = new Map<string, AppPageAnswer[]>();
  for (const page of data ?? []) byApp.set(page.app, [...(byApp.get(page.app) ?? []), page]);
  return [...byApp];
}

const target = (page: AppPageAnswer) => ({ to: "/apps/$name/$page", params: { name: page.app, page: page.name }, search: {} }) as const;

/** In the rail: an app with one page is a link, one with more a menu. */
export function AppItems() {
  const t = useT();
  const title = useTitle();
  const path = useRouterState({ select: (state) => state.location.pathname });
  return useAppPages().map(([app, pages]) => {
    const [first] = pages;
    if (first === undefined) return null;
    const name = title(first.app_title, app);
    const active = path.startsWith(`/apps/${encodeURIComponent(app)}/`);
    const inside = (
      <>
        <Icon name="page" />
        <span>{name}</span>
      </>
    );
    if (pages.length === 1) {
      return (
        <Link key={app} {...target(first)} activeOptions={{ includeSearch: false }} className={`${styles.item} ${styles.wide}`}>
          {inside}
        </Link>
      );
    }
    return (
      <Menu key={app} position="right-start" shadow="none" width={220}>
        <Menu.Target>
          <button type="button" className={`${styles.item} ${styles.wide}`} aria-label={t("nav.appPages", { app: name })} {...(active ? { "data-status": "active" } : {})}>
            {inside}
          </button>
        </Menu.Target>
        <Menu.Dropdown>
          <PageItems pages={pages} />
        </Menu.Dropdown>
      </Menu>
    );
  });
}

/** Where there is no room for a rail: all of them, by app. */
export function AppMenuItems() {
  const title = useTitle();
  return useAppPages().map(([app, pages]) => (
    <Fragment key={app}>
      <Menu.Label>{title(pages[0]?.app_title, app)}</Menu.Label>
      <PageItems pages={pages} />
    </Fragment>
  ));
}

function PageItems({ pages }: { pages: readonly AppPageAnswer[] }) {
  const title = useTitle();
  return pages.map((page) => (
    <Menu.Item key={page.name} renderRoot={(props) => <Link {...props} {...target(page)} />} leftSection={<Icon name="page" size={16} />}>
      {title(page.title, page.name)}
    </Menu.Item>
  ));
}
