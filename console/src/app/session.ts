/** Who is signed in, and what they may do. The server decides; this only spares people a refusal. */
import { useQuery } from "@tanstack/react-query";
import type { Action } from "../api/client";
import { ask, client } from "../api/client";
import { queryClient, sessionQuery } from "../api/queries";
import { feed } from "../live/feed";
import { router } from "./router";

export function useSession() {
  const { data } = useQuery(sessionQuery);
  const actions = data?.actions ?? [];
  const everywhere = data?.everywhere ?? [];
  return {
    user: data?.user ?? "",
    tenant: data?.tenant ?? "default",
    role: data?.role ?? "viewer",
    /** On some part of the plant, at least. */
    may: (action: Action) => actions.includes(action),
    /** On all of it: what has no place in the plant takes that. */
    mayEverywhere: (action: Action) => everywhere.includes(action),
    /** The process itself is the operator's business, not that of the firms on it. */
    seesPlatform: data?.tenant === "default" && everywhere.includes("view"),
  };
}

export async function signOut(): Promise<void> {
  let away: string | null = null;
  try {
    const call = client.DELETE("/api/v1/session");
    away = (await call).response.headers.get("X-Sign-Out");
    await ask(call);
  } finally {
    feed.stop();
    queryClient.clear();
    queryClient.setQueryData(sessionQuery.queryKey, null);
    if (away !== null && away.startsWith("http")) location.assign(away);
    else await router.navigate({ to: "/signin" });
  }
}
