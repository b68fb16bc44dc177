/** What the page in a frame may ask for, and how it is answered. The other end is src/headrace/api/frames/client.js.
 *
 *     frame ── hello ──► window ── welcome (port, user, language, theme) ──► frame ── call, later, notify, … ──► port
 *
 * A frame is a stranger: it reaches the routes of its own app alone, so much at once, and nothing of the console.
 */
import { ApiError, touch } from "../api/client";
import { callApp, type Method, METHODS, type Query } from "./calls";
import { outbox } from "./outbox";

const AT_ONCE_MAX = 16;
const TEXT_MAX = 300;
const FILE_BYTES_MAX = 32 * 1_048_576;
const HEIGHT_MAX = 20_000;
/** Of tokens.css: what a page of an app is drawn with. */
const VARIABLES = [
  "ground", "panel", "raised", "hover", "chosen", "line", "line-strong", "ink", "ink-2", "ink-3", "live", "accent", "accent-ink", "track", "band", "danger", "ok",
  "critical", "critical-ink", "high", "high-ink", "medium", "medium-ink", "low", "low-ink", "pen-1", "pen-2", "pen-3", "pen-4", "pen-5", "pen-6", "pen-7", "pen-8",
] as const;

export type Tone = "info" | "done" | "wrong";

export interface Around {
  app: string;
  user: string;
  language: string;
  scheme: "light" | "dark";
  onHeight: (px: number) => void;
  onNotice: (text: string, tone: Tone) => void;
  refusals: { busy: string; tooLarge: string };
}

export function themeOf(scheme: "light" | "dark") {
  const found = getComputedStyle(document.documentElement);
  return { scheme, variables: Object.fromEntries(VARIABLES.map((name) => [`--${name}`, found.getPropertyValue(`--${name}`).trim()])) };
}

const keptOf = (app: string) => outbox.list().filter((one) => one.app === app).map(({ id, method, path, body, at, state, reason }) => ({ id, method, path, body, at, state, reason }));

/** The port of one frame; it is welcomed when it says hello, and anew when it was loaded anew. */
export class FrameHost {
  private port: MessagePort | null = null;
  private open = 0;
  private readonly ended = new AbortController();

  constructor(
    private readonly frame: HTMLIFrameElement,
    private around: Around,
    private readonly onBegun: () => void,
  ) {
    window.addEventListener("message", this.onHello, { signal: this.ended.signal });
    const end = outbox.subscribe(() => this.tell({ kind: "later", kept: keptOf(this.around.app) }));
    this.ended.signal.addEventListener("abort", end);
  }

  end(): void {
    this.ended.abort();
    this.port?.close();
  }

  /** Language or theme have changed. */
  update(around: Around): void {
    const before = this.around;
    this.around = around;
    if (before.scheme !== around.scheme) this.tell({ kind: "theme", ...themeOf(around.scheme) });
    if (before.language !== around.language) this.tell({ kind: "language", language: around.language });
  }

  private tell(message: unknown): void {
    this.port?.postMessage(message);
  }

  private readonly onHello = (event: MessageEvent) => {
    if (event.source !== this.frame.contentWindow || (event.data as { headrace?: unknown } | null)?.headrace !== "hello") return;
    const channel = new MessageChannel();
    this.port?.close();
    this.port = channel.port1;
    this.port.onmessage = ({ data }: MessageEvent<Record<string, unknown>>) => void this.take(data);
    const { app, user, language, scheme } = this.around;
    // A sandboxed frame has no origin that could be named here.
    this.frame.contentWindow?.postMessage({ headrace: "welcome", user, language, kept: keptOf(app), ...themeOf(scheme) }, "*", [channel.port2]);
    this.onBegun();
  };

  private async take(message: Record<string, unknown>): Promise<void> {
    if (typeof message !== "object" || message === null) return;
    const { kind, id } = message;
    if (kind === "height") {
      if (typeof message.px === "number" && message.px > 0) this.around.onHeight(Math.min(HEIGHT_MAX, message.px));
      return;
    }
    // A hand on the frame counts for the page around it, and a page that only says so does not.
    if (kind === "touched") {
      if (navigator.userActivation?.isActive !== false) touch();
      return;
    }
    const port = this.port;
    try {
      if (this.open >= AT_ONCE_MAX) throw new ApiError(429, "too-many", this.around.refusals.busy);
      this.open += 1;
      try {
        port?.postMessage({ kind: "answer", id, data: await this.answer(message) });
      } finally {
        this.open -= 1;
      }
    } catch (error) {
      const { status = 0, code = "internal", hint = null } = error instanceof ApiError ? error : {};
      port?.postMessage({ kind: "refusal", id, error: { status, code, hint, message: error instanceof Error ? error.message : String(error) } });
    }
  }

  private async answer(message: Record<string, unknown>): Promise<unknown> {
    const { app } = this.around;
    const path = String(message.path ?? "");
    switch (message.kind) {
      case "call": {
        const method = METHODS.find((one) => one === message.method);
        if (!method) throw new ApiError(0, "no-route", `${app}: no such method`);
        return this.call(method, path, message);
      }
      case "later":
        return outbox.add(app, String(message.method), path, message.body);
      case "notify": {
        const tone = message.tone === "done" || message.tone === "wrong" ? message.tone : "info";
        this.around.onNotice(String(message.text).slice(0, TEXT_MAX), tone);
        return null;
      }
      case "download":
        return this.download(message);
      default:
        throw new ApiError(0, "no-message", `'${String(message.kind).slice(0, 20)}' is nothing that a frame can ask for`);
    }
  }

  private async call(method: Method, path: string, { query, body, bytes }: Record<string, unknown>): Promise<unknown> {
    const asked = typeof query === "object" && query !== null ? (query as Query) : {};
    const found = await callApp(this.around.app, method, path, { query: asked, body, bytes: bytes === true, signal: this.ended.signal });
    return bytes === true ? found : found.data;
  }

  private download({ name, data }: Record<string, unknown>): null {
    if (!(data instanceof ArrayBuffer) || data.byteLength > FILE_BYTES_MAX) throw new ApiError(413, "too-large", this.around.refusals.tooLarge);
    // As bytes, whatever it says that it is: a browser saves it and never shows it.
    const address = URL.createObjectURL(new Blob([data], { type: "application/octet-stream" }));
    const link = document.createElement("a");
    link.href = address;
    link.download = String(name).replaceAll(/[\\/\p{C}]/gu, "_").slice(0, 150) || "download";
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    return null;
  }
}
