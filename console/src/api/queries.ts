/** What pages ask for, how long an answer stays fresh, and what makes it stale. */
import { infiniteQueryOptions, keepPreviousData, queryOptions, QueryClient } from "@tanstack/react-query";
import { rfc3339 } from "../format/time";
import { ApiError, ask, client, type PointAnswer } from "./client";

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      retry: (count, error) => count < 2 && !(error instanceof ApiError && error.status >= 400 && error.status < 500),
      refetchOnWindowFocus: false,
    },
  },
});

export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: async ({ signal }) => {
    try {
      return await ask(client.GET("/api/v1/session", { signal }));
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return null;
      throw error;
    }
  },
  staleTime: 60_000,
});

export const factorsQuery = queryOptions({
  queryKey: ["factors"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/account/factors", { signal })),
});

export const ownSessionsQuery = queryOptions({
  queryKey: ["own-sessions"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/account/sessions", { signal })),
});

export const providersQuery = queryOptions({
  queryKey: ["providers"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/session/providers", { signal })),
  staleTime: 600_000,
});

export const noticeQuery = queryOptions({
  queryKey: ["notice"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/session/notice", { signal })),
  staleTime: 60_000,
});

export const securityQuery = queryOptions({
  queryKey: ["security"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/system/security", { signal })),
  staleTime: 10_000,
});

export const assetsQuery = queryOptions({
  queryKey: ["assets"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/assets", { signal })),
  staleTime: 30_000,
  refetchInterval: 30_000,
});

/** Points of one asset itself and of what is below it, sorted by path; `limit` bounds what a page shows at once. */
export const pointsQuery = (asset: string, limit = 2_000) =>
  queryOptions({
    queryKey: ["points", asset, limit],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/points", { params: { query: { asset, limit } }, signal })),
    staleTime: 60_000,
  });

export const pointQuery = (path: string) =>
  queryOptions({
    queryKey: ["point", path],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/points/{path}", { params: { path: { path } }, signal })),
    staleTime: 60_000,
  });

/** What somebody may draw: a declared point, or one that history alone knows, as those that stream functions give. */
export const drawnPointQuery = (path: string) =>
  queryOptions({
    queryKey: ["drawn-point", path],
    queryFn: async ({ signal }): Promise<PointAnswer> => {
      try {
        return await ask(client.GET("/api/v1/points/{path}", { params: { path: { path } }, signal }));
      } catch (error) {
        if (!(error instanceof ApiError && error.status === 404)) throw error;
        // Refused as well where history has nothing of it.
        await ask(client.GET("/api/v1/history/downsample", { params: { query: { path: [path], count: 1, aggregate: ["count"] } }, signal }));
        return bare(path);
      }
    },
    staleTime: 60_000,
  });

const bare = (path: string): PointAnswer => ({
  path, name: path.slice(path.lastIndexOf("/") + 1), asset: path.slice(0, path.lastIndexOf("/")), title: {}, kind: "float64", unit: "1",
  decimals: null, range: null, write_range: null, access: "read", critical: false, connection: null, address: null, interval_ms: null,
  expression: null, function: null, inputs: [], alarms: [], retention: "",
});

export const searchQuery = (q: string) =>
  queryOptions({
    queryKey: ["search", q],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/points", { params: { query: { q, limit: 30 } }, signal })),
    enabled: q.trim().length > 0,
    placeholderData: keepPreviousData,
  });

export const TREND_AGGREGATES = ["min", "max", "mean", "count", "good-count"] as const;

export const downsampleQuery = (
  path: readonly string[],
  startMs: number,
  endMs: number,
  count: number,
  aggregate: readonly (typeof TREND_AGGREGATES)[number][] = TREND_AGGREGATES,
) =>
  queryOptions({
    queryKey: ["downsample", path, startMs, endMs, count, aggregate],
    queryFn: ({ signal }) =>
      ask(
        client.GET("/api/v1/history/downsample", {
          params: {
            query: { path: [...path], start: rfc3339(startMs), end: rfc3339(endMs), count, aggregate: [...aggregate] },
          },
          signal,
        }),
      ),
    enabled: path.length > 0,
    placeholderData: keepPreviousData,
    staleTime: 1_000,
    gcTime: 60_000,
  });

export const alarmsQuery = queryOptions({
  queryKey: ["alarms"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/alarms", { params: { query: { limit: 10_000 } }, signal })),
  staleTime: 5_000,
  refetchInterval: 30_000,
});

export const connectionsQuery = queryOptions({
  queryKey: ["connections"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/connections", { signal })),
  refetchInterval: 5_000,
});

export const calculationsQuery = queryOptions({
  queryKey: ["calculations"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/calculations", { signal })),
});

/** An alarm as it is declared; one that is declared no more is not asked for again. */
export const alarmRuleQuery = (rule: string) =>
  queryOptions({
    queryKey: ["alarmRule", rule],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/alarms/rules/{rule}", { params: { path: { rule } }, signal })),
    staleTime: 60_000,
    retry: false,
  });

/** Asked often while one is under way. */
export const backfillsQuery = queryOptions({
  queryKey: ["backfills"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/calculations/backfills", { signal })),
  refetchInterval: (query) => (query.state.data?.some((one) => one.ended_at === null) ? 1_000 : 15_000),
});

export const streamsQuery = queryOptions({
  queryKey: ["streams"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/streams", { signal })),
  refetchInterval: 5_000,
});

export const streamActsQuery = queryOptions({
  queryKey: ["streams", "acts"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/streams/acts", { signal })),
  refetchInterval: 15_000,
});

export const outletsQuery = queryOptions({
  queryKey: ["outlets"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/outlets", { signal })),
  refetchInterval: 5_000,
});

export const DEVICES_PAGE = 500;

/** Devices by name, page after page as somebody scrolls. */
export const devicesQuery = (state: "quarantined" | "approved" | "blocked" | undefined, q: string) =>
  infiniteQueryOptions({
    queryKey: ["devices", state ?? "", q],
    queryFn: ({ signal, pageParam }) =>
      ask(client.GET("/api/v1/devices", { params: { query: { ...(state ? { state } : {}), q, limit: DEVICES_PAGE, ...(pageParam ? { cursor: pageParam } : {}) } }, signal })),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: keepPreviousData,
    refetchInterval: 10_000,
  });

export const deviceQuery = (name: string) =>
  queryOptions({
    queryKey: ["device", name],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/devices/{name}", { params: { path: { name } }, signal })),
    refetchInterval: 3_000,
  });

export const deviceCertificatesQuery = (name: string) =>
  queryOptions({
    queryKey: ["device", name, "certificates"],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/devices/{name}/certificates", { params: { path: { name } }, signal })),
    refetchInterval: 10_000,
  });

export const refusalsQuery = queryOptions({
  queryKey: ["refusals"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/device-refusals", { signal })),
  refetchInterval: 10_000,
});

export const typesQuery = queryOptions({
  queryKey: ["types"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/types", { signal })),
  staleTime: 60_000,
});

export const edgesQuery = queryOptions({
  queryKey: ["edges"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/edges", { signal })),
  refetchInterval: 2_000,
});

export const systemQuery = queryOptions({
  queryKey: ["system"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/system", { signal })),
  refetchInterval: 3_000,
});

export const declarationsQuery = queryOptions({
  queryKey: ["declarations"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/declarations", { signal })),
  staleTime: Infinity,
});

export const usersQuery = queryOptions({
  queryKey: ["users"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/users", { signal })),
});

/** For whoever secures the tenant: how each account is guarded. */
export const safeguardsQuery = queryOptions({
  queryKey: ["safeguards"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/user-safeguards", { signal })),
  refetchInterval: 15_000,
});

export const userSessionsQuery = (name: string) =>
  queryOptions({
    queryKey: ["sessions", name],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/users/{name}/sessions", { params: { path: { name } }, signal })),
    refetchInterval: 15_000,
  });

export const policyQuery = queryOptions({
  queryKey: ["policy"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/tenant/policy", { signal })),
});

export const tokensQuery = queryOptions({
  queryKey: ["tokens"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/tokens", { signal })),
});

export const rolesQuery = queryOptions({
  queryKey: ["roles"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/roles", { signal })),
  staleTime: 60_000,
});

export const tenantQuery = queryOptions({
  queryKey: ["tenant"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/tenant", { signal })),
  staleTime: 60_000,
});

export const tenantsQuery = queryOptions({
  queryKey: ["tenants"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/tenants", { signal })),
});

export const partnersQuery = queryOptions({
  queryKey: ["partners"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/partners", { signal })),
  staleTime: 60_000,
});

export const grantsQuery = queryOptions({
  queryKey: ["grants"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/grants", { signal })),
  staleTime: 60_000,
});
