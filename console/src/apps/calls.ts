/** Routes of an app, and of that app alone: `/api/v1/apps/{app}/call/…`. A path is taken apart and put together anew. */
import { ApiError, ask, marks } from "../api/client";
import { getLanguage } from "../i18n";

export const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;
export type Method = (typeof METHODS)[number];
export type Query = Readonly<Record<string, string | number | boolean | null | undefined>>;

export const BODY_CHARACTERS_MAX = 1_048_576;
export const ANSWER_BYTES_MAX = 32 * 1_048_576;
const PATH_CHARACTERS_MAX = 2_000;

/** The address of a route. Throws an ApiError for a path that is none of the app's, such as one with `..` in it. */
export function routeAddress(app: string, path: string, query: Query = {}): string {
  const parts = path.startsWith("/") && path.length <= PATH_CHARACTERS_MAX ? path.slice(1).split("/") : [".."];
  if (parts.some((part) => part === "." || part === ".." || /[?#\\]/.test(part))) throw new ApiError(0, "no-route", `'${path.slice(0, 60)}' is no route of ${app}`);
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== null && value !== undefined && value !== "") search.append(name, String(value));
  const asked = search.size > 0 ? `?${search}` : "";
  return `/api/v1/apps/${encodeURIComponent(app)}/call/${parts.map(encodeURIComponent).join("/")}${asked}`;
}

export interface Answer {
  /** JSON; else text, or bytes where they were asked for. */
  data: unknown;
  type: string;
  /** Its name, where it is a file. */
  name: string;
}

interface Call {
  query?: Query | undefined;
  body?: unknown;
  bytes?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/** Throws an ApiError: status 0 where nobody answers. */
export async function callApp(app: string, method: Method, path: string, { query, body, bytes = false, signal }: Call = {}): Promise<Answer> {
  const address = routeAddress(app, path, query);
  const text = body === undefined || method === "GET" ? undefined : JSON.stringify(body);
  if (text !== undefined && text.length > BODY_CHARACTERS_MAX) throw new ApiError(413, "too-large", `more than ${BODY_CHARACTERS_MAX} characters are not sent to ${app}`);
  const headers = { ...marks(), "Accept-Language": getLanguage(), ...(text === undefined ? {} : { "Content-Type": "application/json" }) };
  const sent = async () => {
    const response = await fetch(address, { method, headers, ...(text === undefined ? {} : { body: text }), ...(signal ? { signal } : {}) });
    if (!response.ok) return { error: await response.json().catch(() => undefined), response };
    return { data: await read(app, response, bytes), response };
  };
  return ask(sent());
}

async function read(app: string, response: Response, bytes: boolean): Promise<Answer> {
  const type = (response.headers.get("Content-Type") ?? "").split(";")[0] ?? "";
  const named = /filename\*=UTF-8''([^;]+)/.exec(response.headers.get("Content-Disposition") ?? "")?.[1];
  const name = named === undefined ? "" : decodeURIComponent(named);
  if (response.status === 204) return { data: null, type, name };
  const raw = await response.arrayBuffer();
  if (raw.byteLength > ANSWER_BYTES_MAX) throw new ApiError(413, "too-large", `${app} answers with more than ${ANSWER_BYTES_MAX / 1_048_576} MiB`);
  if (bytes) return { data: raw, type, name };
  const text = new TextDecoder().decode(raw);
  return { data: type === "application/json" ? JSON.parse(text) : text, type, name };
}
