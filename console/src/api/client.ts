/** The typed door to the API: paths and shapes come from docs/openapi.json (`npm run client`), nothing is written by hand. */
import createClient, { type Middleware } from "openapi-fetch";
import type { components, paths } from "./schema";

type Schemas = components["schemas"];
export type AlarmAnswer = Schemas["AlarmAnswer"];
export type RuleAnswer = Schemas["RuleAnswer"];
export type KpisAnswer = Schemas["KpisAnswer"];
export type BackfillAnswer = Schemas["BackfillAnswer"];
export type BacktestAnswer = Schemas["BacktestAnswer"];
export type BacktestResult = Schemas["BacktestResult"];
export type AlarmPage = Schemas["AlarmPage"];
export type AlarmCounts = Schemas["AlarmCounts"];
export type AppAnswer = Schemas["AppAnswer"];
export type AppHealthAnswer = Schemas["AppHealthAnswer"];
export type AppPageAnswer = Schemas["AppPageAnswer"];
export type AppVersionAnswer = Schemas["AppVersionAnswer"];
export type ColumnAnswer = Schemas["ColumnAnswer"];
export type InputAnswer = Schemas["InputAnswer"];
export type PermissionsAnswer = Schemas["PermissionsAnswer"];
export type SettingAnswer = Schemas["SettingAnswer"];
export type SettingsAnswer = Schemas["SettingsAnswer"];
export type ShelvedAppAnswer = Schemas["ShelvedAppAnswer"];
export type WidgetAnswer = Schemas["WidgetAnswer"];
export type WidgetPageAnswer = Schemas["WidgetPageAnswer"];
export type AssetNode = Schemas["AssetNode"];
export type AuditEntry = Schemas["AuditEntryAnswer"];
export type BrowseNode = Schemas["BrowseNodeAnswer"];
export type ChangeAnswer = Schemas["ChangeAnswer"];
export type CommandAnswer = Schemas["CommandAnswer"];
export type ConditionsAnswer = Schemas["ConditionsAnswer"];
export type LockAnswer = Schemas["LockAnswer"];
export type ConnectionAnswer = Schemas["ConnectionAnswer"];
export type DeclarationError = Schemas["DeclarationError"];
export type DeclarationFile = Schemas["DeclarationFile"];
export type DeviceCertificateAnswer = Schemas["DeviceCertificateAnswer"];
export type DeviceAnswer = Schemas["DeviceAnswer"];
export type DeviceDetail = Schemas["DeviceDetail"];
export type DeviceImportAnswer = Schemas["DeviceImportAnswer"];
export type Downsampled = Schemas["Downsampled"];
export type NotificationAnswer = Schemas["NotificationAnswer"];
export type OutletAnswer = Schemas["OutletAnswer"];
export type EdgeAnswer = Schemas["EdgeAnswer"];
export type PlanAnswer = Schemas["PlanAnswer"];
export type PointAnswer = Schemas["PointAnswer"];
export type SecondFactorAnswer = Schemas["SecondFactorAnswer"];
export type SessionAnswer = Schemas["SessionAnswer"];
export type StreamAnswer = Schemas["StreamAnswer"];
export type SystemAnswer = Schemas["SystemAnswer"];
export type TransitionAnswer = Schemas["TransitionAnswer"];
export type TypeAnswer = Schemas["TypeAnswer"];
export type UserAnswer = Schemas["UserAnswer"];
export type TokenAnswer = Schemas["TokenAnswer"];
export type PartAnswer = Schemas["PartAnswer"];
export type PartRequest = Schemas["PartRequest"];
export type RoleAnswer = Schemas["RoleAnswer"];
export type TenantAnswer = Schemas["TenantAnswer"];
export type OneSession = Schemas["OneSession"];
export type Policy = Schemas["Policy"];
export type PolicyAnswer = Schemas["PolicyAnswer"];
export type PolicyRequest = Schemas["PolicyRequest"];
export type SafeguardsAnswer = Schemas["SafeguardsAnswer"];
export type GrantAnswer = Schemas["GrantAnswer"];

export const ROLES = [
  "member", "viewer", "operator", "maintainer", "engineer", "manager", "security-officer", "auditor", "administrator", "owner", "source",
] as const;
export type Role = (typeof ROLES)[number];
export type Action = components["schemas"]["Action"];
/** Every right that there is, in the order in which they are shown. */
export const ACTIONS = [
  "view", "acknowledge", "write", "approve", "lock", "maintain", "configure", "ingest", "share", "administer", "secure", "audit", "operate",
] as const satisfies readonly Action[];
export type Priority = "critical" | "high" | "medium" | "low";

/** A refusal in the API's own words; `code` is stable, `hint` says what to do next. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint?: string | null,
    readonly errors?: DeclarationError[] | null,
  ) {
    super(message);
  }
}

/** A session that only the page keeps asking with is not in use: after a minute without a hand, requests say so. */
const IDLE_MS = 60_000;
let touched = Date.now();
for (const sign of ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"]) {
  if (typeof window !== "undefined") window.addEventListener(sign, () => (touched = Date.now()), { passive: true, capture: true });
}

/** A hand on what the page shows from elsewhere, whose events do not come here. */
export function touch(): void {
  touched = Date.now();
}

/** What goes with each request. With a cookie every change needs the first; a foreign page cannot set it. See docs/openapi.json. */
export function marks(): Record<string, string> {
  return { "X-Headrace": "1", ...(Date.now() - touched > IDLE_MS ? { "X-Headrace-Idle": "1" } : {}) };
}

/** Told when the server says that nobody is signed in, or that something has to be done at the door first. */
let signedOut: () => void = () => {};
export function onSignedOut(run: () => void): void {
  signedOut = run;
}

const guard: Middleware = {
  onRequest({ request }) {
    for (const [name, value] of Object.entries(marks())) request.headers.set(name, value);
    return request;
  },
};

export const client = createClient<paths>({
  baseUrl: "/",
  querySerializer: { array: { style: "form", explode: true } },
});
client.use(guard);

interface Result<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** Data, or an ApiError; a server that cannot be reached is an ApiError with status 0. */
export async function ask<T>(call: Promise<Result<T>>): Promise<T> {
  let result: Result<T>;
  try {
    result = await call;
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new ApiError(0, "unreachable", "");
  }
  const { data, error, response } = result;
  if (response.ok) return data as T;
  const body = (error as { error?: { code?: string; message?: string; hint?: string; errors?: DeclarationError[] } } | undefined)
    ?.error;
  // What belongs to signing in says itself what is wrong.
  const atDoor = response.status === 401 || body?.code === "enrol-second-factor" || body?.code === "change-password";
  if (atDoor && !new URL(response.url).pathname.startsWith("/api/v1/session")) signedOut();
  throw new ApiError(response.status, body?.code ?? `http-${response.status}`, body?.message ?? response.statusText, body?.hint, body?.errors);
}
