/** Keys of a list of alarms, wherever the focus is but in a field, a menu, a row of tabs or a dialog. */
import { useEffect } from "react";
import { isTyping } from "../../app/shortcuts";
import { useLatest } from "../../ui/useLatest";

const GO_TIMEOUT_MS = 1_200;
/** A letter acts from a row of tabs, a choice or a ticked box as well; how one moves in them is their own. */
const OWN_MOVES = "[role=tablist], [role=radiogroup], input[type=radio]";

function isTaken(event: KeyboardEvent): boolean {
  const { target, key } = event;
  if (!(target instanceof HTMLElement)) return false;
  if (target.closest("[role=menu]")) return true;
  if (target.closest(OWN_MOVES)) return key.length > 1 || key === " ";
  if (target instanceof HTMLInputElement && target.type === "checkbox") return key === " ";
  if (/^(BUTTON|A)$/.test(target.tagName) && key === "Enter") return true;
  // Space presses a button; on the line of an alarm it selects.
  if (target.tagName === "BUTTON" && key === " " && !target.closest("tbody")) return true;
  return isTyping(target);
}

/** `handle` says whether the key was one of its own. */
export function useRowKeys(handle: (key: string) => boolean): void {
  const latest = useLatest(handle);
  useEffect(() => {
    let goAt = -Infinity;
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTaken(event)) return;
      if (document.querySelector("[role=dialog][aria-modal=true]")) return;
      // `g a` goes to this page; it must not acknowledge on the way.
      if (event.key === "g") goAt = performance.now();
      else if (performance.now() - goAt < GO_TIMEOUT_MS) goAt = -Infinity;
      else if (latest.current(event.key)) event.preventDefault();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [latest]);
}
