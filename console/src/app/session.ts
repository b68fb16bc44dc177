/** Who is signed in, and what their role allows. The server decides; this only spares people a refusal. */
import { useQuery } from "@tanstack/react-query";
import type { Role } from "../api/client";
import { ask, client } from "../api/client";
import { queryClient, sessionQuery } from "../api/queries";
import { feed } from "../live/feed";
import { router } from "./router";

const RANK: Readonly<Record<string, number>> = { viewer: 0, operator: 1, engineer: 2, administrator: 3 };

export const atLeast = (role: string, need: Role) => (RANK[role] ?? -1) >= (RANK[need] ?? 9);

export function useSession() {
  const { data } = useQuery(sessionQuery);
  const role = data?.role ?? "viewer";
  return { user: data?.user ?? "", role, may: (need: Role) => atLeast(role, need) };
}

export async function signOut(): Promise<void> {
  try {
    await ask(client.DELETE("/api/v1/session"));
  } finally {
    feed.stop();
    queryClient.clear();
    queryClient.setQueryData(sessionQuery.queryKey, null);
    await router.navigate({ to: "/signin" });
  }
}
