// Notifications of the stand-in: two rosters, what was told of what stands, and channels of which one takes nothing.

const HOUR = 3_600_000;
const CHANNELS = { mail: "email", "shift-group": "", pager: "pager" };
const CONTACTS = {
  li: { name: "李明", user: "", addresses: { email: "li@acme.example" } },
  wang: { name: "王芳", user: "anna", addresses: { email: "wang@acme.example" } },
  chief: { name: "A. Chief", user: "", addresses: { email: "chief@acme.example" } },
};
export const NOTIFY_YAML = `channels:\n  mail: {kind: email, settings: {host: smtp.acme.example, from: headrace@acme.example}}\n  shift-group: {kind: wecom, settings: {key: "file:wecom"}}\n  pager: {kind: webhook, settings: {url: "https://pager.acme.example/in"}}\ncontacts:\n${Object.entries(CONTACTS).map(([name, one]) => `  ${name}: {name: ${one.name}, addresses: {email: ${one.addresses.email}}}\n`).join("")}`;
const REFUSED = "https://pager.acme.example/in answers 401: the key is not known there";

/** `state.untold`: nothing was declared, and nothing told. */
export function notifyRoutes({ alarms, session, fail, iso, note, may, started }) {
  const state = { untold: false };
  const people = (names) => names.map((name) => CONTACTS[name]?.name ?? name);
  let keys = 0;
  const make = (rest) => ({
    key: `notice-${(keys += 1)}`, notification: "works", kind: "raised", step: 1, state: "sent", channel: "mail", contacts: ["li"], alarms: [], title: "", lines: [], facts: [], made_at: iso(started), done_at: iso(started + 800),
    attempts: 1, next_try_at: null, next_step_at: null, error: "", actor: "", ...rest,
  });
  const of = (alarm, rest) => make({
    alarms: [{ rule: alarm.rule, point: alarm.point }], title: `[High] ${alarm.message.en} · ${alarm.asset.split("/").at(-1)}`,
    facts: [{ label: "Where", value: alarm.asset }, { label: "Limit", value: `above ${alarm.limit}` }, { label: "What to do", value: "Open the cooling water; see the card at the press" }], ...rest,
  });
  const at = (ms) => ({ made_at: iso(started - ms), done_at: iso(started - ms + 800) });
  const hot = alarms.find((one) => one.rule.endsWith("press-3/oil.temperature:hot"));
  const rest = alarms.filter((one) => one !== hot);
  const told = [
    of(hot, { kind: "escalated", step: 2, state: "pending", contacts: ["chief"], made_at: iso(started - 30_000), done_at: null, attempts: 2, next_try_at: iso(started + HOUR), error: "smtp.acme.example: nobody answers; check the host and the port" }),
    of(hot, { state: "nobody", channel: "", contacts: [], ...at(400_000), attempts: 0, next_step_at: iso(started + 2 * HOUR), error: "nobody is on call, awake and reachable" }),
    of(rest[0], { state: "failed", channel: "pager", contacts: ["wang"], ...at(500_000), attempts: 3, error: REFUSED }),
    of(rest[0], { state: "passed-on", channel: "mail", contacts: ["wang"], ...at(510_000), error: "smtp.acme.example refuses wang@acme.example: no such mailbox" }),
    of(hot, { channel: "shift-group", contacts: ["li", "wang"], ...at(600_000), next_step_at: iso(started + 2 * HOUR) }),
    of(rest[1], { kind: "cleared", state: "withdrawn", ...at(900_000), attempts: 0 }),
    make({ kind: "flood", channel: "shift-group", contacts: ["li"], ...at(2 * HOUR), alarms: Array.from({ length: 31 }, (_, i) => ({ rule: `acme/suzhou/assembly/station-1/air.pressure:low-${i}`, point: "acme/suzhou/assembly/station-1/air.pressure" })), title: "Alarm flood: 31 alarms to tell · Assembly", lines: ["More alarms come than a person can take in. At the console, begin with the most urgent.", "High · Air pressure low · Station 1 · since 09:12"] }),
    ...Array.from({ length: 60 }, (_, i) => of(rest[i % rest.length], { kind: i % 3 ? "raised" : "repeated", ...at((i + 3) * HOUR) })),
  ];
  const masked = (addresses, whole) => Object.fromEntries(Object.entries(addresses).map(([kind, one]) => [kind, whole ? one : `${one[0]}***@${one.split("@")[1]}`]));
  return {
    state,
    routes: {
      "GET /notifications": (query) => {
        const rule = query.get("alarm");
        const all = (state.untold ? [] : told).filter((one) => !rule || one.alarms.some((alarm) => alarm.rule === rule));
        const [from, limit] = [Number(query.get("cursor") ?? 0), Number(query.get("limit") ?? 100)];
        return { notifications: all.slice(from, from + limit).map((one) => ({ ...one, people: people(one.contacts) })), next_cursor: from + limit < all.length ? String(from + limit) : null };
      },
      "GET /notifications/on-call": (query, _, request) => {
        const time = query.get("at") ? Date.parse(query.get("at")) : Date.now();
        if (Number.isNaN(time)) fail(422, "invalid-data", `'${query.get("at")}' is no time`);
        const whole = may(session(request)).includes("administer");
        const person = (name) => ({ contact: name, name: CONTACTS[name].name, user: CONTACTS[name].user, addresses: masked(CONTACTS[name].addresses, whole) });
        const day = iso(time).slice(0, 10);
        // From 2027 on somebody else leads, as a test can pick.
        const shift = (roster, en, zh, name, names) => ({ roster, title: { en, zh }, time_zone: "Asia/Shanghai", shift: name, began_on: day, people: names.map(person) });
        return { at: iso(time), shifts: state.untold ? [] : [shift("shift-leaders", "Shift leaders", "值班长", "day", [day < "2027" ? "li" : "wang"]), shift("electricians", "Electricians", "电工", "night", [])] };
      },
      "POST /notifications/test": (_, body, request) => {
        for (const [noun, name, names] of [["channel", body.channel, CHANNELS], ["contact", body.contact, CONTACTS]]) if (!Object.hasOwn(names, name)) fail(404, "not-found", `there is no ${noun} '${name}'`);
        const actor = session(request);
        const error = body.channel === "pager" ? REFUSED : "";
        const done = make({ notification: "", kind: "test", state: error ? "failed" : "sent", channel: body.channel, contacts: [body.contact], made_at: iso(Date.now()), done_at: iso(Date.now()), title: "Test message from Headrace", lines: [`${actor} tries whether '${body.channel}' reaches ${CONTACTS[body.contact].name}. Nothing has happened, and nothing is to be done.`], error, actor });
        state.untold = false;
        told.unshift(done);
        note(actor, "notification.test", body.channel, done.state, { contact: body.contact, error });
        return { ...done, people: people(done.contacts) };
      },
    },
  };
}
