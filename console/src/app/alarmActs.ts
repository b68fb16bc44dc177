/** What people do about alarms: which take it, which right it needs, and how it is sent. Source: ISA-18.2-2016 §10, §11. */
import { type Action, type AlarmAnswer, ask, client } from "../api/client";
import { alarmsQuery, queryClient } from "../api/queries";
import { unacknowledged } from "./alarms";
import { proven } from "./FreshProof";

export const ACTS = ["acknowledge", "reset", "shelve", "unshelve", "remove", "return"] as const;
export type Act = (typeof ACTS)[number];

/** What is said with an act; the last two go with shelving. */
export interface Said {
  text: string;
  duration?: string;
  once?: boolean;
}

interface Kind {
  right: Action;
  /** Whether its words must be given. */
  reason: boolean;
  fits(alarm: AlarmAnswer): boolean;
  send(rules: string[], said: Said): Promise<unknown>;
}

const comment = (rules: string[], said: Said) => ({ body: { rules, comment: said.text } });

export const KINDS: Readonly<Record<Act, Kind>> = {
  acknowledge: {
    right: "acknowledge",
    reason: false,
    fits: unacknowledged,
    send: (rules, said) => ask(client.POST("/api/v1/alarms/acknowledge", comment(rules, said))),
  },
  reset: {
    right: "acknowledge",
    reason: false,
    fits: (alarm) => alarm.state === "latched-unack" || alarm.state === "latched-ack",
    send: (rules, said) => ask(client.POST("/api/v1/alarms/reset", comment(rules, said))),
  },
  shelve: {
    right: "acknowledge",
    reason: true,
    fits: (alarm) => alarm.state !== "out-of-service" && alarm.handling.shelve_longest_s > 0,
    send: (rules, said) =>
      ask(client.POST("/api/v1/alarms/shelve", { body: { rules, reason: said.text, once: said.once ?? false, ...(said.duration ? { duration: said.duration } : {}) } })),
  },
  unshelve: {
    right: "acknowledge",
    reason: false,
    fits: (alarm) => alarm.state === "shelved",
    send: (rules, said) => ask(client.POST("/api/v1/alarms/unshelve", comment(rules, said))),
  },
  remove: {
    right: "write",
    reason: true,
    fits: (alarm) => alarm.state !== "out-of-service",
    send: (rules, said) => ask(client.POST("/api/v1/alarms/out-of-service", { body: { rules, reason: said.text } })),
  },
  return: {
    right: "write",
    reason: false,
    fits: (alarm) => alarm.state === "out-of-service",
    send: (rules, said) => ask(client.POST("/api/v1/alarms/return", comment(rules, said))),
  },
};

/** As many as the API takes at once: each call does all or none. */
export const AT_ONCE = 1_000;

/** Acts on them, a thousand at a time; `told` hears how many are done. */
export async function act(kind: Act, rules: readonly string[], said: Said, told: (done: number) => void = () => {}): Promise<void> {
  try {
    for (let at = 0; at < rules.length; at += AT_ONCE) {
      const some = rules.slice(at, at + AT_ONCE);
      // One after the other: a refusal stops the rest.
      // oxlint-disable-next-line no-await-in-loop
      await proven(() => KINDS[kind].send([...some], said));
      told(at + some.length);
    }
  } finally {
    await queryClient.invalidateQueries({ queryKey: alarmsQuery.queryKey });
  }
}
