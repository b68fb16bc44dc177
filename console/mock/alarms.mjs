// The alarms of the stand-in: what stands, what people do about it, and figures of it. The platform judges; this only remembers.
import { badWeek, floodOf } from "./scenes.mjs";

/** `alarms` and `transitions` belong to the server and are changed in place; `tell` sends steps to those who watch. */
export function alarmRoutes({ alarms, transitions, session, fail, iso, tell, proofs }) {
  const act = (body, request, action, change) => {
    const actor = session(request);
    const known = new Set(alarms.map((one) => one.rule));
    for (const rule of body.rules) if (!known.has(rule)) fail(404, "not-found", `there is no alarm rule '${rule}'`);
    const meant = alarms.filter((one) => body.rules.includes(one.rule));
    for (const alarm of action === "acknowledged" ? meant.filter((one) => seen[one.state]) : []) {
      if (alarm.handling.proof && proofs.old) fail(403, "fresh-proof-needed", "prove again that it is you: POST /api/v1/session/proof, then repeat this");
      if (alarm.handling.comment && !body.comment) fail(422, "invalid-data", `to acknowledge '${alarm.rule}' takes a comment: class '${alarm.handling.name}' asks for one`);
    }
    const steps = [];
    for (const alarm of meant) {
      const changed = change(alarm, actor);
      if (!changed) continue;
      Object.assign(alarm, changed);
      steps.push({ rule: alarm.rule, point: alarm.point, asset: alarm.asset, action, state: alarm.state, time: iso(Date.now()), value: alarm.value, priority: alarm.priority, message: alarm.message, actor, comment: body.comment ?? body.reason ?? "" });
    }
    transitions.unshift(...steps);
    tell(steps);
    for (let at = alarms.length - 1; at >= 0; at -= 1) if (alarms[at].state === "normal") alarms.splice(at, 1);
    return { transitions: steps };
  };
  const loud = { shelved_until: null, shelved_once: false, quiet_by: "", quiet_reason: "" };
  const again = (alarm) => ({ ...loud, state: alarm.active ? "unack-active" : "normal", acknowledged_at: null, acknowledged_by: "", comment: "" });
  const seen = { "unack-active": "ack-active", "unack-cleared": "normal", "latched-unack": "latched-ack" };
  const unlatched = { "latched-unack": "unack-cleared", "latched-ack": "normal" };
  const hours = (text) => { const found = /^(\d+)(m|h)$/.exec(text ?? "8h"); return found ? Number(found[1]) * (found[2] === "h" ? 3_600_000 : 60_000) : fail(422, "invalid-data", `'${text}' is no duration`); };
  return {
    "GET /alarms": (query) => {
      const chosen = alarms.filter((one) => (query.get("state") ?? one.state) === one.state && `${one.asset}/`.startsWith(query.get("area") ? `${query.get("area")}/` : ""));
      const states = { unack_active: 0, ack_active: 0, unack_cleared: 0, latched_unack: 0, latched_ack: 0, shelved: 0, suppressed: 0, out_of_service: 0 };
      for (const one of chosen) states[one.state.replaceAll("-", "_")] += 1;
      return { alarms: chosen.slice(0, Number(query.get("limit") ?? 1_000)), next_cursor: null, total: chosen.length, states, flood: floodOf(chosen) };
    },
    "POST /alarms/acknowledge": (_, body, request) => act(body, request, "acknowledged", (alarm, actor) => seen[alarm.state] && { state: seen[alarm.state], acknowledged_at: iso(Date.now()), acknowledged_by: actor, comment: body.comment ?? "" }),
    "POST /alarms/reset": (_, body, request) => act(body, request, "reset", (alarm) => unlatched[alarm.state] && { state: unlatched[alarm.state] }),
    "POST /alarms/shelve": (_, body, request) => act(body, request, "shelved", (alarm, actor) => alarm.state !== "out-of-service" && { state: "shelved", shelved_until: iso(Date.now() + hours(body.duration)), shelved_once: body.once ?? false, quiet_by: actor, quiet_reason: body.reason }),
    "POST /alarms/unshelve": (_, body, request) => act(body, request, "unshelved", (alarm) => alarm.state === "shelved" && again(alarm)),
    "POST /alarms/out-of-service": (_, body, request) => act(body, request, "removed", (alarm, actor) => alarm.state !== "out-of-service" && { state: "out-of-service", quiet_by: actor, quiet_reason: body.reason }),
    "POST /alarms/return": (_, body, request) => act(body, request, "returned", (alarm) => alarm.state === "out-of-service" && again(alarm)),
    "GET /alarms/history": (query) => ({ transitions: transitions.filter((one) => one.time >= (query.get("start") ?? "") && (query.get("point") ?? one.point) === one.point), next_cursor: null }),
    "GET /alarms/kpis": (query) => {
      const raised = transitions.filter((one) => one.action === "raised");
      const count = (priority) => raised.filter((one) => one.priority === priority).length;
      const recommended = { critical: null, high: 0.05, medium: 0.15, low: 0.8 };
      const span = Date.parse(query.get("end")) - Date.parse(query.get("start"));
      const answer = {
        start: query.get("start"), end: query.get("end"), covered_s: span / 1_000, operators: Number(query.get("operators") ?? 1), transitions: transitions.length, annunciated: raised.length,
        per_operator_hour: raised.length / 24, per_operator_10min: raised.length / 144, peak_10min: raised.length, peak_10min_start: raised[0]?.time ?? null, slices_in_excess: 0,
        floods: [], flood_share: 0, chattering: [], fleeting: [], stale: [], top: raised.slice(0, 10).map((one) => ({ rule: one.rule, count: 1, share: 1 / raised.length })), top_share: Math.min(1, 10 / Math.max(raised.length, 1)),
        priorities: Object.fromEntries(Object.keys(recommended).map((one) => [one, { count: count(one), share: count(one) / Math.max(raised.length, 1), recommended: recommended[one] }])), unknown_priority: 0,
        acknowledged: { count: 0, median_s: null, mean_s: null, p90_s: null, longest_s: null }, never_acknowledged: raised.length,
        shelved: 0, suppressed: 0, out_of_service: 0, shelved_now: alarms.filter((one) => one.state === "shelved").length, suppressed_now: 0, out_of_service_now: alarms.filter((one) => one.state === "out-of-service").length,
      };
      // Each stretch has a story: a first minute, a bad week, and a month that the journal knows nothing of.
      if (span < 50_000_000) return { ...answer, covered_s: 60, per_operator_hour: raised.length * 60 };
      if (span > 1_000_000_000) return { ...answer, covered_s: 0 };
      return span > 500_000_000 ? badWeek(answer, alarms) : answer;
    },
  };
}
