/** Where somebody is in a list of alarms, and which they chose. What is not on the list is never acted on. */
import { useState } from "react";
import type { AlarmAnswer } from "../../api/client";
import { type Act, KINDS } from "../../app/alarmActs";
import { useSession } from "../../app/session";

export interface Choice {
  at: number;
  /** Grows with each move by a key. */
  moved: number;
  chosen: ReadonlySet<string>;
  /** Those chosen that are on the list. */
  selected: readonly AlarmAnswer[];
  canSelect(alarm: AlarmAnswer): boolean;
  toggle(rule: string): void;
  /** All on the list, or none where all are chosen. */
  all(): void;
  none(): void;
  go(index: number): void;
  /** Whether the key was one of moving and choosing. */
  key(key: string): boolean;
  /** What an act is for: those chosen that take it, or the one that somebody is at. */
  forAct(act: Act): readonly AlarmAnswer[];
}

/** `shown` is what is on the list now, in its order; `acts` are those of that list. */
export function useChoice(shown: readonly AlarmAnswer[], acts: readonly Act[]): Choice {
  const { may } = useSession();
  const [place, setPlace] = useState({ at: 0, moved: 0 });
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const at = Math.max(0, Math.min(place.at, shown.length - 1));
  const mine = acts.filter((one) => may(KINDS[one].right));
  const canSelect = (alarm: AlarmAnswer) => mine.some((one) => KINDS[one].fits(alarm));
  const selected = chosen.size === 0 ? [] : shown.filter((alarm) => chosen.has(alarm.rule) && canSelect(alarm));
  const toggle = (rule: string) => {
    const next = new Set(chosen);
    if (!next.delete(rule)) next.add(rule);
    setChosen(next);
  };
  const move = (by: number) => setPlace({ at: Math.max(0, Math.min(at + by, shown.length - 1)), moved: place.moved + 1 });
  const row = shown[at];
  const pick = () => {
    if (row && canSelect(row)) toggle(row.rule);
  };
  const keys: Partial<Record<string, () => void>> = { j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1), Home: () => move(-shown.length), End: () => move(shown.length), x: pick, " ": pick };
  return {
    at,
    moved: place.moved,
    chosen,
    selected,
    canSelect,
    toggle,
    all: () => {
      const can = shown.filter(canSelect);
      setChosen(new Set(selected.length === can.length ? [] : can.map((alarm) => alarm.rule)));
    },
    none: () => setChosen(new Set()),
    go: (index) => setPlace({ at: index, moved: place.moved }),
    key: (key) => {
      keys[key]?.();
      return key in keys;
    },
    forAct: (one) => (may(KINDS[one].right) ? (selected.length > 0 ? selected : row ? [row] : []).filter((alarm) => KINDS[one].fits(alarm)) : []),
  };
}
