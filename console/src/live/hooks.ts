import { useCallback, useSyncExternalStore } from "react";
import { feed, type FeedState, type Sample } from "./feed";

/** The newest sample of one point; renders only when that point changes. */
export function useSample(path: string): Sample | undefined {
  const subscribe = useCallback((changed: () => void) => feed.watch(path, changed), [path]);
  return useSyncExternalStore(subscribe, () => feed.get(path));
}

export function useFeedState(): FeedState {
  return useSyncExternalStore((changed) => feed.onState(changed), () => feed.state);
}

/** Ticks once a second for ages and clocks; one timer for the whole page. */
const tickers = new Set<() => void>();
let second = Math.floor(Date.now() / 1000);
let timer: ReturnType<typeof setInterval> | undefined;

function onTick(changed: () => void): () => void {
  tickers.add(changed);
  timer ??= setInterval(() => {
    second = Math.floor(Date.now() / 1000);
    for (const ticker of tickers) ticker();
  }, 1000);
  return () => {
    tickers.delete(changed);
    if (tickers.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** Server time in ms, to the second. */
export function useNow(): number {
  return useSyncExternalStore(onTick, () => second) * 1000 + feed.clockOffset;
}
