// Stream functions of the stand-in: one with a shadow beside it, one that was halted. Nothing runs; the clock counts.

const WEAR_POINT = "acme/suzhou/press-shop/line-1/press-3/oil.temperature";
const HOUR = 3_600_000;

export function streamRoutes({ session, fail, iso }) {
  const began = Date.now();
  const run = (at, extra = {}) => ({ running: true, waiting: 120, counters: { taken: 0, unusable: 0, late: 0, windows: Math.round((Date.now() - at) / 10_000), outputs: 0, failed: 0, ...extra.counters }, stopped: extra.stopped ?? 0, halted: extra.halted ?? false, lateness_s: 2, newest_at: iso(Date.now() - 1_200), error: extra.error ?? "" });
  const made = (name, version, stage, at, by, extra = {}) => ({ name, version, stage, sha256: "9f86d081884c7d65".repeat(4), added_at: iso(at), added_by: by, before: extra.before ?? "", at, trouble: extra.trouble ?? {} });
  const versions = [
    made("energy.baseline", "1", "active", began - 300 * HOUR, "anna", { trouble: { halted: true, stopped: 3, counters: { windows: 8_112, failed: 41, late: 7, unusable: 1 }, error: "the function was stopped: it took longer than 5 s" } }),
    made("wear", "1", "retired", began - 90 * HOUR, "lee"),
    made("wear", "2", "active", began - 40 * HOUR, "lee", { before: "1" }),
    made("wear", "3", "shadow", began - 2 * HOUR, "lee", { trouble: { counters: { failed: 2 }, error: "ZeroDivisionError: division by zero" } }),
  ];
  const acts = versions.flatMap((one) => [{ time: one.added_at, who: one.added_by, act: "add", name: one.name, version: one.version, why: "" }]);
  acts.push({ time: iso(began - 39 * HOUR), who: "lee", act: "promote", name: "wear", version: "2", why: "Two weeks beside version 1 without a difference" });
  const told = ({ at, trouble, ...one }) => ({ ...one, run: one.stage === "retired" ? null : run(at, trouble) });
  const keep = (who, act, one, why) => { acts.push({ time: iso(Date.now()), who, act, name: one.name, version: one.version, why }); return told(one); };
  const active = (name) => versions.find((one) => one.name === name && one.stage === "active");
  const own = (name, version) => versions.find((one) => one.name === name && one.version === version) ?? fail(404, "not-found", `there is no version ${version} of a stream function ${name}; known: ${versions.filter((one) => one.name === name).map((one) => one.version).join(", ") || "none"}`);
  return {
    routes: {
      "GET /streams": () => versions.map(told),
      "GET /streams/acts": () => acts,
      "POST /streams": (_, { source }, request) => {
        const open = source.split("\n").findIndex((line) => /^def \w+\([^)]*$/.test(line));
        if (open >= 0) fail(422, "config", `SyntaxError: '(' was never closed (<source>, line ${open + 1})`);
        const name = /\bname="([^"]+)"/.exec(source)?.[1] ?? /@stream\([\s\S]*?def (\w+)/.exec(source)?.[1] ?? fail(422, "config", "LookupError: say which stream function; the source has none");
        const version = /\bversion="([^"]+)"/.exec(source)?.[1] ?? "1";
        if (versions.some((one) => one.name === name && one.version === version)) fail(409, "conflict", `${name} has a version ${version} with another source; give this one a new version`);
        const one = made(name, version, "shadow", Date.now(), session(request));
        versions.push(one);
        return keep(one.added_by, "add", one, "");
      },
    },
    byName(method, parts, body, request) {
      if (parts[1] !== "streams") return undefined;
      const [name, version, act] = [parts[2], parts[4], parts[5]];
      if (parts[3] === "rollback" && method === "POST") {
        const now = active(name);
        if (!now?.before) fail(404, "not-found", `${name} has no version before the one that runs`);
        const back = Object.assign(own(name, now.before), { stage: "active" });
        now.stage = "retired";
        return keep(session(request), "roll back", back, body.why);
      }
      const one = own(name, version);
      if (act === "difference") return { both: 4_318, same: 4_290, missing: 2, more: 11, worst: 0.75, point: WEAR_POINT, at: iso(began - HOUR) };
      if (act === "retire") return keep(session(request), "retire", Object.assign(one, { stage: "retired" }), body.why);
      if (one.stage === "active") fail(409, "conflict", `${name} ${version} is active already`);
      const former = active(name);
      if (former) former.stage = "retired";
      return keep(session(request), "promote", Object.assign(one, { stage: "active", before: former?.version ?? "" }), body.why);
    },
  };
}
