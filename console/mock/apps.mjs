// Apps of the stand-in: one that runs with pages, one that asks for more, one that was halted, one that nobody took in.
import { readFileSync } from "node:fs";

const API = new URL("../../src/headrace/api/frames/", import.meta.url);
const TERMINAL = new URL("../../src/headrace/apps/operations/pages/terminal.js", import.meta.url);
const SHOP = "acme/suzhou/press-shop";
const PRESS = `${SHOP}/line-1/press-`;
const MINUTE = 60_000;
const t = (en, zh) => ({ en, zh });

const asks = (extra = {}) => ({ assets: [], read: [], write: [], events: [], publish: [], alarms: false, hosts: [], sign: false, documents_mb: 0, tables_mb: 0, ...extra });
const field = (name, kind, en, zh, extra = {}) => ({ name, kind, title: t(en, zh), help: {}, default: null, optional: false, many: false, unit: "", low: null, high: null, choices: {}, columns: [], ...extra });
const widget = (kind, en, zh, extra = {}) => ({ kind, title: t(en, zh), source: "", rows: "", value: "", label: "", unit: "", decimals: null, columns: [], points: [], span_s: 0, text: {}, method: null, path: "", button: {}, confirm: {}, fields: [], ...extra });
const column = (name, kind, en, zh, extra = {}) => ({ field: name, kind, title: t(en, zh), unit: "", decimals: null, ...extra });

const FORM = [
  field("zone", "zone", "Time zone of the shifts", "班次所用时区", { default: "Asia/Shanghai" }),
  field("grace", "duration", "A shift is closed so long after its end", "班次结束后多久结班", { default: "15m", low: 0, high: 86_400 }),
  field("target", "number", "Target of availability", "可用率目标", { default: 0.85, low: 0, high: 1, help: t("As a ratio", "以比值填写") }),
  field("lines", "integer", "Lines", "产线数", { unit: "1", optional: true }),
  field("weekly", "boolean", "Also a weekly report", "同时生成周报", { default: false }),
  field("language", "choice", "Language of reports", "报表语言", { default: "zh", choices: { en: t("English", "英文"), zh: t("Chinese", "中文") } }),
  field("machine", "asset", "Machine that sets the pace", "节拍设备", { optional: true }),
  field("counter", "point", "Counter of pieces", "产量计数点", { optional: true }),
  field("holidays", "text", "Days without shifts", "休息日", { optional: true, many: true }),
  field("shifts", "table", "Shifts", "班次", { default: [], columns: [field("name", "text", "Name", "名称"), field("start", "text", "From", "开始"), field("hours", "number", "Hours", "时长", { default: 8, low: 1, high: 24 })] }),
  field("key", "secret", "Licence key", "许可密钥", { optional: true }),
];
const DAY_PAGE = {
  refresh_s: 2,
  inputs: [{ name: "day", kind: "date", title: t("Day", "日期"), choices: [], default: "" }, { name: "shift", kind: "choice", title: t("Shift", "班次"), choices: ["early", "late"], default: "early" }],
  rows: [
    [widget("number", "Running", "运行时间", { source: "/hours", value: "total.hours", unit: "h", decimals: 1 }), widget("number", "Rejected", "不合格", { source: "/hours", value: "total.rejected" }), widget("number", "Not there", "不存在", { source: "/hours", value: "total.none" }), widget("text", "Note", "说明", { source: "/hours", value: "note" })],
    [widget("table", "Machines", "设备", { source: "/hours", rows: "machines", columns: [column("asset", "asset", "Machine", "设备"), column("hours", "number", "Hours", "小时", { unit: "h", decimals: 1 }), column("share", "percent", "Share", "占比"), column("stop", "duration", "Longest stop", "最长停机"), column("since", "time", "Since", "自")] }), widget("bar", "Hours by machine", "各设备小时数", { source: "/hours", rows: "machines", label: "asset", value: "hours", unit: "h", decimals: 1 })],
    [widget("trend", "Oil temperature", "油温", { points: [`${PRESS}3/oil.temperature`], span_s: 28_800 }), widget("table", "Orders", "工单", { source: "/orders", columns: [column("order", "text", "Order", "工单")] }), widget("table", "Broken", "出错", { source: "/broken", columns: [column("a", "text", "A", "甲")] })],
    [widget("form", "Target", "目标", { method: "POST", path: "/targets", button: t("Keep", "保存"), fields: [field("hours", "number", "Hours a day", "每日小时", { unit: "h", low: 0, high: 24 })] }), widget("button", "Close the day", "结束当日", { method: "POST", path: "/close", button: t("Close it", "结束"), confirm: t("Figures of the day are told then. Go on?", "将发布当日数据。继续吗？") })],
  ],
};
const REASONS = (zh) => [
  { group: "breakdown", title: zh ? "故障" : "Breakdown", reasons: [["mechanical", "Mechanical", "机械"], ["electrical", "Electrical", "电气"], ["hydraulic", "Hydraulic", "液压"]].map(([code, en, cn]) => ({ code, title: zh ? cn : en, element: "ADET" })) },
  { group: "setup", title: zh ? "换型" : "Setup", reasons: [["tool", "Tool change", "换模"], ["first-part", "First part", "首件"]].map(([code, en, cn]) => ({ code, title: zh ? cn : en, element: "AUST" })) },
  { group: "supply", title: zh ? "缺料" : "Supply", reasons: [["material", "No material", "无料"], ["operator", "No operator", "无人"]].map(([code, en, cn]) => ({ code, title: zh ? cn : en, element: "ADOT" })) },
];

export function appRoutes({ session, fail, iso, note }) {
  const began = Date.now();
  const version = (number, origin, signers, by = "lee") => ({ version: number, origin, sha256: "9f86d081884c7d65".repeat(4), signers, added_at: origin === "built-in" ? null : iso(began - 30 * 86_400_000), added_by: origin === "built-in" ? "" : by });
  const app = (name, en, zh, state, extra) => ({
    name, title: t(en, zh), summary: {}, publisher: "Acme Software", licence: "Apache-2.0", licence_text: "", origin: "package", state, offered: "1.0.0", version: "1.0.0", permissions: asks(), accepted: null, asks: [], trouble: "",
    memory_mb: 256, call_s: 30, pages: [], changed_by: "lee", changed_at: iso(began - 3_600_000), versions: [version("1.0.0", "package", ["Acme Software"])], ...extra,
  });
  const page = (name, kind, file, en, zh, action = "view") => ({ name, kind, file, title: t(en, zh), action });
  const energy = asks({ assets: [SHOP], read: ["**/power"], tables_mb: 100 });
  const apps = new Map([
    app("acme.energy", "Energy", "能源", "running", { summary: t("Consumption by machine and shift", "按设备和班次统计能耗"), offered: "2.0.0", permissions: { ...energy, write: ["**/setpoint.pressure"], hosts: ["tariff.example:443"], tables_mb: 200 }, accepted: energy, asks: ["writes **/setpoint.pressure", "calls tariff.example:443"], versions: [version("2.0.0", "package", ["Acme Software"]), version("1.0.0", "package", ["Acme Software"])] }),
    app("acme.hours", "Machine hours", "设备工时", "available", { summary: t("Hours of machines, day by day", "逐日统计设备工时"), version: "1.0.0", permissions: asks({ assets: ["**"], read: ["**/state"], publish: ["hours.*"], tables_mb: 50, sign: true }), changed_by: "", changed_at: null, licence_text: "Apache License\nVersion 2.0, January 2004" }),
    app("acme.vision", "Vision", "视觉检测", "halted", { trouble: "it ended 5 times in a row: MemoryError in app.py, line 41", accepted: asks(), versions: [version("1.0.0", "folder", [])], origin: "folder" }),
    app("operations", "Operations", "生产运营", "running", { summary: t("Orders, shifts, states and KPIs", "工单、班次、状态与指标"), publisher: "Headrace", origin: "built-in", permissions: asks({ assets: ["**"], read: ["**"], publish: ["operations.*"], documents_mb: 500, tables_mb: 2_000 }), accepted: asks({ assets: ["**"], read: ["**"], publish: ["operations.*"], documents_mb: 500, tables_mb: 2_000 }), memory_mb: 1_024, call_s: 60, pages: [page("day", "widgets", "pages/day.toml", "Day", "当日"), page("terminal", "module", "pages/terminal.js", "Terminal", "终端", "acknowledge")], versions: [version("1.0.0", "built-in", [])] }),
  ].map((one) => [one.name, one]));
  const owners = new Map([...apps.keys()].map((name) => [name, "default"]));
  const filled = new Map();
  const formOf = (name) => (name === "operations" || name === "acme.hours" ? FORM : []);
  const settingsOf = (name) => { const { key, ...values } = filled.get(name) ?? {}; return { form: formOf(name), values, secrets: key ? ["key"] : [] }; };
  const fill = (name, values) => {
    const errors = [];
    if (values.zone && !values.zone.includes("/") && values.zone !== "UTC") errors.push(`setting 'zone': there is no time zone '${values.zone}'`);
    (values.shifts ?? []).forEach((row, at) => { if (!/^\d\d:\d\d$/.test(row.start ?? "")) errors.push(`setting 'shifts', row ${at + 1}: setting 'start': '${row.start ?? ""}' is no time of day`); });
    if (errors.length) fail(422, "config", errors[0], undefined, errors.map((message) => ({ file: null, line: null, column: null, message })));
    const before = filled.get(name)?.key;
    filled.set(name, { ...values, ...(values.key === undefined && before ? { key: before } : {}) });
  };
  const runs = (one) => one.state === "running" || one.state === "starting" || one.state === "halted";
  const shelved = (one) => ({ name: one.name, title: one.title, owner: owners.get(one.name), offered: one.offered, versions: one.versions, tenants: runs(one) ? 3 : 0, trouble: "" });
  const own = (name) => apps.get(name) ?? fail(404, "not-found", `there is no app '${name}'`);
  const shown = (one, each) => ({ ...each, app: one.name, app_title: one.title, version: one.version, url: `/api/v1/apps/${one.name}/${each.file}`, frame: each.kind === "module" ? `/api/v1/apps/${one.name}/frames/${each.name}` : null });
  const stops = [[3, 4, 25, 0], [1, 48, 12, 12], [2, 90, 5, 5]].map(([n, ago, long, end], at) => ({ unit: `${PRESS}${n}`, start: iso(began - ago * MINUTE), end: end ? iso(began - (ago - long) * MINUTE) : null, state: at === 0 ? "FAULT" : "STOPPED", reason: null }));
  const facts = new Map();
  const state = { away: false, module: "", slow: 0, targets: [], closed: 0, refuse: "" };

  function call(method, path, query, body, request, response) {
    const user = session(request);
    const zh = (request.headers["accept-language"] ?? "").startsWith("zh");
    if (state.away) fail(503, "unavailable", "operations does not run; it is starting", "ask again in a moment");
    switch (`${method} ${path}`) {
      case "GET /hours": return { total: { hours: 41.25 + state.targets.length, rejected: null }, note: `Shift: ${query.get("shift") ?? "none"}`, machines: [1, 2, 3].map((n) => ({ asset: `${PRESS}${n}`, hours: 6.5 * n, share: 0.31 * n, stop: 754 * n, since: (began - n * 3_600_000) * 1e6 })) };
      case "GET /orders": return [];
      case "POST /targets": state.targets.push(body.hours); return { kept: true };
      case "POST /close": state.closed += 1; return { closed: state.closed };
      case "GET /echo": return { query: Object.fromEntries(query), user, language: zh ? "zh" : "en" };
      case "GET /report": return { raw: "not a page", headers: { "Content-Type": "application/pdf", "Content-Disposition": "attachment; filename*=UTF-8''shift.pdf" } };
      case "GET /reasons": return REASONS(zh);
      case "GET /units": return [1, 2, 3].map((n) => ({ unit: `${PRESS}${n}`, state: n === 3 ? "FAULT" : "PRODUCING" }));
      case "GET /stops": return stops.filter((one) => !query.get("pending") || one.reason === null);
      case "POST /reasons": {
        const key = `${body.client}\n${body.entered}`;
        if (state.refuse) fail(422, "data", state.refuse, "choose another reason");
        if (facts.has(key)) return { new: 0 };
        facts.set(key, { ...body, user });
        const stop = stops.find((one) => one.unit === body.unit && one.start === body.at);
        if (stop) stop.reason = body.reason;
        return { new: 1 };
      }
      case "POST /counts": facts.set(`${body.client}\n${body.entered}`, { ...body, user }); return { new: 1 };
      default: response.statusCode = 404; return fail(404, "not-found", `operations has no route ${method} ${path}`);
    }
  }

  const routes = {
    "GET /apps": () => [...apps.values()].map((one) => ({ ...one, licence_text: "" })),
    "GET /apps/shelf": () => [...apps.values()].map(shelved),
    "GET /apps/pages": (_, __, request) => { session(request); return [...apps.values()].filter(runs).flatMap((one) => one.pages.map((each) => shown(one, each))); },
    "POST /apps": (_, body, request) => {
      if (!String(body).startsWith("hrpkg")) fail(422, "data", "this is no package of an app that this platform trusts: nobody it knows has signed it", "headrace trust add-publisher FILE lets a publisher in");
      if (apps.has("acme.press")) fail(409, "conflict", "acme.press 1.0.0 is installed already", "update it");
      apps.set("acme.press", app("acme.press", "Press view", "压机视图", "available", { changed_by: "", changed_at: null }));
      owners.set("acme.press", "default");
      note(session(request), "app.install", "acme.press", "done");
      return shelved(apps.get("acme.press"));
    },
  };
  return {
    routes, state, facts,
    byName(method, parts, body, request, url, response) {
      if (parts[1] !== "apps") return undefined;
      const one = own(parts[2]);
      const key = `${method} ${parts[3] ?? ""}`;
      if (parts[3] === "call") return call(method, `/${parts.slice(4).join("/")}`, url.searchParams, body, request, response);
      switch (key) {
        case "GET ": return one;
        case "DELETE ": apps.delete(one.name); return null;
        case "POST enable":
          if (body.version !== one.offered) fail(409, "conflict", `${one.offered} is offered, not ${body.version}`);
          if (body.settings) fill(one.name, body.settings);
          return Object.assign(one, { state: "running", version: one.offered, accepted: one.permissions, asks: [], changed_by: session(request), changed_at: iso(Date.now()) });
        case "POST disable": if (body.data === "delete") filled.delete(one.name); return Object.assign(one, { state: "disabled", changed_by: session(request), changed_at: iso(Date.now()) });
        case "POST update": if (!String(body).startsWith("hrpkg")) fail(422, "data", "this is no package of an app that this platform trusts"); return shelved(Object.assign(one, { offered: "3.0.0", version: "3.0.0", versions: [version("3.0.0", "package", ["Acme Software"]), ...one.versions] }));
        case "POST rollback": return shelved(Object.assign(one, { offered: "1.0.0", version: "1.0.0", permissions: one.accepted ?? one.permissions, asks: [] }));
        case "GET settings": return settingsOf(one.name);
        case "PUT settings": fill(one.name, body.values); return settingsOf(one.name);
        case "GET health": return { calls: 4_812, failures: one.state === "halted" ? 5 : 1, restarts: one.state === "halted" ? 5 : 0, call_ms_mean: 3.42, cpu_s: one.state === "halted" ? null : 81.2, memory_bytes: one.state === "halted" ? null : 84_200_000, tables_bytes: 12_400_000, documents_bytes: 1_800_000, started_at: one.state === "halted" ? null : iso(began - 7_200_000), failure: "GET /kpis: DataError: there is no shift '41'", failed_at: iso(began - 600_000), fences: true, jobs: { close: iso(began + 900_000) } };
        case "GET log": return ["started", "12 machines, 3 shifts", "shift 41 closed"].map((text, at) => ({ time: iso(began - (3 - at) * MINUTE), text }));
        case "GET pages": return one.pages.map((each) => shown(one, each));
        case "GET widgets": return { app: one.name, page: "day", title: t("Day", "当日"), version: one.version, ...DAY_PAGE };
        case "GET frames": return { raw: frame(one, url.searchParams.get("language") ?? "en", state.module || readFileSync(TERMINAL, "utf8")), headers: { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": "sandbox allow-scripts; default-src 'none'; script-src 'nonce-mock'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'" } };
        default: return undefined;
      }
    },
  };
}

/** As src/headrace/api/app_files.py makes it. */
function frame(one, language, module) {
  const [client, style] = ["client.js", "frame.css"].map((name) => readFileSync(new URL(name, API), "utf8"));
  return `<!doctype html>
<html lang="${language}"><head><meta charset="utf-8"><title>Terminal</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>${style}</style></head>
<body><main id="app" data-app="${one.name}" data-page="terminal" data-version="${one.version}" data-language="${language}"></main>
<script nonce="mock">${client}</script>
<script type="module" nonce="mock" src="data:text/javascript;base64,${Buffer.from(module).toString("base64")}"></script></body></html>`;
}
