/** The live feed: one WebSocket, the union of what visible components watch, one re-render per changed cell.
 *
 *     watch(path) ──► wanted set ──(one message for many changes)──► server
 *     server ──► changes (columns) ──► samples by path ──(animation frame)──► only the listeners of those paths
 *     link lost ──► every sample is stale ──► back-off with jitter ──► subscribe again, all values anew
 */
import type { JsonValue } from "../format/number";

/** Immutable: a new object for each change, so that identity says whether a cell must render. */
export interface Sample {
  readonly value: JsonValue;
  readonly time: number | null;
  readonly quality: number;
  /** True while the feed that brought it is lost. */
  readonly stale: boolean;
}

export interface Transition {
  readonly rule: string;
  readonly action: string;
  readonly state: string;
}

export type FeedState = "idle" | "connecting" | "open" | "lost" | "denied";

interface PointsMessage { type: "points"; paths: string[] }
interface ChangesMessage { type: "changes"; time_ms: number; i: number[]; v: JsonValue[]; t: (number | null)[]; q: number[] }
interface AlarmsMessage { type: "alarms"; transitions: Transition[]; reload?: boolean }
export type FeedMessage = PointsMessage | ChangesMessage | AlarmsMessage | { type: "error" };

/** What the feed needs of the outside, so that tests can give their own. */
export interface FeedOutside {
  open(): WebSocket;
  frame(run: () => void): void;
  later(run: () => void, ms: number): () => void;
  random(): number;
}

const BACKOFF_MS = [500, 1_000, 2_000, 4_000, 8_000, 15_000];
const SUBSCRIBE_DELAY_MS = 40;
const SILENCE_DENIED = 4401;

export class LiveFeed {
  state: FeedState = "idle";
  /** Server clock minus ours, so that ages are right on a screen whose clock is wrong. */
  clockOffset = 0;
  /** When the link was lost, ms. */
  lostAt: number | null = null;

  private socket: WebSocket | null = null;
  private paths: readonly string[] = [];
  private readonly samples = new Map<string, Sample>();
  private readonly watchers = new Map<string, Set<() => void>>();
  private readonly stateListeners = new Set<() => void>();
  private readonly alarmListeners = new Set<(transitions: readonly Transition[]) => void>();
  private readonly dirty = new Set<string>();
  private framePending = false;
  private cancelSubscribe: (() => void) | null = null;
  private cancelRetry: (() => void) | null = null;
  private attempt = 0;
  private running = false;

  constructor(private readonly outside: FeedOutside) {}

  start(): void {
    if (this.running) return;
    this.running = true;
    this.connect();
  }

  stop(): void {
    this.running = false;
    this.cancelRetry?.();
    this.cancelSubscribe?.();
    this.cancelRetry = this.cancelSubscribe = null;
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    this.samples.clear();
    this.lostAt = null;
    this.setState("idle");
  }

  /** Try now rather than when the back-off ends. */
  retry(): void {
    if (!this.running || this.socket) return;
    this.cancelRetry?.();
    this.connect();
  }

  get(path: string): Sample | undefined {
    return this.samples.get(path);
  }

  watch(path: string, listener: () => void): () => void {
    let listeners = this.watchers.get(path);
    if (!listeners) {
      listeners = new Set();
      this.watchers.set(path, listeners);
      this.wantSubscribe();
    }
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.watchers.get(path) === listeners) {
        this.watchers.delete(path);
        this.wantSubscribe();
      }
    };
  }

  onState(listener: () => void): () => void {
    this.stateListeners.add(listener);
    return () => this.stateListeners.delete(listener);
  }

  onAlarms(listener: (transitions: readonly Transition[]) => void): () => void {
    this.alarmListeners.add(listener);
    return () => this.alarmListeners.delete(listener);
  }

  /** Take one message. Public for tests and for the replay of recorded feeds. */
  take(message: FeedMessage): void {
    switch (message.type) {
      case "points":
        this.paths = message.paths;
        return;
      case "changes":
        this.clockOffset = message.time_ms - Date.now();
        for (let k = 0; k < message.i.length; k += 1) {
          const path = this.paths[message.i[k] ?? -1];
          if (path === undefined) continue;
          this.samples.set(path, {
            value: message.v[k] ?? null,
            time: message.t[k] ?? null,
            quality: message.q[k] ?? 0,
            stale: false,
          });
          this.dirty.add(path);
        }
        this.wantFrame();
        return;
      case "alarms":
        for (const listener of this.alarmListeners) listener(message.transitions);
        return;
      default:
    }
  }

  private connect(): void {
    this.cancelRetry = null;
    if (this.state !== "lost") this.setState("connecting");
    let socket: WebSocket;
    try {
      socket = this.outside.open();
    } catch {
      this.lost();
      return;
    }
    this.socket = socket;
    socket.onopen = () => {
      this.attempt = 0;
      this.lostAt = null;
      this.setState("open");
      this.subscribeNow();
      // What happened to alarms meanwhile is not told again: whoever shows them asks anew.
      for (const listener of this.alarmListeners) listener([]);
    };
    socket.onmessage = (event: MessageEvent<string>) => {
      try {
        this.take(JSON.parse(event.data) as FeedMessage);
      } catch {
        socket.close(4000, "garbled");
      }
    };
    socket.onclose = (event) => {
      if (this.socket !== socket) return;
      this.socket = null;
      if (event.code === SILENCE_DENIED || event.code === 1008) {
        this.running = false;
        this.setState("denied");
        return;
      }
      this.lost();
    };
  }

  private lost(): void {
    if (!this.running) return;
    if (this.state !== "lost") {
      this.lostAt = Date.now();
      for (const [path, sample] of this.samples) {
        this.samples.set(path, { ...sample, stale: true });
        this.dirty.add(path);
      }
      this.wantFrame();
      this.setState("lost");
    }
    const base = BACKOFF_MS[Math.min(this.attempt, BACKOFF_MS.length - 1)] ?? 15_000;
    this.attempt += 1;
    this.cancelRetry = this.outside.later(() => this.connect(), base * (0.75 + this.outside.random() / 2));
  }

  private wantSubscribe(): void {
    if (this.cancelSubscribe || this.state !== "open") return;
    this.cancelSubscribe = this.outside.later(() => this.subscribeNow(), SUBSCRIBE_DELAY_MS);
  }

  private subscribeNow(): void {
    this.cancelSubscribe?.();
    this.cancelSubscribe = null;
    if (this.socket?.readyState !== 1) return;
    for (const path of this.samples.keys()) if (!this.watchers.has(path)) this.samples.delete(path);
    this.socket.send(JSON.stringify({ subscribe: [...this.watchers.keys()], alarms: true, max_hz: 10 }));
  }

  private wantFrame(): void {
    if (this.framePending) return;
    this.framePending = true;
    this.outside.frame(() => {
      this.framePending = false;
      const changed = [...this.dirty];
      this.dirty.clear();
      for (const path of changed) for (const listener of this.watchers.get(path) ?? []) listener();
    });
  }

  private setState(state: FeedState): void {
    if (this.state === state) return;
    this.state = state;
    for (const listener of this.stateListeners) listener();
  }
}

function liveUrl(): string {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  return `${scheme}://${location.host}/api/v1/live`;
}

export const feed = new LiveFeed({
  open: () => new WebSocket(liveUrl()),
  // A hidden tab gets no animation frames; it need not draw either.
  frame: (run) => void requestAnimationFrame(run),
  later: (run, ms) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  random: Math.random,
});
