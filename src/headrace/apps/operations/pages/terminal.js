// The terminal at the machine: which stops nobody has explained, and two taps that explain one. docs/operations-app.md.
//
//   GET /stops?pending=1 ──► cards, one a stop ── tap a group ──► its reasons ── tap one ──► headrace.later("POST", "/reasons")
//
// Without network it shows what it knew last; what is tapped is kept by the console, and is sent when there is one again.
const WORDS = {
  en: {
    stops: "Stops without a reason", none: "Every stop has a reason.", counts: "Pieces", given: "Given just now", change: "Change", back: "Back",
    why: "Why did {unit} stop?", since: "since {time}", until: "{from} to {to}", asOf: "As of {time}", old: "As of {time}; the platform is not reached",
    lasts: "stands for {span}", lasted: "stood for {span}", waiting: "waits to be sent", refused: "Refused: {reason}", loading: "Asking …",
    unit: "Machine", scrap: "Scrap", rework: "Rework", keep: "Keep", kept: "Kept for {unit}: {what}", noCount: "Enter a whole number of pieces", noUnits: "No machine is set up that you may see.",
    s: "s", min: "min", h: "h", d: "d",
    states: { fault: "Fault", stopped: "Stopped", starved: "Starved", blocked: "Blocked", idle: "Idle", setup: "Setup", planned: "Planned", unknown: "Unknown", producing: "Producing" },
  },
  zh: {
    stops: "待说明原因的停机", none: "所有停机均已说明原因。", counts: "数量", given: "刚刚录入", change: "更改", back: "返回",
    why: "{unit}为什么停机？", since: "自 {time}", until: "{from} 至 {to}", asOf: "截至 {time}", old: "截至 {time}，未连上平台",
    lasts: "已停 {span}", lasted: "停了 {span}", waiting: "待发送", refused: "被拒绝：{reason}", loading: "正在获取…",
    unit: "设备", scrap: "废品", rework: "返工", keep: "保存", kept: "已录入{unit}：{what}", noCount: "请输入整数件数", noUnits: "没有您可查看的设备。",
    s: "秒", min: "分", h: "时", d: "天",
    states: { fault: "故障", stopped: "停机", starved: "待料", blocked: "堵塞", idle: "空闲", setup: "换型", planned: "计划停机", unknown: "未知", producing: "生产" },
  },
};
const ASK_MS = 10_000;
const TICK_MS = 1_000;
const GIVEN_MS = 10 * 60_000;
const STYLE = `
  body { padding: 8px; }
  main { max-width: 1100px; margin: 0 auto; }
  .head { display: flex; flex-wrap: wrap; gap: 4px 12px; align-items: baseline; justify-content: space-between; margin: 4px 4px 10px; }
  .head h1, .head h2 { margin: 0; }
  .asof { color: var(--ink-3); }
  .asof.old { color: var(--ink); font-weight: 600; }
  .tabs { display: flex; gap: 8px; margin-bottom: 10px; }
  .tabs button { flex: 1; }
  .cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)); gap: 12px; align-items: start; }
  .card { padding: 10px; background: var(--panel); border: 1px solid var(--line); border-left: 4px solid var(--line-strong); border-radius: 3px; }
  .card h2 { margin: 0; font-size: 18px; overflow-wrap: anywhere; }
  .card p { margin: 2px 0 8px; color: var(--ink-2); overflow-wrap: anywhere; }
  .card p.refused { color: var(--danger); }
  .taps { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 8px; }
  .taps button::first-letter { text-transform: uppercase; }
  button, input, select { min-height: 56px; font-size: 16px; touch-action: manipulation; overflow-wrap: anywhere; }
  button[aria-pressed="true"] { background: var(--chosen); font-weight: 600; }
  .given { margin-top: 18px; display: grid; gap: 6px; }
  .given div { display: flex; gap: 10px; align-items: center; justify-content: space-between; padding: 4px 4px 4px 10px; background: var(--panel); border: 1px solid var(--line); border-radius: 3px; }
  .given span { overflow-wrap: anywhere; }
  form { display: grid; gap: 12px; max-width: 480px; }
  label { display: grid; gap: 4px; }
`;

const main = document.getElementById("app");
const style = document.createElement("style");
style.textContent = STYLE;
document.head.append(style);
await headrace.ready;

let words = WORDS.en;
let tree = [];
let stops = null; // null until the first answer
let units = [];
let asOf = 0;
let reached = true;
let wrong = "";
let tab = "stops";
let open = null; // { key, group }: the stop whose reasons are shown
let kept = [];
const given = new Map(); // stop → { stop, code, at }

const say = (key, values = {}) => words[key].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
const keyOf = ({ unit, start }) => `${unit}\n${start}`;
const nameOf = (one) => one.title?.[headrace.language] ?? one.unit.slice(one.unit.lastIndexOf("/") + 1);
const two = (n) => String(n).padStart(2, "0");
const clock = (ms) => { const d = new Date(ms); return `${two(d.getHours())}:${two(d.getMinutes())}`; };
const span = (ms) => {
  const minutes = Math.floor(Math.max(0, ms) / 60_000);
  if (minutes < 1) return `${Math.floor(Math.max(0, ms) / 1_000)} ${words.s}`;
  if (minutes < 60) return `${minutes} ${words.min}`;
  return minutes < 1_440 ? `${Math.floor(minutes / 60)} ${words.h} ${two(minutes % 60)} ${words.min}` : `${Math.floor(minutes / 1_440)} ${words.d} ${Math.floor((minutes % 1_440) / 60)} ${words.h}`;
};
const titleOf = (code) => tree.flatMap((group) => group.reasons).find((reason) => reason.code === code)?.title ?? code;
const queued = (key, state) => kept.filter((one) => one.path === "/reasons" && one.state === state && `${one.body.unit}\n${one.body.at}` === key).at(-1);

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== undefined) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** Drawn anew whole; what has the focus keeps it. */
function draw() {
  words = WORDS[headrace.language] ?? WORDS.en;
  const focused = document.activeElement?.dataset?.focus;
  if (tab === "counts" && main.querySelector("form")) return;
  main.replaceChildren(
    make("div", { class: "tabs", role: "group" }, tabButton("stops"), tabButton("counts")),
    ...(tab === "stops" ? drawStops() : drawCounts()),
  );
  if (focused) main.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}

const tabButton = (name) => make("button", { type: "button", "data-focus": name, "aria-pressed": String(tab === name), onclick: () => { tab = name; main.replaceChildren(); draw(); } }, say(name));

function drawStops() {
  const shown = (stops ?? []).filter((stop) => !given.has(keyOf(stop)) && !queued(keyOf(stop), "waiting"));
  const head = make("div", { class: "head" }, make("h1", {}, say("stops")), make("span", { class: reached ? "asof" : "asof old" }, asOf ? say(reached ? "asOf" : "old", { time: clock(asOf) }) : ""));
  const first = [head];
  if (wrong) first.push(make("p", { role: "alert", class: "refused" }, wrong));
  if (stops === null) return [...first, make("p", { class: "quiet" }, wrong ? "" : say("loading"))];
  const cards = shown.length > 0 ? make("div", { class: "cards" }, ...shown.map(card)) : make("p", { class: "quiet" }, say("none"));
  return [...first, cards, ...drawGiven()];
}

function card(stop) {
  const key = keyOf(stop);
  const start = Date.parse(stop.start);
  const end = stop.end ? Date.parse(stop.end) : null;
  const lasted = end === null ? `${say("since", { time: clock(start) })}, ${say("lasts", { span: span(Date.now() - start) })}` : `${say("until", { from: clock(start), to: clock(end) })}, ${say("lasted", { span: span(end - start) })}`;
  const refused = queued(key, "refused");
  const group = open?.key === key ? tree.find((one) => one.group === open.group) : undefined;
  const choose = (one) => () => { open = { key, group: one.group }; draw(); };
  const taps = group
    ? [...group.reasons.map((reason) => make("button", { type: "button", "data-focus": `${key} ${reason.code}`, onclick: () => explain(stop, reason) }, reason.title)), make("button", { type: "button", "data-focus": `${key} back`, onclick: () => { open = null; draw(); } }, `← ${say("back")}`)]
    : tree.map((one) => make("button", { type: "button", "data-focus": `${key} ${one.group}`, onclick: choose(one) }, one.title ?? one.group));
  return make(
    "section", { class: "card", "data-stop": stop.unit, "aria-label": say("why", { unit: nameOf(stop) }) },
    make("h2", {}, nameOf(stop)),
    make("p", {}, `${words.states[stop.state.toLowerCase()] ?? stop.state} · ${lasted}`),
    ...(refused ? [make("p", { class: "refused", role: "alert" }, say("refused", { reason: refused.reason }))] : []),
    make("div", { class: "taps", role: "group", "aria-label": group?.title ?? say("why", { unit: nameOf(stop) }) }, ...taps),
  );
}

function drawGiven() {
  const rows = [...given.values()].toReversed();
  // After a reload the console still knows what waits.
  for (const one of kept) {
    const key = `${one.body.unit}\n${one.body.at}`;
    if (one.path === "/reasons" && one.state === "waiting" && !given.has(key)) rows.push({ stop: { unit: one.body.unit, start: one.body.at }, code: one.body.reason });
  }
  if (rows.length === 0) return [];
  const row = ({ stop, code }) => {
    const key = keyOf(stop);
    const state = queued(key, "waiting") ? ` (${say("waiting")})` : "";
    const again = () => { given.delete(key); if (!stops.some((one) => keyOf(one) === key)) stops = [stop, ...stops]; open = null; draw(); };
    return make("div", {}, make("span", {}, `${nameOf(stop)} ${clock(Date.parse(stop.start))}: ${titleOf(code)}${state}`), state === "" ? make("button", { type: "button", "data-focus": `${key} change`, onclick: again }, say("change")) : "");
  };
  return [make("section", { class: "given", role: "status", "aria-label": say("given") }, make("h2", {}, say("given")), ...rows.map(row))];
}

async function explain(stop, reason) {
  const key = keyOf(stop);
  open = null;
  given.set(key, { stop, code: reason.code, at: Date.now() });
  draw();
  try {
    await headrace.later("POST", "/reasons", { unit: stop.unit, at: stop.start, reason: reason.code });
  } catch (error) {
    given.delete(key);
    headrace.notify(error.message, "wrong");
  }
  draw();
}

function drawCounts() {
  if (units.length === 0) return [make("p", { class: "quiet" }, say(reached ? "noUnits" : "loading"))];
  const unit = make("select", { id: "unit" }, ...units.map((one) => make("option", { value: one.unit }, nameOf(one))));
  const field = (name) => make("input", { id: name, inputmode: "numeric", autocomplete: "off", pattern: "[0-9]*" });
  const [scrap, rework] = [field("scrap"), field("rework")];
  // A sandbox without forms fires no submit.
  const keep = async () => {
    const counts = Object.fromEntries([["scrap", scrap.value.trim()], ["rework", rework.value.trim()]].filter(([, text]) => text !== ""));
    const numbers = Object.values(counts);
    if (numbers.length === 0 || numbers.some((text) => !/^\d{1,9}$/.test(text))) return headrace.notify(say("noCount"), "wrong");
    const body = Object.fromEntries(Object.entries(counts).map(([name, text]) => [name, Number(text)]));
    const said = Object.entries(body).map(([name, value]) => `${say(name)} ${value}`).join(", ");
    try {
      await headrace.later("POST", "/counts", { unit: unit.value, at: new Date().toISOString(), ...body });
    } catch (error) {
      return headrace.notify(error.message, "wrong");
    }
    scrap.value = rework.value = "";
    return headrace.notify(say("kept", { unit: nameOf({ unit: unit.value }), what: said }), "done");
  };
  return [make(
    "form", { onkeydown: (event) => { if (event.key === "Enter" && event.target.tagName === "INPUT") void keep(); } },
    make("label", {}, say("unit"), unit), make("label", {}, say("scrap"), scrap), make("label", {}, say("rework"), rework),
    make("button", { type: "button", class: "primary", onclick: () => void keep() }, say("keep")),
  )];
}

async function ask() {
  try {
    // Each is small; the tree changes seldom, but a new reason is there without a reload.
    [stops, tree, units] = await Promise.all([headrace.get("/stops", { pending: 1 }), headrace.get("/reasons"), headrace.get("/units")]);
    [asOf, reached, wrong] = [Date.now(), true, ""];
    const pending = new Set(stops.map(keyOf));
    // What the platform has taken is no longer asked for: it stays a while, so that it can be changed.
    for (const [key, one] of given) if (!pending.has(key) && Date.now() - one.at > GIVEN_MS) given.delete(key);
  } catch (error) {
    reached = false;
    // With something to show, its age says it; without, the reason is.
    if (stops === null || error.status > 0) wrong = error.message;
  }
  draw();
}

headrace.onLater((now) => {
  const before = kept;
  kept = now;
  for (const [key] of given) if (queued(key, "refused")) given.delete(key);
  draw();
  // Something went out: what is pending now is another thing.
  if (before.some((one) => !now.some((other) => other.id === one.id))) void ask();
});
headrace.onLanguage(() => { main.replaceChildren(); void ask(); });
setInterval(() => void ask(), ASK_MS);
setInterval(() => { if (tab === "stops") draw(); }, 15 * TICK_MS);
draw();
await ask();
