/** What the console asks about apps. */
import { queryOptions } from "@tanstack/react-query";
import { ask, client } from "../api/client";

export const appsQuery = queryOptions({
  queryKey: ["apps"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/apps", { signal })),
  refetchInterval: 5_000,
});

export const appQuery = (name: string) =>
  queryOptions({
    queryKey: ["apps", name],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/apps/{name}", { params: { path: { name } }, signal })),
    refetchInterval: 5_000,
  });

export const shelfQuery = queryOptions({
  queryKey: ["app-shelf"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/apps/shelf", { signal })),
  refetchInterval: 15_000,
});

export const appHealthQuery = (name: string) =>
  queryOptions({
    queryKey: ["apps", name, "health"],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/apps/{name}/health", { params: { path: { name } }, signal })),
    refetchInterval: 5_000,
  });

export const appLogQuery = (name: string) =>
  queryOptions({
    queryKey: ["apps", name, "log"],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/apps/{name}/log", { params: { path: { name } }, signal })),
    refetchInterval: 5_000,
  });

export const appSettingsQuery = (name: string) =>
  queryOptions({
    queryKey: ["apps", name, "settings"],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/apps/{name}/settings", { params: { path: { name } }, signal })),
    staleTime: 0,
  });

/** Pages of all apps that somebody may see; they stand in the navigation, and stay there while the network is away. */
export const pagesQuery = queryOptions({
  queryKey: ["app-pages"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/apps/pages", { signal })),
  staleTime: 30_000,
  refetchInterval: 60_000,
});

export const widgetsQuery = (name: string, page: string) =>
  queryOptions({
    queryKey: ["app-widgets", name, page],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/apps/{name}/widgets/{page}", { params: { path: { name, page } }, signal })),
    staleTime: 60_000,
  });
