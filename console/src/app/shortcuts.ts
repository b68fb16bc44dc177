/** Keys that work everywhere but in a text field: `/` search, `?` help, `g` then a letter to go to a page. */
import { useEffect } from "react";
import { useLatest } from "../ui/useLatest";

const GO_TIMEOUT_MS = 1_200;

interface Actions {
  search(): void;
  help(): void;
  go(letter: string): void;
}

export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

export function useShortcuts(actions: Actions): void {
  const latest = useLatest(actions);
  useEffect(() => {
    let pending = -Infinity;
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
      // A dialog has the keyboard to itself.
      if (document.querySelector("[role=dialog][aria-modal=true]")) return;
      if (event.key === "/") {
        event.preventDefault();
        latest.current.search();
      } else if (event.key === "?") {
        latest.current.help();
      } else if (performance.now() - pending < GO_TIMEOUT_MS) {
        pending = -Infinity;
        event.preventDefault();
        latest.current.go(event.key.toLowerCase());
      } else if (event.key === "g") {
        pending = performance.now();
      }
    };
    window.addEventListener("keydown", onKey, true);
    return () => window.removeEventListener("keydown", onKey, true);
  }, [latest]);
}
