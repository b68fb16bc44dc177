// Back-tests and calculated points of the stand-in. Work is as far as the clock says; a back-test of more than a week takes long.

const QUICK_MS = 1_200;
const LONG_MS = 600_000;

export function computingRoutes({ session, fail, iso, alarms, points, plan }) {
  const tests = [];
  const fills = [];
  const startOf = (text) => { const ago = /^now-(\d+)([hd])$/.exec(text); return ago ? Date.now() - Number(ago[1]) * (ago[2] === "h" ? 3_600_000 : 86_400_000) : Date.parse(text); };
  const part = (one) => Math.min(1, ((one.stopped ?? Date.now()) - one.at) / one.takes);
  const told = ({ at, takes, stopped, ...one }) => {
    const done = part({ at, takes, stopped });
    const over = stopped !== undefined || done >= 1;
    return { ...one, upto: iso(one.from + done * (one.to - one.from)), ended_at: over ? iso(stopped ?? at + takes) : null, samples: Math.round(480_000 * done), raised: stopped === undefined ? Math.round(one.wouldAll * done) : 0, elapsed_s: over ? takes / 1_000 : 0 };
  };
  const plain = ({ from: _from, to: _to, wouldAll: _would, named: _named, ...one }) => one;
  const result = (one) => {
    const now = told(one);
    if (now.ended_at === null || now.error) return { ...plain(now), rules: [], episodes: [] };
    const at = (share) => iso(one.from + share * (one.to - one.from));
    const rules = one.named.map((rule, i) => ({ rule, priority: ["high", "critical", "low"][i % 3], raised: i === 0 ? 9 : i === 1 ? 2 : 0, active_s: i < 2 ? 2_400 / (i + 1) : 0, longest_s: i < 2 ? 600 : 0, really_raised: i === 0 ? 21 : i === 1 ? 2 : 0, really_acknowledged: i < 2 ? 2 : 0, median_acknowledge_s: i < 2 ? 74 : null }));
    const episodes = rules.flatMap((told_) => Array.from({ length: told_.raised }, (_, k) => { const share = (k + 0.3) / told_.raised; return { rule: told_.rule, raised_at: at(share), cleared_at: k + 1 === told_.raised ? null : at(share + 0.03), value: 68.2 + k, really_raised_at: k % 2 ? null : at(share + 0.002), acknowledged_at: k % 2 ? null : at(share + 0.012), acknowledged_by: k % 2 ? "" : "anna", comment: k === 0 ? "Water opened" : "" }; })).sort((a, b) => (a.raised_at < b.raised_at ? -1 : 1));
    return { ...plain(now), rules, episodes };
  };
  const filled = (one) => {
    const now = Math.min(1, ((one.stopped ?? Date.now()) - one.at) / one.takes);
    const [upto, cancelled] = [iso(one.from + now * (one.to - one.from)), one.stopped !== null];
    return { id: one.id, points: one.points, start: one.start, end: one.end, actor: one.actor, started_at: one.started_at, upto, results: Math.round(3_600 * now), ended_at: cancelled ? iso(one.stopped) : now >= 1 ? iso(one.at + one.takes) : null, error: cancelled ? `cancelled by ${one.cancelled_by}; worked out up to ${upto}` : "", cancelled_by: one.cancelled_by };
  };
  const own = (id) => tests.find((one) => one.id === Number(id)) ?? fail(404, "not-found", `there is no back-test ${id}; those of before a restart are forgotten`);
  const calculated = () => [...points.values()].filter((one) => one.answer.expression !== null).map((one) => one.answer);
  return {
    routes: {
      "GET /backtests": () => tests.map((one) => plain(told(one))),
      "POST /backtests": (_, body, request) => {
        const { errors } = body.files.length ? plan({ files: body.files, prune: false }) : { errors: [] };
        if (errors.length) fail(422, "config", "the declarations are wrong", undefined, errors);
        const [from, to] = [startOf(body.start), body.end ? Date.parse(body.end) : Date.now()];
        const named = body.rules.length ? body.rules : alarms.map((one) => one.rule);
        const made = { id: tests.length + 1, tested: named.length, start: iso(from), end: iso(to), actor: session(request), started_at: iso(Date.now()), error: "", at: Date.now(), takes: to - from > 700_000_000 ? LONG_MS : QUICK_MS, from, to, named, wouldAll: named.length > 1 ? 11 : 9 };
        tests.unshift(made);
        return plain(told(made));
      },
      "GET /calculations": () => calculated().map((one, i) => ({ path: one.path, expression: one.expression, inputs: one.inputs, instances: calculated().length, counts: i === 0 ? { late: 3, "division by zero": 12 } : {} })),
      "GET /calculations/backfills": () => fills.map(filled),
      "POST /calculations/backfills": (_, body, request) => {
        for (const path of body.points) if (!calculated().some((one) => one.path === path)) fail(404, "not-found", `'${path}' is not calculated`);
        const [from, to] = [startOf(body.start), body.end ? Date.parse(body.end) : Date.now()];
        fills.unshift({ id: fills.length + 1, points: body.points, start: iso(from), end: iso(to), actor: session(request), started_at: iso(Date.now()), from, to, at: Date.now(), takes: to - from > 2_000_000_000 ? LONG_MS : QUICK_MS, stopped: null, cancelled_by: "" });
        return filled(fills[0]);
      },
    },
    byName(method, parts, _body, request) {
      if (parts[1] === "calculations" && parts[2] === "backfills") {
        const fill = fills.find((one) => one.id === Number(parts[3])) ?? fail(404, "not-found", `there is no back-fill ${parts[3]}; those of before a restart are forgotten`);
        if (parts[4] === "cancel" && filled(fill).ended_at === null) Object.assign(fill, { stopped: Date.now(), cancelled_by: session(request) });
        return filled(fill);
      }
      if (parts[1] !== "backtests") return undefined;
      const one = own(parts[2]);
      if (parts[3] === "cancel" && method === "POST") {
        if (told(one).ended_at === null) Object.assign(one, { stopped: Date.now(), error: `cancelled by ${session(request)}` });
        return plain(told(one));
      }
      return result(one);
    },
  };
}
