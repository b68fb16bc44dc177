/** Critical writes that wait for a second person, and locks of writes: asked for every few seconds, on every page. */
import { queryOptions, useQuery } from "@tanstack/react-query";
import { ask, client, type CommandAnswer, type LockAnswer } from "../api/client";
import { queryClient } from "../api/queries";
import { proven } from "./FreshProof";

export const WAITS = "awaiting-approval";
const REFRESH_MS = 3_000;

export const waitingQuery = queryOptions({
  queryKey: ["writes", "waiting"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/writes", { params: { query: { state: WAITS, limit: 1000 } }, signal })),
  refetchInterval: REFRESH_MS,
});

export const locksQuery = queryOptions({
  queryKey: ["locks"],
  queryFn: ({ signal }) => ask(client.GET("/api/v1/locks", { signal })),
  refetchInterval: REFRESH_MS,
});

export const conditionsQuery = (path: string) =>
  queryOptions({
    queryKey: ["conditions", path],
    queryFn: ({ signal }) => ask(client.GET("/api/v1/writes/conditions", { params: { query: { path } }, signal })),
    refetchInterval: 1_000,
    gcTime: 0,
  });

export function useWaiting(): readonly CommandAnswer[] {
  return useQuery(waitingQuery).data ?? [];
}

export function useLocks(): readonly LockAnswer[] {
  return useQuery(locksQuery).data ?? [];
}

type Decision = "approve" | "reject" | "withdraw";

export async function decide(id: string, decision: Decision, reason: string): Promise<CommandAnswer> {
  try {
    const params = { params: { path: { id } }, body: { reason } };
    if (decision === "approve") return await ask(client.POST("/api/v1/writes/{id}/approve", params));
    if (decision === "reject") return await ask(client.POST("/api/v1/writes/{id}/reject", params));
    return await ask(client.POST("/api/v1/writes/{id}/withdraw", params));
  } finally {
    void queryClient.invalidateQueries({ queryKey: ["writes"] });
  }
}

export async function lock(path: string, reason: string): Promise<void> {
  await ask(client.POST("/api/v1/locks", { body: { path, reason } }));
  await queryClient.invalidateQueries({ queryKey: locksQuery.queryKey });
}

export async function release(id: string, reason: string): Promise<void> {
  await proven(() => ask(client.POST("/api/v1/locks/{id}/release", { params: { path: { id } }, body: { reason } })));
  await queryClient.invalidateQueries({ queryKey: locksQuery.queryKey });
}
