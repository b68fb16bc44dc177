/** Addresses. Every page is loaded when it is first visited; what a page shows is in its address, so it can be shared. */
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Outlet, redirect } from "@tanstack/react-router";
import { onSignedOut } from "../api/client";
import { queryClient, sessionQuery } from "../api/queries";
import { Missing, Waiting, Wrong } from "./Fallback";
import { ProofHost } from "./FreshProof";
import { Shell } from "./Shell";

const root = createRootRoute({
  component: () => (
    <>
      <Outlet />
      <ProofHost />
    </>
  ),
  notFoundComponent: Missing,
});

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/signin",
  // Only a path of our own: whatever else an address carries is dropped by saying `undefined`.
  validateSearch: (search: Record<string, unknown>): { next?: string | undefined; pending?: true | undefined; refused?: string | undefined } => ({
    next: typeof search.next === "string" && /^\/(?![/\\])/.test(search.next) ? search.next : undefined,
    pending: search.pending === true ? true : undefined,
    refused: typeof search.refused === "string" ? search.refused.slice(0, 40) : undefined,
  }),
  component: lazyRouteComponent(() => import("../pages/signin/SignIn"), "SignIn"),
});

const shell = createRoute({
  getParentRoute: () => root,
  id: "shell",
  beforeLoad: async ({ location }) => {
    const session = await queryClient.ensureQueryData(sessionQuery);
    if (!session || session.must_change_password || session.must_enrol) {
      throw redirect({ to: "/signin", search: location.href === "/" ? {} : { next: location.href } });
    }
  },
  component: Shell,
});

const overview = createRoute({
  getParentRoute: () => shell,
  path: "/",
  component: lazyRouteComponent(() => import("../pages/overview/Overview"), "Overview"),
});

const explore = createRoute({
  getParentRoute: () => shell,
  path: "/explore/$",
  validateSearch: (search: Record<string, unknown>): { point?: string } =>
    typeof search.point === "string" ? { point: search.point } : {},
  component: lazyRouteComponent(() => import("../pages/explore/Explore"), "Explore"),
});

export interface TrendSearch {
  /** Paths of points. */
  p?: string[];
  /** A live window of so many seconds, or… */
  last?: number;
  /** …a fixed one, ms. */
  from?: number;
  to?: number;
}

const trend = createRoute({
  getParentRoute: () => shell,
  path: "/trend",
  validateSearch: (search: Record<string, unknown>): TrendSearch => {
    const number = (value: unknown) => (typeof value === "number" && Number.isFinite(value) ? value : undefined);
    const p = Array.isArray(search.p) ? search.p.filter((path): path is string => typeof path === "string").slice(0, 16) : [];
    const [from, to, last] = [number(search.from), number(search.to), number(search.last)];
    if (from !== undefined && to !== undefined && to > from) return { p, from, to };
    return last !== undefined && last > 0 ? { p, last } : { p };
  },
  component: lazyRouteComponent(() => import("../pages/trend/Trend"), "Trend"),
});

const ALARM_TABS = ["quiet", "history", "notifications", "figures", "backtests"] as const;

export interface AlarmsSearch {
  tab?: (typeof ALARM_TABS)[number];
  priority?: string;
  /** The alarm whose record is open. */
  alarm?: string;
  /** The back-test that is open. */
  test?: number;
  /** The alarm whose notifications alone are listed. */
  of?: string;
}

const alarms = createRoute({
  getParentRoute: () => shell,
  path: "/alarms",
  validateSearch: (search: Record<string, unknown>): AlarmsSearch => {
    const tab = ALARM_TABS.find((one) => one === search.tab);
    return {
      ...(tab ? { tab } : {}),
      ...(typeof search.priority === "string" ? { priority: search.priority } : {}),
      ...(typeof search.alarm === "string" ? { alarm: search.alarm } : {}),
      ...(typeof search.test === "number" ? { test: search.test } : {}),
      ...(typeof search.of === "string" ? { of: search.of } : {}),
    };
  },
  component: lazyRouteComponent(() => import("../pages/alarms/Alarms"), "Alarms"),
});

export interface DevicesSearch {
  state?: "quarantined" | "approved" | "blocked";
  q?: string;
  /** The one that is open. */
  device?: string;
}

const documents = createRoute({
  getParentRoute: () => shell,
  path: "/docs",
  component: lazyRouteComponent(() => import("../pages/docs/Document"), "Documents"),
});

const document = createRoute({
  getParentRoute: () => shell,
  path: "/docs/$name",
  component: lazyRouteComponent(() => import("../pages/docs/Document"), "Document"),
});

const writes = createRoute({
  getParentRoute: () => shell,
  path: "/writes",
  component: lazyRouteComponent(() => import("../pages/writes/Writes"), "Writes"),
});

const devices = createRoute({
  getParentRoute: () => shell,
  path: "/devices",
  validateSearch: (search: Record<string, unknown>): DevicesSearch => ({
    ...(search.state === "quarantined" || search.state === "approved" || search.state === "blocked" ? { state: search.state } : {}),
    ...(typeof search.q === "string" && search.q !== "" ? { q: search.q } : {}),
    // A name of digits alone is read from an address as a number.
    ...(typeof search.device === "string" || typeof search.device === "number" ? { device: String(search.device) } : {}),
  }),
  component: lazyRouteComponent(() => import("../pages/devices/Devices"), "Devices"),
});

const edges = createRoute({
  getParentRoute: () => shell,
  path: "/edges",
  component: lazyRouteComponent(() => import("../pages/edges/Edges"), "Edges"),
});

const system = createRoute({
  getParentRoute: () => shell,
  path: "/system",
  validateSearch: (search: Record<string, unknown>): { tab?: string } => (typeof search.tab === "string" ? { tab: search.tab } : {}),
  component: lazyRouteComponent(() => import("../pages/system/System"), "System"),
});

const account = createRoute({
  getParentRoute: () => shell,
  path: "/account",
  component: lazyRouteComponent(() => import("../pages/account/Account"), "Account"),
});

const engineering = createRoute({
  getParentRoute: () => shell,
  path: "/engineering",
  component: lazyRouteComponent(() => import("../pages/engineering/Engineering"), "Engineering"),
});

const apps = createRoute({
  getParentRoute: () => shell,
  path: "/apps",
  validateSearch: (search: Record<string, unknown>): { app?: string } => (typeof search.app === "string" ? { app: search.app } : {}),
  component: lazyRouteComponent(() => import("../pages/apps/Apps"), "Apps"),
});

const appPage = createRoute({
  getParentRoute: () => shell,
  path: "/apps/$name/$page",
  /** What was chosen in the inputs of the page. */
  validateSearch: (search: Record<string, unknown>): Record<string, string> =>
    Object.fromEntries(Object.entries(search).flatMap(([name, value]) => (typeof value === "string" || typeof value === "number" ? [[name, String(value)]] : []))),
  component: lazyRouteComponent(() => import("../pages/apps/AppPage"), "AppPage"),
});

export const router = createRouter({
  routeTree: root.addChildren([signIn, shell.addChildren([overview, explore, trend, alarms, documents, document, writes, devices, edges, system, engineering, account, apps, appPage])]),
  defaultPreload: "intent",
  defaultPendingComponent: Waiting,
  defaultErrorComponent: Wrong,
  scrollRestoration: false,
});

onSignedOut(async () => {
  // A request that was under way while the session got a new secret is refused, and nobody has signed out.
  const session = await queryClient.fetchQuery({ ...sessionQuery, staleTime: 0 }).catch(() => null);
  const outside = session === null || session.must_enrol || session.must_change_password;
  if (outside && router.state.location.pathname !== "/signin") await router.navigate({ to: "/signin", search: { next: router.state.location.href } });
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
