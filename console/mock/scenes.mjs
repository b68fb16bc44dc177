// Scenes of alarms that a test or somebody at work asks for: GET /mock/scene?name=flood. They change the list in place.

const iso = (ms) => new Date(ms).toISOString();
const words = (en, zh) => ({ en, zh });

export const RATIONALE = {
  cause: words("Cooling water is shut, or the cooler is dirty", "冷却水关闭，或冷却器脏污"),
  consequence: words("The press trips and the part in it is scrap", "压机停机，模内零件报废"),
  response: words("Open the cooling water; if it is open, slow the cycle and call maintenance", "打开冷却水；若已打开，放慢节拍并通知维修"),
  time_to_respond_s: 1_800, setpoint_basis: "13 K below the trip", reviewed_on: "2026-05-01", reviewed_by: "Li",
};
const TRIP = { name: "trip", title: words("Trips", "停机"), acknowledge: true, comment: true, proof: true, shelve_longest_s: 0 };

/** `base` is a standing alarm that others are made after. */
export function scenes(alarms, now) {
  const base = alarms[0];
  const make = (rule, more) => ({ ...base, rule, group: rule, rationale: null, state: "unack-active", acknowledged_at: null, acknowledged_by: "", comment: "", raised_at: iso(now - 120_000), ...more });
  return {
    quiet: () => {
      const line = "acme/suzhou/press-shop/line-1";
      alarms.push(
        make(`${line}/press-2/oil.level:low`, { point: `${line}/press-2/oil.level`, asset: `${line}/press-2`, priority: "high", condition: "low", limit: 60, value: 58.2, message: words("Oil level low: look for a leak", "油位低：检查泄漏"), state: "shelved", shelved_until: iso(now + 2_520_000), shelved_once: true, quiet_by: "anna", quiet_reason: "Sensor is being changed" }),
        make(`${line}/press-4/oil.temperature:hot`, { point: `${line}/press-4/oil.temperature`, asset: `${line}/press-4`, priority: "high", limit: 65, value: 41, active: false, state: "suppressed", suppressed_by: `${line}/press-4/guard.closed`, raised_at: null }),
        make("acme/suzhou/utilities/compressor-1/air.pressure:low", { point: "acme/suzhou/utilities/compressor-1/air.pressure", asset: "acme/suzhou/utilities/compressor-1", condition: "low", limit: 6, value: 5.4, message: words("Air pressure low", "气压低"), state: "out-of-service", quiet_by: "lee", quiet_reason: "Overhaul until May" }),
      );
    },
    latched: () => {
      const at = "acme/suzhou/press-shop/line-1/press-1";
      alarms.unshift(make(`${at}/oil.temperature:trip`, { point: `${at}/oil.temperature`, asset: at, priority: "critical", limit: 78, value: 79.3, message: words("Oil close to the trip temperature", "油温接近停机温度"), state: "latched-unack", latched: true, active: false, cleared_at: iso(now - 30_000), handling: TRIP, rationale: RATIONALE }));
    },
    /** Forty that follow from one, one more urgent than their root, and one that nobody grouped. */
    flood: () => {
      const at = "acme/suzhou/utilities/compressor-1";
      const root = make(`${at}/air.pressure:low`, { point: `${at}/air.pressure`, asset: at, priority: "high", condition: "low", limit: 6, value: 4.9, message: words("Air pressure low", "气压低"), consequences: 41, raised_at: iso(now - 180_000), rationale: { ...RATIONALE, time_to_respond_s: 120 } });
      alarms.push(root, ...Array.from({ length: 41 }, (_, i) => make(`acme/suzhou/assembly/station-${(i % 2) + 1}/air.pressure:low-${i}`, {
        point: `acme/suzhou/assembly/station-${(i % 2) + 1}/air.pressure`, asset: `acme/suzhou/assembly/station-${(i % 2) + 1}`, priority: i === 7 ? "critical" : "medium", condition: "low", limit: 5.5, value: 4.4,
        message: i === 7 ? words("Clamp opens under load", "夹具带载松开") : words(`Valve ${i + 1}: air pressure low`, `${i + 1} 号阀气压低`), group: root.rule, first_out: i + 1, raised_at: iso(now - 170_000 + i * 1_000),
      })));
    },
    many: () => {
      const line = "acme/suzhou/moulding-shop";
      for (let i = 0; i < 10_000; i += 1) alarms.push(make(`${line}/moulder-${(i % 4) + 1}/mould.temperature:n${i}`, { point: `${line}/moulder-${(i % 4) + 1}/mould.temperature`, asset: `${line}/moulder-${(i % 4) + 1}`, priority: ["low", "medium", "low", "high"][i % 4], message: words(`Alarm number ${i}`, `第 ${i} 条报警`), raised_at: iso(now - i * 1_000) }));
    },
  };
}

/** The flood that the platform would tell of. */
export function floodOf(alarms) {
  const folded = alarms.filter((one) => one.group !== one.rule);
  return folded.length < 10 ? null : { start: iso(Date.parse(folded[0].raised_at) - 10_000), end: null, annunciated: folded.length + 1, peak: folded.length + 1 };
}

/** A bad week, as GET /alarms/kpis tells it: what a page of figures has to show of everything. */
export function badWeek(answer, alarms) {
  const now = Date.now();
  const offenders = alarms.slice(0, 4).map((one, i) => ({ rule: one.rule, count: 400 >> i, share: 0.5 / (i + 1) }));
  return {
    ...answer, covered_s: 302_400, annunciated: 2_184, transitions: 6_552, per_operator_hour: 26, per_operator_10min: 4.3, peak_10min: 42, peak_10min_start: iso(now - 5_400_000), slices_in_excess: 0.08, flood_share: 0.031,
    floods: [{ start: iso(now - 5_400_000), end: iso(now - 3_000_000), annunciated: 96, peak: 42 }, { start: iso(now - 600_000), end: null, annunciated: 17, peak: 17 }],
    chattering: offenders.slice(0, 2), fleeting: offenders.slice(1, 2), stale: [{ rule: offenders[0].rule, start: null, end: null }, { rule: offenders[1].rule, start: iso(now - 400_000_000), end: iso(now - 90_000_000) }],
    top: offenders, top_share: 0.71, unknown_priority: 3, never_acknowledged: 210, acknowledged: { count: 1_974, median_s: 74, mean_s: 310, p90_s: 1_260, longest_s: 30_000 }, shelved: 12, suppressed: 40, out_of_service: 2,
    priorities: { critical: { count: 40, share: 0.018, recommended: null }, high: { count: 610, share: 0.28, recommended: 0.05 }, medium: { count: 900, share: 0.41, recommended: 0.15 }, low: { count: 634, share: 0.29, recommended: 0.8 } },
  };
}
