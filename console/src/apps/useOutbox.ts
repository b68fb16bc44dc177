import { useSyncExternalStore } from "react";
import { outbox } from "./outbox";

/** What one app's pages sent later and has not been taken yet, in order. */
export function useOutbox(app: string) {
  const all = useSyncExternalStore(outbox.subscribe, outbox.list);
  return all.filter((one) => one.app === app);
}
