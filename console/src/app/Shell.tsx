/** The frame: strip (plant, search, alarm counts, clock, you), rail, the alarm that is most urgent, the page. */
import { ActionIcon, Menu } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useNavigate } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useState } from "react";
import { assetsQuery, queryClient, sessionQuery } from "../api/queries";
import { clock, date } from "../format/time";
import { useT, useTitle } from "../i18n";
import { feed } from "../live/feed";
import { useFeedState, useNow } from "../live/hooks";
import { Icon, type IconName, Mark } from "../ui/Icon";
import { Age } from "../ui/Page";
import { PRIORITIES, PriorityMark } from "../ui/Priority";
import { QualitySymbol } from "../ui/Value";
import { unacknowledged, useAlarmFeed, useAlarms } from "./alarms";
import { AppItems, AppMenuItems } from "./AppItems";
import { AlarmBanner } from "./AlarmBanner";
import { DiskBanner } from "./DiskBanner";
import { useWaiting } from "./guards";
import { LockBanner } from "./LockBanner";
import { LanguageItems, SchemeItems } from "./Preferences";
import styles from "./shell.module.css";
import { useRoleTitle } from "./roles";
import { signOut, useSession } from "./session";
import { useShared } from "./shared";
import { useShortcuts } from "./shortcuts";

const Search = lazy(() => import("./Search").then((m) => ({ default: m.Search })));
const ShortcutHelp = lazy(() => import("./ShortcutHelp").then((m) => ({ default: m.ShortcutHelp })));
const LockDialog = lazy(() => import("./LockDialog").then((m) => ({ default: m.LockDialog })));

export const PAGES = [
  { to: "/", key: "nav.overview", icon: "home", letter: "h" },
  { to: "/explore/$", key: "nav.explore", icon: "tree", letter: "e" },
  { to: "/trend", key: "nav.trend", icon: "trend", letter: "t" },
  { to: "/alarms", key: "nav.alarms", icon: "bell", letter: "a" },
  { to: "/writes", key: "nav.writes", icon: "write", letter: "w" },
  { to: "/devices", key: "nav.devices", icon: "device", letter: "v" },
  { to: "/edges", key: "nav.edges", icon: "edge", letter: "n" },
  { to: "/system", key: "nav.system", icon: "system", letter: "s" },
  { to: "/engineering", key: "nav.engineering", icon: "file", letter: "d" },
  { to: "/apps", key: "nav.apps", icon: "apps", letter: "p" },
] as const satisfies readonly { to: string; key: string; icon: IconName; letter: string }[];

/** Those that somebody may open: devices, edges and declarations have no place in the plant, so they take a right on all of it. */
function usePages() {
  const { may, mayEverywhere } = useSession();
  return PAGES.filter((page) => (page.to === "/devices" || page.to === "/edges" ? mayEverywhere("view") : page.to === "/apps" ? may("view") : true));
}

export function Shell() {
  const t = useT();
  const navigate = useNavigate();
  const [open, setOpen] = useState<"search" | "keys" | "lock" | null>(null);
  useAlarmFeed();
  useEffect(() => {
    feed.start();
    return feed.onState(() => {
      // A lost feed may mean an ended session: ask who we are.
      if (feed.state === "lost" || feed.state === "denied") void queryClient.invalidateQueries({ queryKey: sessionQuery.queryKey });
    });
  }, []);
  const { data: session } = useQuery(sessionQuery);
  useEffect(() => {
    if (session === null) void navigate({ to: "/signin" });
  }, [session, navigate]);
  // What was entered while the network was away is sent from any page.
  const [user, tenant] = [session?.user, session?.tenant];
  useEffect(() => {
    void import("../apps/outbox").then(({ outbox }) => outbox.own(user !== undefined && tenant !== undefined ? { user, tenant } : null));
  }, [user, tenant]);
  useShortcuts({
    search: () => setOpen("search"),
    help: () => setOpen("keys"),
    go: (letter) => {
      const page = PAGES.find((p) => p.letter === letter);
      if (page) void navigate(page.to === "/explore/$" ? { to: page.to, params: { _splat: "" } } : { to: page.to });
    },
  });
  return (
    <div className={styles.shell}>
      <a className="skip" href="#main">
        {t("shell.skip")}
      </a>
      <Strip onSearch={() => setOpen("search")} onKeys={() => setOpen("keys")} onLock={() => setOpen("lock")} />
      <Rail />
      <div className={styles.body}>
        <FeedBanner />
        <LockBanner />
        <DiskBanner />
        <AlarmBanner />
        <main id="main" className={styles.main} tabIndex={-1}>
          <Outlet />
        </main>
      </div>
      <Suspense>
        {open === "search" && <Search onClose={() => setOpen(null)} />}
        {open === "keys" && <ShortcutHelp onClose={() => setOpen(null)} />}
        {open === "lock" && <LockDialog onClose={() => setOpen(null)} />}
      </Suspense>
    </div>
  );
}

function Strip({ onSearch, onKeys, onLock }: Readonly<Record<"onSearch" | "onKeys" | "onLock", () => void>>) {
  const t = useT();
  const title = useTitle();
  const { data: assets } = useQuery(assetsQuery);
  const { ownerOf } = useShared();
  const roots = (assets ?? []).filter((asset) => (asset.parent === null || asset.parent === undefined) && asset.path !== "system" && ownerOf(asset.path) === null);
  const first = roots[0];
  const { user, role, may } = useSession();
  const roleTitle = useRoleTitle(role);
  return (
    <header className={styles.strip}>
      <Link to="/" className={styles.brand}>
        <Mark />
        <span className={styles.plant}>{first && roots.length === 1 ? title(first.title, first.path) : "Headrace"}</span>
      </Link>
      <button type="button" className={styles.search} onClick={onSearch} aria-label={t("search.title")}>
        <Icon name="search" size={16} />
        <span>{t("search.title")}</span>
        <kbd>/</kbd>
      </button>
      <AlarmCounts />
      <Clock />
      <Menu position="bottom-end" width={230} shadow="none">
        <Menu.Target>
          <button type="button" className={styles.user} aria-label={t("shell.user", { user })}>
            <Icon name="user" size={18} />
            <span>{user}</span>
          </button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Label>
            {user} · {roleTitle}
          </Menu.Label>
          <LanguageItems />
          <Menu.Divider />
          <SchemeItems />
          <Menu.Divider />
          {(may("write") || may("maintain") || may("lock")) && (
            <Menu.Item color="var(--danger)" leftSection={<Icon name="lock" size={16} />} onClick={onLock}>
              {t("lock.open")}
            </Menu.Item>
          )}
          <Menu.Item leftSection={<Icon name="keyboard" size={16} />} onClick={onKeys}>
            {t("shell.keys")}
          </Menu.Item>
          <Menu.Item leftSection={<Icon name="user" size={16} />} component={Link} to="/account">
            {t("account.menu")}
          </Menu.Item>
          <Menu.Item leftSection={<Icon name="out" size={16} />} onClick={() => void signOut()}>
            {t("shell.signOut")}
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
    </header>
  );
}

/** The four counts that an operator glances at: unacknowledged first, shape and letter for each. */
function AlarmCounts() {
  const t = useT();
  const alarms = useAlarms();
  return (
    <div className={styles.counts} role="group" aria-label={t("shell.alarmCounts")}>
      {PRIORITIES.map((priority) => {
        const mine = alarms.filter((alarm) => alarm.priority === priority);
        const open = mine.filter(unacknowledged).length;
        return (
          <Link
            key={priority}
            to="/alarms"
            search={{ priority }}
            className={styles.count}
            data-quiet={mine.length === 0}
            title={t("shell.count", { priority: t(`priority.${priority}`), n: mine.length, open })}
          >
            <PriorityMark priority={priority} size={18} quiet={mine.length === 0} state={open > 0 ? "unack-active" : "ack-active"} />
            <span>{mine.length}</span>
          </Link>
        );
      })}
    </div>
  );
}

function Clock() {
  const t = useT();
  const now = useNow();
  const state = useFeedState();
  return (
    <div className={styles.clock} title={t(`feed.${state}`)}>
      <QualitySymbol look={state === "open" ? "good" : "stale"} />
      <time>{clock(now)}</time>
      <span>{date(now)}</span>
    </div>
  );
}

function Rail() {
  const t = useT();
  const pages = usePages();
  return (
    <nav className={styles.rail} aria-label={t("shell.navigation")}>
      {pages.map((page, index) => (
        <Link
          key={page.to}
          to={page.to}
          {...(page.to === "/explore/$" ? { params: { _splat: "" } } : {})}
          activeOptions={{ exact: page.to === "/" || page.to === "/apps", includeSearch: false }}
          className={`${styles.item} ${index > 3 ? styles.wide : ""}`}
        >
          <Icon name={page.icon} />
          <span>{t(page.key)}</span>
          {page.to === "/writes" && <Waiting />}
        </Link>
      ))}
      <AppItems />
      <div className={styles.narrow}>
        <Menu position="top-end" shadow="none" width={200}>
          <Menu.Target>
            <button type="button" className={styles.item}>
              <Icon name="more" />
              <span>{t("nav.more")}</span>
              <Waiting />
            </button>
          </Menu.Target>
          <Menu.Dropdown>
            {pages.slice(4).map((page) => (
              <Menu.Item key={page.to} component={Link} to={page.to} leftSection={<Icon name={page.icon} size={16} />}>
                {t(page.key)}
                {page.to === "/writes" && <Waiting />}
              </Menu.Item>
            ))}
            <AppMenuItems />
          </Menu.Dropdown>
        </Menu>
      </div>
    </nav>
  );
}

/** How many writes wait for a second person. */
function Waiting() {
  const t = useT();
  const n = useWaiting().length;
  if (n === 0) return null;
  return (
    <b className={styles.badge} title={t("approval.count", { n })}>
      {n}
      <span className="unseen">{t("approval.count", { n })}</span>
    </b>
  );
}

/** Values on screen are old: say so before anybody acts on them. */
function FeedBanner() {
  const t = useT();
  const state = useFeedState();
  if (state !== "lost" && state !== "denied") return null;
  return (
    <div className={styles.lost} role="alert">
      <QualitySymbol look="stale" size={18} />
      <span>
        <strong>{t("feed.lost")}</strong> {t("feed.lostText")} <Age at={feed.lostAt} />
      </span>
      <ActionIcon variant="default" aria-label={t("action.retry")} onClick={() => feed.retry()}>
        <Icon name="refresh" size={16} />
      </ActionIcon>
    </div>
  );
}
