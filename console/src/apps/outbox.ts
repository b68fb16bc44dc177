/** What pages of apps send later: kept on this device until the app has taken it.
 *
 *     later() ──► IndexedDB (per person, firm, app) ──► sent in order ──► taken: forgotten
 *                        ▲                                   │
 *              reload, sign-out, no network: stays      refused: shown with its reason, sent again or dropped by a person
 *
 * Each has an id and the time of its entry, which go with it as `client` and `entered`: sent twice, it counts once. Only
 * whoever entered it sends it. One tab sends at a time.
 */
import { ApiError, ask, client } from "../api/client";
import { callApp, type Method, METHODS, routeAddress } from "./calls";

export interface Owner {
  user: string;
  tenant: string;
}

export interface Kept extends Owner {
  /** The place in the queue. */
  order: number;
  id: string;
  app: string;
  method: Method;
  path: string;
  body: Record<string, unknown>;
  /** When it was entered, ms. */
  at: number;
  state: "waiting" | "refused";
  reason: string;
}

export const WAITING_MAX = 1_000;
const CHARACTERS_MAX = 65_536;
const RETRY_MS_MIN = 2_000;
const RETRY_MS_MAX = 60_000;
const ANSWER_MS_MAX = 30_000;
const STORE = "later";
const LOCK = "headrace.later";
/** Neither taken nor refused: the session ended, or the app or the network is away for now. */
const AWAY = new Set([401, 408, 425, 429, 502, 503, 504]);
const AT_DOOR = new Set(["change-password", "enrol-second-factor"]);

let opened: Promise<IDBDatabase> | undefined;
function database(): Promise<IDBDatabase> {
  opened ??= new Promise((done, wrong) => {
    const request = indexedDB.open("headrace", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "order", autoIncrement: true });
    request.onsuccess = () => done(request.result);
    request.onerror = () => {
      opened = undefined;
      wrong(request.error ?? new Error("this browser keeps nothing"));
    };
  });
  return opened;
}

async function within<T>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const base = await database();
  return new Promise((done, wrong) => {
    const transaction = base.transaction(STORE, mode, { durability: "strict" });
    const request = act(transaction.objectStore(STORE));
    transaction.oncomplete = () => done(request.result);
    transaction.onabort = transaction.onerror = () => wrong(transaction.error ?? new Error("it was not kept"));
  });
}

/** `crypto.randomUUID` is only there where the page came over TLS. */
function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const NONE: readonly Kept[] = [];

class Outbox {
  private owner: Owner | null = null;
  private kept: readonly Kept[] = NONE;
  private readonly listeners = new Set<() => void>();
  private readonly others = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("headrace.later");
  private sending = false;
  private again = false;
  private retryMs = RETRY_MS_MIN;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    if (this.others) this.others.onmessage = () => void this.read(false);
    if (typeof window === "undefined") return;
    window.addEventListener("online", () => this.soon());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.soon());
  }

  readonly subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
  /** Those of whoever is signed in, in order. */
  readonly list = () => this.kept;

  /** Whose are sent from now on; null: nobody's. */
  async own(owner: Owner | null): Promise<void> {
    if (owner?.user === this.owner?.user && owner?.tenant === this.owner?.tenant) return;
    this.owner = owner;
    await this.read(false);
    this.soon();
  }

  /** Kept when this returns. Throws an Error where it cannot be. */
  async add(app: string, method: string, path: string, body: unknown): Promise<{ id: string; at: string }> {
    const how = METHODS.find((one) => one === method && one !== "GET");
    if (!how) throw new ApiError(0, "no-route", `'${String(method).slice(0, 20)}' changes nothing: later takes POST, PUT, PATCH or DELETE`);
    routeAddress(app, path);
    if (this.owner === null) throw new ApiError(401, "sign-in", "nobody is signed in");
    if (typeof body !== "object" || body === null || Array.isArray(body)) throw new ApiError(0, "no-object", "what is sent later is an object: its id and time go with it");
    if (JSON.stringify(body).length > CHARACTERS_MAX) throw new ApiError(413, "too-large", `what is sent later has at most ${CHARACTERS_MAX} characters`);
    if (this.kept.filter((one) => one.app === app).length >= WAITING_MAX) throw new ApiError(429, "too-many", `${WAITING_MAX} wait already`);
    const at = Date.now();
    const id = newId();
    const one: Omit<Kept, "order"> = { ...this.owner, id, app, method: how, path, body: { client: id, entered: new Date(at).toISOString(), ...body }, at, state: "waiting", reason: "" };
    await within("readwrite", (store) => store.add(one));
    void navigator.storage?.persist?.();
    await this.read();
    this.soon();
    return { id, at: new Date(at).toISOString() };
  }

  async drop(order: number): Promise<void> {
    await within("readwrite", (store) => store.delete(order));
    await this.read();
  }

  /** A refused one, once more. */
  async retry(one: Kept): Promise<void> {
    await within("readwrite", (store) => store.put({ ...one, state: "waiting", reason: "" }));
    await this.read();
    this.soon();
  }

  /** Send now, whatever was tried before. */
  soon(): void {
    this.retryMs = RETRY_MS_MIN;
    void this.send();
  }

  private async read(tell = true): Promise<void> {
    const owner = this.owner;
    const all = await within("readonly", (store) => store.getAll() as IDBRequest<Kept[]>).catch(() => []);
    this.kept = owner === null ? NONE : all.filter((one) => one.user === owner.user && one.tenant === owner.tenant);
    for (const listener of this.listeners) listener();
    if (tell) this.others?.postMessage("changed");
  }

  private async send(): Promise<void> {
    clearTimeout(this.timer);
    if (this.sending) {
      this.again = true;
      return;
    }
    this.sending = true;
    try {
      const work = () => this.sendAll();
      await (navigator.locks ? navigator.locks.request(LOCK, work) : work());
    } finally {
      this.sending = false;
      this.next();
    }
  }

  private next(): void {
    if (this.again) {
      this.again = false;
      void this.send();
    } else if (this.kept.some((one) => one.state === "waiting")) {
      this.timer = setTimeout(() => void this.send(), this.retryMs);
      this.retryMs = Math.min(RETRY_MS_MAX, this.retryMs * 2);
    }
  }

  private async sendAll(): Promise<void> {
    await this.read(false);
    const away = new Set<string>();
    for (const one of this.kept.filter(({ state }) => state === "waiting")) {
      if (away.has(one.app)) continue;
      // One after the other: an app takes them in the order in which they were entered.
      // oxlint-disable-next-line no-await-in-loop
      const end = await this.sendOne(one);
      if (end === "nobody") return;
      if (end === "away") away.add(one.app);
    }
  }

  /** `away`: its app takes nothing now; `nobody`: there is no network, or somebody else is signed in. */
  private async sendOne(one: Kept): Promise<"done" | "away" | "nobody"> {
    if (!navigator.onLine || !(await this.isStill(one))) return "nobody";
    try {
      await callApp(one.app, one.method, one.path, { body: one.body, bytes: true, signal: AbortSignal.timeout(ANSWER_MS_MAX) });
      await within("readwrite", (store) => store.delete(one.order));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 0) return "nobody";
      if (AWAY.has(error.status) || AT_DOOR.has(error.code)) return "away";
      await within("readwrite", (store) => store.put({ ...one, state: "refused", reason: [error.message, error.hint].filter(Boolean).join(". ") }));
    }
    await this.read();
    return "done";
  }

  /** Whether whoever entered it is who is signed in: another tab may have changed that. */
  private async isStill(one: Owner): Promise<boolean> {
    try {
      const session = await ask(client.GET("/api/v1/session"));
      return session.user === one.user && session.tenant === one.tenant;
    } catch {
      return false;
    }
  }
}

export const outbox = new Outbox();
