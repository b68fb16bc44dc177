// People, tokens, roles, firms and what partners share, for the stand-in platform. Nothing is received until /mock/receive.
import { assets, points } from "./plant.mjs";

const iso = (ms) => new Date(ms).toISOString();
const started = Date.now();
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const LINE_1 = "acme/suzhou/press-shop/line-1";

export const ACTIONS = {
  member: [], viewer: ["view"], operator: ["acknowledge", "view", "write"], maintainer: ["acknowledge", "maintain", "view"],
  engineer: ["acknowledge", "configure", "ingest", "maintain", "view", "write"], manager: ["acknowledge", "approve", "lock", "share", "view"],
  "security-officer": ["lock", "secure", "view"], auditor: ["audit", "view"], administrator: ["administer", "operate", "view"],
  owner: ["acknowledge", "administer", "approve", "audit", "configure", "ingest", "lock", "maintain", "operate", "secure", "share", "view", "write"], source: ["ingest"],
};
const own = new Map([["energy-reader", { title: "Energy reader", actions: ["acknowledge", "view"] }]]);

const grant = (id, extra) => ({ id, owner: "default", partner: "ningbo-plast", asset: "acme/suzhou/moulding-shop", points: [], start: null, end: null, expires_at: null, purpose: "", created_by: "lee", created_at: iso(started - 30 * DAY), ended_at: null, ended_by: "", ...extra });
const given = [
  grant("g-1", { points: ["*/melt.*", "*/coolant.flow"], purpose: "Care of the injection moulders under the service contract", expires_at: iso(started + 200 * DAY) }),
  grant("g-2", { partner: "taihu", asset: `${LINE_1}/press-3`, start: iso(started - 90 * DAY), purpose: "Warranty case 2231: oil temperature" }),
  grant("g-3", { partner: "taihu", asset: LINE_1, purpose: "Commissioning", ended_at: iso(started - 9 * DAY), ended_by: "anna" }),
];
const received = [];
const POLICY = { notice: "", separate_duties: false, second_factor: "off", session_idle_s: null, session_life_s: null, sessions_max: null };
const PLATFORM = { ...POLICY, session_idle_s: 43_200, session_life_s: 604_800, sessions_max: 50 };
const BOUNDS = { session_idle_s: { least: 60, most: 86_400 }, session_life_s: { least: 300, most: 2_592_000 }, sessions_max: { least: 1, most: 50 } };
const WEIGHTY = new Set(["administer", "secure", "audit", "operate", "approve"]);
const tenant = (name, title, roots, extra = {}) => ({ name, title, roots, disabled: false, created_at: iso(started - 60 * DAY), policy: { ...POLICY, separate_duties: true }, ...extra });
const tenants = new Map([
  ["default", tenant("default", "Acme Components", [], { created_at: null, policy: { ...POLICY } })],
  ["ningbo-plast", tenant("ningbo-plast", "Ningbo Plast", ["ningbo"])],
  ["taihu", tenant("taihu", "Taihu Heavy Press", ["taihu"])],
  ["kunlun-air", tenant("kunlun-air", "Kunlun Air", ["kunlun"], { disabled: true, policy: { separate_duties: false } })],
]);

/** A maker shows us one of its own test stands. */
export function receive() {
  if (received.length > 0) return;
  received.push(grant("r-1", { owner: "taihu", partner: "default", asset: "taihu/test-hall/stand-1", purpose: "Acceptance of press 5 before delivery", created_by: "zhou.min" }));
  const node = (path, level, en, zh) => ({ path, level, title: { en, zh }, type: null, attributes: {}, parent: path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : null });
  assets.push(node("taihu", "enterprise", "Taihu Heavy Press", "太湖重压"), node("taihu/test-hall", "area", "Test hall", "试验车间"), node("taihu/test-hall/stand-1", "equipment", "Stand 1", "1号试验台"));
  const [like] = points.values();
  points.set("taihu/test-hall/stand-1/oil.temperature", { ...like, answer: { ...like.answer, path: "taihu/test-hall/stand-1/oil.temperature", asset: "taihu/test-hall/stand-1", connection: "", address: null, alarms: [] } });
}

export function peopleRoutes({ fail, session, users, note, factorsOf }) {
  const tokens = [
    { id: "t-1", name: "mes-bridge", role: "engineer", paths: [LINE_1], actions: ["view", "ingest"], created_by: "lee", created_at: iso(started - 20 * DAY), expires_at: iso(started + 70 * DAY), last_used_at: iso(started - 42_000) },
    { id: "t-2", name: "old-report", role: "viewer", paths: [], actions: [], created_by: "admin", created_at: iso(started - 400 * DAY), expires_at: iso(started - 35 * DAY), last_used_at: null },
  ];
  const actionsOf = (role) => ACTIONS[role] ?? own.get(role)?.actions ?? [];
  const person = (name) => {
    const user = users.get(name) ?? fail(404, "not-found", `there is no user '${name}'`);
    return { name, role: user.role, parts: (user.parts ?? []).map((one) => ({ expires_at: null, ...one })), disabled: user.disabled ?? false, must_change_password: user.must, created_at: iso(started) };
  };
  const open = new Map(Object.entries(SESSIONS).map(([name, found]) => [name, [...found]]));
  const locked = new Map([["ma.lin", started + 11 * 60_000]]);
  const guarded = (name) => {
    const { role, disabled = false, must } = users.get(name);
    const [factors, sessions] = [factorsOf(name), open.get(name) ?? []];
    const blocked = factors.passkeys.filter((key) => key.blocked).length;
    const second = factors.totp_since !== null || factors.passkeys.length > blocked;
    const relied = actionsOf(role).some((action) => WEIGHTY.has(action));
    const { second_factor: asked } = tenants.get("default").policy;
    const first = (field) => sessions.map((one) => one[field]).sort()[0] ?? null;
    return {
      name, role, disabled, must_change_password: must, password: true, totp_since: factors.totp_since, passkeys: factors.passkeys.length - blocked, passkeys_blocked: blocked,
      recovery_codes_left: factors.recovery_codes_left, providers: factors.identities.map((one) => one.provider), second_factor: second, needed: asked === "everyone" || (asked === "administrators" && relied), relied_on: relied,
      locked_until: locked.has(name) ? iso(locked.get(name)) : null, sessions: sessions.length, first_session_at: first("created_at"), longest_idle_at: first("last_used_at"),
    };
  };
  const check = (role) => { if (!(role in ACTIONS) && !own.has(role)) fail(422, "data", `'${role}' is no role`); };
  const routes = {
    "GET /users": () => [...users.keys()].map(person),
    "POST /users": (_, body) => {
      if (users.has(body.name)) fail(409, "conflict", `there is a user '${body.name}' already`);
      check(body.role);
      users.set(body.name, { password: "x7Kq-93fm-Trew", role: body.role, parts: body.parts ?? [], must: true });
      return { user: person(body.name), one_time_password: "x7Kq-93fm-Trew" };
    },
    "GET /tokens": () => tokens,
    "POST /tokens": (_, body, request) => {
      const token = { id: crypto.randomUUID(), name: body.name, role: body.role, paths: body.paths ?? [], actions: body.actions ?? [], created_by: session(request), created_at: iso(Date.now()), expires_at: body.expires_at ?? null, last_used_at: null };
      tokens.push(token);
      return { token, secret: "hr_5Zt0aXk2mP9vRc1LdY8sQeUh" };
    },
    "GET /roles": () => [...Object.entries(ACTIONS).map(([name, actions]) => ({ name, title: name, actions, built_in: true })), ...[...own].map(([name, role]) => ({ name, ...role, built_in: false }))],
    "GET /tenant": () => tenants.get("default"),
    "GET /tenant/policy": () => ({ policy: tenants.get("default").policy, platform: PLATFORM, bounds: BOUNDS }),
    "GET /user-safeguards": () => [...users.keys()].map(guarded),
    "PATCH /tenant/policy": (_, body) => {
      const two = [...users].find(([, user]) => user.role === "owner" && !user.disabled);
      for (const [name, { least, most }] of Object.entries(BOUNDS)) if (body[name] != null && !(body[name] >= least && body[name] <= most)) fail(422, "invalid-data", `'${name}' is between ${least} and ${most}`);
      if (body.separate_duties && two) fail(409, "conflict", `'${two[0]}' would be administrator and security officer in one; here these duties are separate: give one of them to somebody else`);
      Object.assign(tenants.get("default").policy, body);
      return tenants.get("default");
    },
    "GET /tenants": () => [...tenants.values()],
    "POST /tenants": (_, body) => {
      if (tenants.has(body.name)) fail(409, "conflict", `there is a tenant '${body.name}' already`);
      tenants.set(body.name, tenant(body.name, body.title, body.roots, { created_at: iso(Date.now()), policy: { separate_duties: body.separate_duties } }));
      const first = body.separate_duties ? ["admin", "security", "audit"] : ["owner"];
      return { tenant: tenants.get(body.name), one_time_passwords: Object.fromEntries(first.map((one, n) => [`${body.name}.${one}`, `x7Kq-93fm-Tre${n}`])) };
    },
    "GET /partners": () => [...tenants.values()].filter((one) => one.name !== "default" && !one.disabled).map(({ name, title }) => ({ name, title })),
    "GET /grants": () => ({ given, received, titles: Object.fromEntries([...tenants.values()].map((one) => [one.name, one.title])) }),
    "POST /grants": (_, body, request) => { const made = grant(crypto.randomUUID(), { ...body, created_by: session(request), created_at: iso(Date.now()) }); given.unshift(made); note(session(request), "grant.create", made.id, "done"); return made; },
  };
  /** Routes with a name in them; `null` answers with nothing. */
  const byName = (method, [, room, name, act, id], body, request) => {
    if (room === "users" && name !== undefined) {
      const user = users.get(name) ?? fail(404, "not-found", `there is no user '${name}'`);
      if (act === "sessions" && method === "GET") return open.get(name) ?? [];
      if (act === "sessions") { const kept = id === undefined ? [] : (open.get(name) ?? []).filter((one) => one.id !== id); open.set(name, kept); return id === undefined ? { ended: 1 } : null; }
      if (act === "lockout") { locked.delete(name); return null; }
      if (act === "factors") { Object.assign(factorsOf(name), { totp_since: null, passkeys: [], recovery_codes_left: 0 }); open.set(name, []); return null; }
      if (act === "password") { Object.assign(user, { password: "r3Set-Once-Only", must: true }); return { one_time_password: "r3Set-Once-Only" }; }
      if (method === "DELETE") { users.delete(name); return null; }
      if (body.role !== undefined) check(body.role);
      if ((body.parts ?? []).some((one) => one.expires_at && Date.parse(one.expires_at) <= Date.now())) fail(422, "data", "the role would have ended already");
      Object.assign(user, body);
      return person(name);
    }
    if (room === "tokens" && method === "DELETE") { tokens.splice(tokens.findIndex((one) => one.id === name), 1); return null; }
    if (room === "roles" && method === "PUT") {
      if (!/^[a-z][a-z0-9-]{1,63}$/.test(name) || name in ACTIONS) fail(422, "data", `'${name}' is no name for a role of your own: a-z, 0-9 and -, and not a built-in one`);
      own.set(name, { title: body.title || name, actions: body.actions });
      return { name, ...own.get(name), built_in: false };
    }
    if (room === "roles" && method === "DELETE") {
      const holder = [...users].find(([, user]) => user.role === name || (user.parts ?? []).some((one) => one.role === name));
      if (holder) fail(409, "conflict", `'${holder[0]}' has the role '${name}'; take it away first`);
      own.delete(name);
      return null;
    }
    if (room === "tenants" && method === "PATCH") return Object.assign(tenants.get(name), body);
    if (room === "grants" && act === "end") return Object.assign(given.find((one) => one.id === name), { ended_at: iso(Date.now()), ended_by: session(request) });
    return undefined;
  };
  return { routes, byName, actionsOf };
}

const one = (id, hours, minutes, peer, agent, proved) => ({ id, created_at: iso(started - hours * HOUR), last_used_at: iso(started - minutes * 60_000), peer, agent, proved, this: false });
const SESSIONS = {
  anna: [one("s-1", 5, 2, "10.0.4.17", "Mozilla/5.0 (Linux; Android 16) Chrome/150 Mobile", "password"), one("s-2", 31, 400, "10.0.4.3", "Mozilla/5.0 (X11; Linux x86_64) Chrome/150", "password")],
  "li.na": [one("s-3", 1, 0, "10.0.9.20", "Mozilla/5.0 (Windows NT 10.0; Win64) Edg/150", "password+totp")],
  lee: [{ ...one("s-4", 0, 0, "127.0.0.1", "Mozilla/5.0 (X11; Linux x86_64) Chrome", "password"), this: true }],
};
/** Who has what beside a password; one key seems to have been copied. */
export const FACTORS = {
  "li.na": { totp_since: iso(started - 40 * DAY), recovery_codes_left: 7, passkeys: [{ id: "k-1", name: "old phone", host: "works", created_at: iso(started - 90 * DAY), last_used_at: null, backed_up: false, blocked: true }] },
  "sun.jie": { identities: [{ provider: "works", email: "sun.jie@works.example", created_at: iso(started - 20 * DAY) }], recovery_codes_left: 10, passkeys: ["k-2", "k-3"].map((id) => ({ id, name: id, host: "works", created_at: iso(started - 20 * DAY), last_used_at: iso(started - HOUR), backed_up: false, blocked: false })) },
};

/** Who has parts of the plant: one lent until the evening, one that has ended; an administrator, an officer, and one who is locked out. */
export const PEOPLE = [
  ["li.na", { password: "li.na-li.na-li.na-li.na", role: "administrator", must: false }],
  ["sun.jie", { password: "sun.jie-sun.jie-sun.jie-sun.jie", role: "security-officer", must: false }],
  ["ma.lin", { password: "ma.lin-ma.lin-ma.lin-ma.lin", role: "manager", must: false }],
  ["chen.hua", { password: "chen.hua-chen.hua", role: "member", must: false, parts: [{ role: "operator", path: LINE_1, expires_at: iso(started + 6 * HOUR) }, { role: "viewer", path: "acme/suzhou/utilities" }, { role: "maintainer", path: "acme/suzhou/assembly", expires_at: iso(started - DAY) }] }],
  ["qian.li", { password: "qian.li-qian.li", role: "energy-reader", must: false, disabled: true }],
];
