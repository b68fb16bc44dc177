// Devices and edges of the stand-in platform: ten thousand devices, of which a few wait; three edges in three states.

const iso = (ms) => new Date(ms).toISOString();
const started = Date.now();
const MINUTE = 60_000;

const device = (name, extra = {}) => ({
  name, login: name, state: "approved", credential: "secret", certificate: null, rotating: false, publish: ["devices/{device}/#"], subscribe: ["devices/{device}/#"],
  messages_per_s: null, asset: "", note: "", gateway: "shop-gateway", peer: "192.0.2.40", online: true, created_by: "lee", created_at: iso(started - 90 * 86_400_000),
  first_seen_at: iso(started - 80 * 86_400_000), last_seen_at: iso(started - 2_000), messages: 120_400, refused: 0, ...extra,
});

export const devices = new Map();
for (let n = 0; n < 10_000; n += 1) {
  const name = `meter-${String(n).padStart(5, "0")}`;
  devices.set(name, device(name, { asset: `acme/suzhou/utilities/${name}`, note: n % 7 === 0 ? "Hall 2" : "", messages: 400 + n, online: n % 50 !== 3, last_seen_at: iso(started - (n % 50 === 3 ? 3 * 3_600_000 : 1_000)), refused: n === 12 ? 340 : 0 }));
}
devices.set("agv-1", device("agv-1", { state: "blocked", online: false, note: "sold" }));
devices.set("esp-3fa2", device("esp-3fa2", { state: "quarantined", created_by: "gateway:shop-gateway", created_at: iso(started - 4 * MINUTE), first_seen_at: iso(started - 4 * MINUTE), messages: 48, peer: "192.0.2.77" }));
devices.set("old-plc-7", device("old-plc-7", { state: "quarantined", credential: "certificate", certificate: "3f0a91c45e77b2086df12a9044e81c3bd5607fae1982c3f40b6a95d128ec73c2", online: false, created_by: "gateway:shop-gateway", last_seen_at: iso(started - 50 * MINUTE), messages: 3, peer: "192.0.2.78" }));
const previews = [
  { topic: "meters/esp-3fa2/energy", payload: "{\"kWh\": 1532.25, \"time\": \"2026-11-25T08:00:00Z\"}", form: "text", bytes: 51, received_at: iso(started - 3_000) },
  { topic: "meters/esp-3fa2/power", payload: "{\"kW\": 12.4}", form: "text", bytes: 12, received_at: iso(started - 1_000) },
  { topic: "meters/esp-3fa2/raw", payload: "0a ff 12 00 7c", form: "hex", bytes: 5, received_at: iso(started - 9_000) },
];
const refusals = [
  { login: "meter-09991", gateway: "shop-gateway", peer: "192.0.2.91", reason: "wrong credential", count: 212, first_at: iso(started - 40 * MINUTE), last_at: iso(started - 4_000) },
  { login: "mosq-temp", gateway: "shop-gateway", peer: "192.0.2.15", reason: "unknown", count: 3, first_at: iso(started - 9 * MINUTE), last_at: iso(started - 8 * MINUTE) },
];

const link = (extra) => ({ latency_ms: 12.4, jitter_ms: 1.8, loss: 0.0004, received_bytes_per_s: 18_400, samples_per_s: 620, backlog_samples: 0, backlog_bytes: 0, backlog_s: 0, late_ms: 180, spool_used: 0.01, dropped_samples: 0, ...extra });
const edge = (name, prefix, extra = {}) => ({
  name, prefix, state: "enrolled", asset: `system/edges/${name}`, connected: true, created_by: "lee", created_at: iso(started - 40 * 86_400_000), enrolled_at: iso(started - 40 * 86_400_000), certificate: "ab".repeat(32),
  certificate_ends_at: iso(started + 300 * 86_400_000), token_ends_at: null, last_contact_at: iso(started - 500), desired: 14, points: 640, left_out: [],
  actual: { revision: 14, error: "", version: "0.1.0", facts: { cpu: 4, memory_mb: 2_048, devices: { known: 40, online: 38, turned_away: 2, refused_messages: 0 } } }, link: link({}), ...extra,
});
export const edges = new Map([
  ["suzhou", edge("suzhou", "acme/suzhou")],
  ["wuxi", edge("wuxi", "acme/wuxi", { desired: 15, left_out: ["acme/suzhou/utilities/far"], actual: { revision: 14, error: "there is no driver 'profinet'", version: "0.1.0", facts: {} }, link: link({ latency_ms: 480, jitter_ms: 120, loss: 0.031, backlog_samples: 81_204, backlog_bytes: 402_000, backlog_s: 312, late_ms: 4_200, spool_used: 0.86 }) })],
  ["kunshan", edge("kunshan", "acme/kunshan", { connected: false, link: null, last_contact_at: iso(started - 26 * MINUTE) })],
]);

export const types = [
  { name: "energy-meter", version: 1, title: { en: "Energy meter", zh: "电能表" }, points: 6, parameters: { device: "none", base: 0, three_phase: true } },
  { name: "hydraulic-press", version: 1, title: { en: "Hydraulic press", zh: "液压机" }, points: 19, parameters: {} },
];

/** Synthetic history of an edge's link, so that its sparkline shows a day with a bad quarter of an hour. */
export function linkSeries(path, start, width, count, noise) {
  const columns = { min: [], max: [], mean: [], count: [], "good-count": [] };
  const gone = path.includes("kunshan");
  for (let i = 0; i < count; i += 1) {
    const at = start + i * width;
    const known = at < Date.now() - (gone ? 26 * MINUTE : 0);
    const mean = 12 + 4 * Math.sin(at / 400_000) + 2 * noise(Math.floor(at / width)) + (path.includes("wuxi") && at > Date.now() - 15 * MINUTE ? 400 : 0);
    columns.mean.push(known ? mean : null);
    columns.min.push(known ? mean - 2 : null);
    columns.max.push(known ? mean + 6 : null);
    columns.count.push(known ? 60 : 0);
    columns["good-count"].push(known ? 60 : 0);
  }
  return { path, unit: "ms", columns };
}

export function fleetRoutes({ fail, session, note }) {
  const of = (name) => devices.get(name) ?? fail(404, "not-found", `there is no device '${name}'`);
  const edgeOf = (name) => edges.get(name) ?? fail(404, "not-found", `there is no edge '${name}'`);
  const counts = () => {
    const sum = { quarantined: 0, approved: 0, blocked: 0, online: 0 };
    for (const one of devices.values()) { sum[one.state] += 1; sum.online += one.online; }
    return sum;
  };
  const rename = (one, name) => { devices.delete(one.name); one.name = name; devices.set(name, one); };
  const routes = {
    "GET /types": () => types,
    "GET /devices": (query) => {
      const words = (query.get("q") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
      const all = [...devices.values()].filter((d) => (!query.get("state") || d.state === query.get("state")) && words.every((w) => `${d.name} ${d.login} ${d.asset} ${d.note} ${d.gateway} ${d.peer}`.toLowerCase().includes(w))).toSorted((a, b) => (a.name < b.name ? -1 : 1));
      const from = query.get("cursor") ? all.findIndex((d) => d.name > query.get("cursor")) : 0;
      const page = all.slice(from, from + Number(query.get("limit") ?? 200));
      return { devices: page, total: all.length, counts: counts(), next_cursor: from + page.length < all.length ? page.at(-1).name : null };
    },
    "GET /device-refusals": () => refusals,
    "POST /devices": (_, body, request) => {
      if (devices.has(body.name)) fail(409, "conflict", `'${body.name}' is in use: there is a device '${body.name}' that shows '${body.name}'`);
      const { secret: _secret, ...rest } = body;
      devices.set(body.name, device(body.name, { ...rest, created_by: session(request), online: false, messages: 0, first_seen_at: null, last_seen_at: null, gateway: "", peer: "", credential: body.certificate ? "certificate" : "secret" }));
      return { device: devices.get(body.name), secret: body.certificate ? null : "hrd_7Hq2xW9vTz4LmN8pKc3RdY5s" };
    },
    "POST /devices/import": (_, body) => {
      const lines = body.split("\n").slice(1).filter(Boolean);
      const good = lines.filter((line) => !line.startsWith("bad"));
      for (const line of good) { const [name] = line.split(","); devices.set(name, device(name, { online: false, last_seen_at: null, first_seen_at: null, messages: 0 })); }
      const errors = lines.flatMap((line, index) => (line.startsWith("bad") ? [{ row: index + 2, message: `'${line.split(",")[0]}' is no name of a device` }] : []));
      return { devices: good.length, assets: 0, secrets: good.map((line) => ({ name: line.split(",")[0], secret: "hrd_7Hq2xW9vTz4LmN8pKc3RdY5s" })), errors };
    },
    "GET /edges": () => ({ edges: [...edges.values()].map((one) => (one.connected ? { ...one, last_contact_at: iso(Date.now() - 400) } : one)), strangers: { "remote-plc": "changzhou" } }),
    "POST /edges": (_, body, request) => {
      const old = edges.get(body.name);
      edges.set(body.name, { ...(old ?? edge(body.name, body.prefix, { state: "invited", connected: false, link: null, actual: null, desired: null, points: 0, enrolled_at: null, last_contact_at: null, certificate: "", certificate_ends_at: null, created_by: session(request) })), token_ends_at: iso(Date.now() + body.valid_s * 1_000) });
      return { edge: edges.get(body.name), token: "hre_3q2-7wAB5Zt0aXk2mP9vRc1LdY8sQeUh" };
    },
  };
  const certificates = new Map([["meter-00013", [{ device: "meter-00013", sha256: "ab".repeat(32), serial: "1e", state: "in use", own: true, issued_at: iso(Date.now() - 345 * 86_400_000), ends_at: iso(Date.now() + 20 * 86_400_000), used_at: iso(Date.now() - 344 * 86_400_000), revoked_at: null, reason: "" }]]]);
  /** Routes with a name in them: `/devices/<name>/<act>`, `/edges/<name>/<act>`. */
  const byName = (method, [, room, name, act, deeper], body, request) => {
    if (room === "devices" && name !== undefined) {
      const one = of(name);
      const held = certificates.get(name) ?? [];
      if (act === "certificates") return held;
      if (act === "certificate" && deeper === "revoke") {
        for (const each of held) if (each.state !== "revoked") Object.assign(each, { state: "revoked", revoked_at: iso(Date.now()), reason: body.reason });
        return held;
      }
      if (act === "certificate") {
        if (!body.request.includes("CERTIFICATE REQUEST")) fail(422, "invalid-data", "this is no certificate request (PKCS #10, PEM)");
        const made = { device: name, sha256: `${held.length}c`.repeat(32), serial: "1f", state: "waiting", own: true, issued_at: iso(Date.now()), ends_at: iso(Date.now() + 365 * 86_400_000), used_at: null, revoked_at: null, reason: "" };
        certificates.set(name, [made, ...held]);
        return { device: name, certificate: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", authority: "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n", sha256: made.sha256, ends_at: made.ends_at };
      }
      if (method === "GET") return { device: one, previews: one.login === "esp-3fa2" && one.state === "quarantined" ? previews : [], suggested_publish: one.login === "esp-3fa2" ? ["meters/{device}/energy", "meters/{device}/power", "meters/{device}/raw"] : [] };
      if (method === "DELETE") { devices.delete(name); return null; }
      if (act === "secret") { one.rotating = !body.at_once; return { secret: "hrd_new2xW9vTz4LmN8pKc3RdY5s" }; }
      if (act === "block") { Object.assign(one, { state: "blocked", online: false }); return one; }
      if (act === "approve" && body.declare?.type === "no-such") fail(422, "invalid-declaration", "there is no type 'no-such'");
      const { name: renamed, declare, ...rest } = body;
      Object.assign(one, rest, act === "approve" ? { state: "approved" } : {}, declare ? { asset: declare.path } : {});
      if (renamed && renamed !== name) rename(one, renamed);
      note(session(request), `device.${act ?? "change"}`, one.name, "done", declare ?? {});
      return one;
    }
    if (room === "edges" && name !== undefined) {
      const one = edgeOf(name);
      if (method === "DELETE") { if (name === "wuxi") fail(409, "conflict", "connection 'wuxi-plc' is declared to run on 'wuxi'; declare it elsewhere first"); edges.delete(name); return null; }
      if (act === "revoke") Object.assign(one, { state: "revoked", connected: false, link: null });
      return one;
    }
    return undefined;
  };
  return { routes, byName };
}
