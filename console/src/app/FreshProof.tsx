/** What takes a fresh proof: tried at once, and again when the person has proved that it is still them.
 *
 * page ─► proven(work) ─► 403 fresh-proof-needed ─► one dialog, at the root of all pages ─► work again ─► page
 */
import { lazy, Suspense, useSyncExternalStore } from "react";
import { ApiError } from "../api/client";

const ProofDialog = lazy(() => import("./ProofDialog").then((m) => ({ default: m.ProofDialog })));

interface Waiting {
  again: () => void;
  failed: (error: unknown) => void;
}

let waiting: readonly Waiting[] = [];
const listeners = new Set<() => void>();

function set(next: readonly Waiting[]): void {
  waiting = next;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Resolves as `work` does; rejects with `null` where the person would rather not. */
export async function proven<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== "fresh-proof-needed") throw error;
    return new Promise<T>((done, failed) => set([...waiting, { again: () => void work().then(done, failed), failed }]));
  }
}

function leave(): void {
  const left = waiting;
  set([]);
  for (const one of left) one.failed(null);
}

function goOn(): void {
  const kept = waiting;
  set([]);
  for (const one of kept) one.again();
}

// The dialog may lie over another one, which listens for the same key and would lose what was typed into it.
if (typeof window !== "undefined") {
  const escape = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || event.isComposing || waiting.length === 0) return;
    event.stopImmediatePropagation();
    leave();
  };
  window.addEventListener("keydown", escape, { capture: true });
}

export function ProofHost() {
  const asked = useSyncExternalStore(subscribe, () => waiting.length > 0);
  return <Suspense>{asked && <ProofDialog onProved={goOn} onClose={leave} />}</Suspense>;
}
