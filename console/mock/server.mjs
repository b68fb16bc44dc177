// A stand-in for the platform, for work on the console and for its tests: the API of docs/openapi.json over mock/plant.mjs.
//
//     node mock/server.mjs [--port 0] [--console DIR]      prints its address
//
// Sign in as admin / one-time-password (must be changed) or as anna / anna-anna-anna (an operator).
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { WebSocketServer } from "ws";
import { accountRoutes } from "./account.mjs";
import { alarmRoutes } from "./alarms.mjs";
import { appRoutes } from "./apps.mjs";
import { computingRoutes } from "./computing.mjs";
import { guardRoutes } from "./guards.mjs";
import { admit, proofs } from "./needs.mjs";
import { fleetRoutes, linkSeries } from "./fleet.mjs";
import { NOTIFY_YAML, notifyRoutes } from "./notifying.mjs";
import { PEOPLE, peopleRoutes, receive } from "./people.mjs";
import { RATIONALE, scenes } from "./scenes.mjs";
import { streamRoutes } from "./streams.mjs";
import { assets, LOUD, noise, points, qualityAt, standing, valueAt } from "./plant.mjs";

const argument = (name, otherwise) => { const at = process.argv.indexOf(name); return at > 0 ? process.argv[at + 1] : otherwise; };
const ROOT = argument("--console", new URL("../../src/headrace/api/console", import.meta.url).pathname);
const started = Date.now();
const iso = (ms) => new Date(ms).toISOString();

const users = new Map([
  ["admin", { password: "one-time-password", role: "owner", must: true }],
  ["anna", { password: "anna-anna-anna", role: "operator", must: false }],
  ["lee", { password: "lee-lee-lee-lee", role: "owner", must: false }],
  ...PEOPLE,
]);
const sessions = new Map();
const alarms = standing(started);
alarms.slice(-2).forEach((alarm) => Object.assign(alarm, { state: "ack-active", acknowledged_at: iso(started - 60_000), acknowledged_by: "anna", comment: "Filter ordered" }));
alarms.find((one) => one.rule.endsWith(":hot") && one.asset.endsWith("press-3")).rationale = RATIONALE;
const transitions = alarms.map((alarm) => ({ rule: alarm.rule, point: alarm.point, asset: alarm.asset, action: "raised", state: "unack-active", time: alarm.raised_at, value: alarm.value, priority: alarm.priority, message: alarm.message, actor: "", comment: "" }));
const writes = [];
const audit = [{ sequence: 1, time: iso(started), actor: "system", action: "platform.started", subject: "headrace", outcome: "ok", data: {} }];
const note = (actor, action, subject, outcome, data = {}) => audit.unshift({ sequence: audit.length + 1, time: iso(Date.now()), actor, action, subject, outcome, data });
let revision = 7;
let trusted = false;
let files = [
  { name: "connections.yaml", text: "connections:\n  press-1-plc: {driver: modbus, settings: {host: 127.0.0.1, port: 15020, unit: 1}}\n  moulding-cell: {driver: opcua, settings: {url: \"opc.tcp://127.0.0.1:14840/\", security: none}}\n" },
  { name: "press-shop.yaml", text: "types:\n  hydraulic-press:\n    version: 1\n    title: {en: Hydraulic press, zh: 液压机}\n    points:\n      oil.temperature:\n        type: float64\n        unit: Cel\n        range: [0, 120]\n        address: {table: holding, address: 4, encoding: float32}\n    alarms:\n      # zone limits after DIN 51524-2\n      oil.temperature:hot: {condition: high, limit: 65, hysteresis: 2, priority: high}\n" },
  { name: "notifications.yaml", text: NOTIFY_YAML },
];

function ruleOf(name) {
  const point = points.get(name.slice(0, name.lastIndexOf(":")))?.answer;
  const rule = point?.alarms.find((one) => one.rule === name) ?? fail(404, "not-found", `there is no alarm '${name}'; it may no longer be declared`);
  const stood = alarms.find((one) => one.rule === name);
  return { rule: name, point: point.path, asset: point.asset, priority: rule.priority, condition: rule.condition, limit: rule.limit, message: stood?.message ?? point.title, latched: stood?.latched ?? false, suppressed_by: null, handling: stood?.handling ?? LOUD.handling, rationale: stood?.rationale ?? (name.endsWith(":hot") ? RATIONALE : null) };
}

class Refusal extends Error { constructor(status, code, message, hint, errors) { super(message); Object.assign(this, { status, code, hint, errors }); } }
const fail = (...refusal) => { throw new Refusal(...refusal); };
const counts = (path) => { const sum = { critical: 0, high: 0, medium: 0, low: 0 }; for (const a of alarms) if (!a.shelved_until && a.state !== "out-of-service" && `${a.asset}/`.startsWith(`${path}/`)) sum[a.priority] += 1; return sum; };
const below = (asset) => [...points.values()].filter((p) => asset === "" || `${p.answer.asset}/`.startsWith(`${asset}/`));
const severity = (codes) => (codes.some((c) => c >>> 31) ? "bad" : codes.some((c) => (c >>> 30) === 1) ? "uncertain" : "good");
const session = (request) => { const found = sessions.get(/headrace_session=([^;]+)/.exec(request.headers.cookie ?? "")?.[1]); return found ?? fail(401, "sign-in", "sign in first, or send a token"); };
const me = (user) => ({ user, tenant: "default", role: users.get(user).role, actions: people.actionsOf(users.get(user).role), everywhere: people.actionsOf(users.get(user).role), must_change_password: users.get(user).must, must_enrol: false });

function downsample(query) {
  const [start, end] = [Date.parse(query.get("start")), Date.parse(query.get("end"))];
  const count = Number(query.get("count") ?? 500);
  const width = (end - start) / count;
  const now = Date.now();
  const series = query.getAll("path").map((path) => {
    if (path.startsWith("system/edges/")) return linkSeries(path, start, width, count, noise);
    const point = points.get(path) ?? fail(404, "not-found", `there is no point '${path}'`);
    const columns = { min: [], max: [], mean: [], count: [], "good-count": [] };
    for (let i = 0; i < count; i += 1) {
      const from = start + i * width;
      const samples = [];
      if (from < now && !(width < 1000 && Math.floor(from / 1000) === Math.floor((from + width) / 1000))) for (let k = 0; k < 8; k += 1) { const at = from + (k / 8) * width; if (at <= now) samples.push(at); }
      const good = samples.filter((at) => qualityAt(point, at) >>> 31 === 0).map((at) => Number(valueAt(point, at)));
      columns.count.push(samples.length);
      columns["good-count"].push(good.length);
      columns.min.push(good.length ? Math.min(...good) : null);
      columns.max.push(good.length ? Math.max(...good) : null);
      columns.mean.push(good.length ? good.reduce((a, b) => a + b, 0) / good.length : null);
    }
    return { path, unit: point.answer.unit, columns };
  });
  return { start_ms: start, width_ms: width, count, series };
}

const connection = (name, driver, en, zh, state, extra = {}) => ({
  name, driver, title: { en, zh }, state, since: iso(started - 3_600_000), points: [...points.values()].filter((p) => p.answer.connection === name).length, error: "", next_try_s: null,
  counters: { connects: 1, losses: 0, requests: 48_211, failures: 0, samples: 1_204_331, bad_samples: 0, overruns: 0, dropped: 0, unstorable: 0, own: {}, last_sample_at: iso(Date.now() - 300), round_trip_ms: 4.2 }, ...extra,
});
const connections = () => [
  ...[1, 2, 3].map((n) => connection(`press-${n}-plc`, "modbus", `Press ${n} PLC`, `${n}号压机 PLC`, "connected")),
  connection("press-4-plc", "modbus", "Press 4 PLC", "4号压机 PLC", "waiting", { error: "press-4-plc: nobody answers at 127.0.0.1:15023; check that the device has power and that the address is right", next_try_s: 12, since: iso(started - 190_000) }),
  connection("moulding-cell", "opcua", "Moulding cell controller", "注塑单元控制器", trusted ? "connected" : "refused", trusted ? {} : { error: "the server at opc.tcp://127.0.0.1:14840/ shows a certificate that nobody has trusted yet" }),
  connection("assembly-cell", "opcua", "Assembly and utilities controller", "装配与公用工程控制器", "connected"),
];

const outlet = (name, protocol, en, zh, state, counters, extra = {}) => ({
  name, protocol, title: { en, zh }, state, since: iso(started - 3_600_000), points: points.size, error: "", next_try_s: null,
  counters: { connects: 1, losses: 0, sends: 9_120, failures: 0, samples: 0, events: 0, dropped: 0, dropped_events: 0, given_up: 0, waiting: 0, waiting_bytes: 0, last_sent_at: iso(Date.now() - 400), round_trip_ms: 2.1, ...counters }, ...extra,
});
const outlets = () => [
  outlet("erp", "webhook", "Maintenance desk", "维修调度", "waiting", { events: 41, failures: 7, losses: 1, waiting: 3, last_sent_at: iso(started - 400_000) }, { error: "https://erp.acme.example/hooks/headrace answers 503: it takes nothing now", next_try_s: 9 }),
  outlet("scada", "opcua", "Group SCADA", "集团 SCADA", "connected", { samples: 1_204_331 }),
];

function plan(body) {
  const errors = [];
  const changes = [];
  for (const file of body.files) {
    file.text.split("\n").forEach((line, index) => {
      const wrong = /^\s*(unitt|limitt|tpye)\b/.exec(line);
      if (wrong) errors.push({ file: file.name, line: index + 1, column: line.indexOf(wrong[1]) + 1, message: `'${wrong[1]}' is not known here; the nearest is '${wrong[1] === "unitt" ? "unit" : wrong[1] === "limitt" ? "limit" : "type"}'` });
    });
    const old = files.find((one) => one.name === file.name);
    const limit = (text) => /limit: (\d+)/.exec(text ?? "")?.[1];
    if (old?.text !== file.text) changes.push(old ? { action: "change", kind: "alarm", key: "acme/suzhou/press-shop/line-1/press-1/oil.temperature:hot", details: [{ field: "limit", old: Number(limit(old.text) ?? 0), new: Number(limit(file.text) ?? 0) }] } : { action: "create", kind: "asset", key: file.name.replace(/\.yaml$/, ""), details: [] });
  }
  if (body.prune) for (const old of files) if (!body.files.some((one) => one.name === old.name)) changes.push({ action: "remove", kind: "asset", key: old.name, details: [] });
  return { revision, changes: errors.length ? [] : changes, errors };
}

const enter = (user, response) => {
  const id = crypto.randomUUID();
  sessions.set(id, user);
  response.setHeader("Set-Cookie", `headrace_session=${id}; HttpOnly; SameSite=Strict; Path=/`);
  return me(user);
};
const fleet = fleetRoutes({ fail, session, note });
const account = accountRoutes({ fail, session, note, iso, enter, users });
const people = peopleRoutes({ fail, session, users, note, factorsOf: account.of });
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const guards = guardRoutes({ fail, session, note, points, writes, valueOf: (path) => points.get(path).row });
const computing = computingRoutes({ session, fail, iso, alarms, points, plan });
const notifying = notifyRoutes({ alarms, session, fail, iso, note, started, may: (user) => people.actionsOf(users.get(user).role) });
const streams = streamRoutes({ session, fail, iso });
const apps = appRoutes({ session, fail, iso, note });
const tell = (steps) => { for (const client of live.clients) client.send(JSON.stringify({ type: "alarms", transitions: steps, reload: false })); };
const routes = {
  ...fleet.routes,
  ...computing.routes,
  ...notifying.routes,
  ...streams.routes,
  ...apps.routes,
  ...alarmRoutes({ alarms, transitions, session, fail, iso, tell, proofs }),
  ...account.routes,
  ...guards.routes,
  ...people.routes,
  "GET /health": () => ({ status: "ok" }),
  "POST /session": (_, body, request, response) => {
    const user = users.get(body.user);
    if (!user || user.password !== body.password || user.disabled) fail(401, "sign-in", "the name or the password is wrong", "names and passwords are case-sensitive");
    return account.needed(body.user) ?? enter(body.user, response);
  },
  "GET /session": (_, __, request) => me(session(request)),
  "DELETE /session": (_, __, request) => { session(request); sessions.clear(); return undefined; },
  "POST /session/password": (_, body, request) => {
    const user = users.get(session(request));
    if (user.password !== body.old) fail(403, "forbidden", "the present password is wrong");
    if (body.new.length < 12) fail(422, "data", "a password has at least 12 characters", "a short sentence is easy to keep");
    Object.assign(user, { password: body.new, must: false });
    return undefined;
  },
  "GET /assets": () => assets.map(({ n: _n, connection: _connection, ...asset }) => ({ ...asset, points: below(asset.path).length, alarms: counts(asset.path), worst_quality: below(asset.path).length ? severity(below(asset.path).map((p) => qualityAt(p, Date.now()))) : null })),
  "GET /points": (query) => {
    const words = (query.get("q") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    const all = below(query.get("asset") ?? "").map((p) => p.answer).filter((p) => words.every((w) => `${p.path} ${p.title.en} ${p.title.zh}`.toLowerCase().includes(w)));
    return { points: all.slice(0, Number(query.get("limit") ?? 500)), next_cursor: null, total: all.length };
  },
  "GET /history/downsample": (query) => downsample(query),
  "POST /writes": async (_, body, request) => {
    const actor = session(request);
    const point = points.get(body.path) ?? fail(404, "not-found", `there is no point '${body.path}'`);
    const command = { id: crypto.randomUUID(), path: body.path, value: body.value, actor, reason: body.reason, state: "requested", ...guards.blank, requested_at: iso(Date.now()), expires_at: iso(Date.now() + 10_000) };
    writes.unshift(command);
    if (guards.before(command)) return command;
    await sleep(350);
    command.state = "authorised";
    await sleep(350);
    command.state = "sent";
    await sleep(350);
    if (body.reason.includes("refuse")) Object.assign(command, { state: "refused", detail: "the press is in automatic: stop the cycle before its pressure is changed" });
    else { point.row.value = body.value; Object.assign(command, { state: "confirmed", read_back: body.value }); }
    command.finished_at = iso(Date.now());
    note(actor, `command.${command.state}`, body.path, command.state, { value: body.value, reason: body.reason });
    return command;
  },
  "GET /writes": (query) => writes.filter((one) => (!query.get("path") || one.path === query.get("path")) && (!query.get("state") || one.state === query.get("state"))).slice(0, Number(query.get("limit") ?? 100)),
  "GET /connections": () => connections(),
  "GET /outlets": () => outlets(),
  "GET /declarations": () => ({ revision, files }),
  "POST /declarations/plan": (_, body) => plan(body),
  "POST /declarations/apply": (_, body) => { const done = plan(body); if (done.errors.length) fail(422, "config", "the declarations are wrong"); files = body.files; revision += 1; return { ...done, revision }; },
  "GET /system": () => ({
    version: "0.1.0", started_at: iso(started), uptime_s: (Date.now() - started) / 1000, revision, process: { rss_mb: 142.3, cpu_percent: 6.4, threads: 14 },
    queues: Object.fromEntries([["history", 262_144, 118, 2_140], ["live", 262_144, 0, 1_204], ["alarms", 65_536, 0, 611], ["feed", 65_536, 12, 800]].map(([name, capacity, depth, depth_max]) => [name, { capacity, depth, depth_max, published: 1_204_331, delivered: 1_204_213, dropped: 0 }])),
    history: { points: points.size, samples: 182_204_331, appended: 1_204_331, disk_bytes: 364_120_000, memory_bytes: 18_200_000, segments: 214, oldest_at: iso(started - 31e9), newest_at: iso(Date.now()), disk: { state: "enough", free_bytes: 412_000_000_000, needed_bytes: 300_000_000, full_in_s: null }, extra: {} },
    samples_per_s: 604 + Math.round(Math.random() * 8), feed: { clients: live.clients.size, frames: 20_411, coalesced: 3, slow_closed: 0 },
  }),
  "GET /audit": (query) => ({ entries: audit.filter((one) => (!query.get("actor") || one.actor === query.get("actor")) && one.action.startsWith(query.get("action") ?? "")), next_cursor: null }),
  "GET /audit/state": () => ({ head: { sequence: audit.length, hash: "9f86d081884c7d65".repeat(4) }, checkpoint: { sequence: 1, hash: "60303ae22b998861".repeat(4) }, checkpoint_at: iso(Date.now() - 240e3), key: "ab".repeat(32), archived_until: 0, keep_days: 365, failing_since: null, free_bytes: 412e9, used_percent: 41.2, warn_percent: 90, trouble: [], counters: { entries: audit.length, failures: 0, checkpoints: 1, archives: 0 } }),
  "GET /audit/verify": () => ({ whole: true, problem: null, head: { sequence: audit.length, hash: "9f86d081884c7d65".repeat(4) }, entries: audit.length, archived: 0, checkpoints: 1, checkpoint: { sequence: 1, hash: "60303ae22b998861".repeat(4) }, checkpoint_at: iso(Date.now() - 240e3) }),
};

async function answer(request, response, url) {
  const path = url.pathname.slice("/api/v1".length);
  const key = `${request.method} ${path}`;
  let text = "";
  for await (const chunk of request) text += chunk;
  const body = text && request.headers["content-type"] !== "application/octet-stream" ? JSON.parse(text) : text || {};
  if (request.method !== "GET" && request.headers["x-headrace"] !== "1") fail(403, "forbidden", "send the header 'X-Headrace: 1' with a request that changes something");
  if (!["POST /session", "GET /health", "GET /session/providers", "GET /session/notice", "POST /session/second-factor"].includes(key)) {
    const user = session(request);
    if (users.get(user).must && !path.startsWith("/session")) fail(403, "change-password", "choose your own password first");
    admit(request.method, url.pathname, people.actionsOf(users.get(user).role), fail);
  }
  if (routes[key]) return routes[key](url.searchParams, body, request, response);
  const parts = path.split("/").map(decodeURIComponent);
  if (key.startsWith("GET /points/")) return (points.get(decodeURIComponent(path.slice(8))) ?? fail(404, "not-found", `there is no point '${path}'`)).answer;
  if (parts[3] === "trust" && request.method === "GET") return { fingerprint: "3F:0A:91:C4:5E:77:B2:08:6D:F1:2A:90:44:E8:1C:3B:D5:60:7F:AE:19:82:C3:F4:0B:6A:95:D1:28:EC:73:C2" };
  if (parts[3] === "trust") { trusted = true; return undefined; }
  if (parts[3] === "browse") return { truncated: false, nodes: url.searchParams.has("parent") ? [...points.values()].filter((p) => p.answer.asset.endsWith("station-1")).map((p) => ({ name: p.answer.name, address: p.answer.address, kind: p.answer.kind, has_children: false, writable: false, unit: p.answer.unit, description: "" })) : [{ name: "Station1", address: { node: "ns=2;s=Station1" }, kind: null, has_children: true, writable: false, unit: null, description: "" }] };
  if (key.startsWith("GET /alarms/rules/")) return ruleOf(parts.slice(3).join("/"));
  let found; // null says that it is done and there is nothing to tell
  for (const room of [fleet, guards, people, computing, streams, apps]) found = found === undefined ? room.byName(request.method, parts, body, request, url, response) : found;
  if (found !== undefined) return found ?? undefined;
  return fail(404, "not-found", `there is no '${path}'`);
}

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2" };
function file(response, path) {
  let full = join(ROOT, normalize(path));
  if (!full.startsWith(ROOT) || !existsSync(full) || statSync(full).isDirectory()) full = join(ROOT, "index.html");
  response.setHeader("Content-Type", TYPES[extname(full)] ?? "application/octet-stream");
  createReadStream(full).on("error", () => response.writeHead(404).end()).pipe(response);
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://mock");
  if (url.pathname === "/mock/drop-feed") { for (const client of live.clients) client.terminate(); feedDown = url.searchParams.get("for") === "ever"; return response.end(); }
  if (url.pathname === "/mock/stale") { proofs.old = true; return response.end(); }
  if (url.pathname === "/mock/scene") { scenes(alarms, Date.now())[url.searchParams.get("name")](); tell([]); return response.end(); }
  if (url.pathname === "/mock/untold") { notifying.state.untold = true; files = files.filter((one) => one.text !== NOTIFY_YAML); return response.end(); }
  if (url.pathname === "/mock/receive") { receive(); return response.end(); }
  if (url.pathname === "/mock/apps") { Object.assign(apps.state, Object.fromEntries(url.searchParams)); return response.end(); }
  if (url.pathname === "/mock/facts") return response.end(JSON.stringify([...apps.facts.values()]));
  if (url.pathname === "/mock/feed-back") { feedDown = false; return response.end(); }
  if (!url.pathname.startsWith("/api/")) return file(response, url.pathname);
  try {
    const data = await answer(request, response, url);
    if (data === undefined) return response.writeHead(204).end();
    if (data?.raw !== undefined) return response.writeHead(200, data.headers).end(data.raw);
    response.setHeader("Content-Type", "application/json");
    return response.end(JSON.stringify(data));
  } catch (error) {
    if (!(error instanceof Refusal)) console.error(error);
    response.writeHead(error.status ?? 500, { "Content-Type": "application/json" });
    return response.end(JSON.stringify({ error: { code: error.code ?? "internal", message: error.message, hint: error.hint, errors: error.errors } }));
  }
});

let feedDown = false;
const live = new WebSocketServer({ noServer: true });
server.on("upgrade", (request, socket, head) => {
  if (feedDown) return socket.destroy();
  try { session(request); } catch { return socket.end("HTTP/1.1 403 Forbidden\r\n\r\n"); }
  return live.handleUpgrade(request, socket, head, (client) => {
    let watched = [];
    const send = () => {
      const now = Date.now();
      if (watched.length > 0) client.send(JSON.stringify({ type: "changes", time_ms: now, i: watched.map((_, i) => i), v: watched.map((p) => valueAt(p, now)), t: watched.map(() => now), q: watched.map((p) => qualityAt(p, now)) }));
    };
    client.on("message", (text) => {
      const { subscribe } = JSON.parse(text);
      watched = subscribe.map((path) => points.get(path)).filter(Boolean);
      client.send(JSON.stringify({ type: "points", paths: watched.map((p) => p.answer.path), unknown: subscribe.filter((path) => !points.has(path)) }));
      send();
    });
    const timer = setInterval(send, 500);
    client.on("close", () => clearInterval(timer));
  });
});
server.listen(Number(argument("--port", "8081")), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
