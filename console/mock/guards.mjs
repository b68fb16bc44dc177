/** Writes that need more than a right: one critical setpoint on each press, a lock, and a write that waits already. */
const iso = (ms) => new Date(ms).toISOString();
const over = (lock, path) => lock.path === "" || path === lock.path || path.startsWith(`${lock.path}/`);

export function guardRoutes({ fail, session, note, points, writes, valueOf }) {
  const locks = [];
  const point = [...points.values()].find((one) => one.answer.critical);
  const blank = { detail: "", read_back: null, finished_at: null, approver: "", decided_at: null, decision: "" };
  if (point) writes.push({ ...blank, id: "5f0c2a9e-waiting", path: point.answer.path, value: 180, actor: "anna", reason: "new tool needs a slower approach", state: "awaiting-approval", requested_at: iso(Date.now() - 95_000), expires_at: iso(Date.now() + 505_000) });
  const waits = (path) => writes.find((one) => one.path === path && one.state === "awaiting-approval") ?? null;
  const interlocks = (asset) =>
    [["guard.closed", "The guard must be closed", "防护门必须关闭"], ["light.curtain.clear", "Nobody in the light curtain", "光幕区域内无人"]].map(([name, en, zh]) => ({
      point: `${asset}/${name}`, condition: "is", limit: true, low: null, high: null, for_s: 0, fresh_s: 10, text: { en, zh }, value: true, holds: true, why: "",
    }));
  return {
    /** What a new write becomes before it is sent: refused, waiting, or null to go on. */
    before(command) {
      const lock = locks.find((one) => over(one, command.path));
      if (lock) return Object.assign(command, { state: "refused", detail: `'${lock.path}' is locked by ${lock.locked_by}: ${lock.reason}`, finished_at: iso(Date.now()) });
      if (points.get(command.path).answer.critical) return Object.assign(command, { state: "awaiting-approval", expires_at: iso(Date.now() + 600_000) });
      return null;
    },
    blank,
    routes: {
      "GET /writes/conditions": (query) => {
        const { answer } = points.get(query.get("path")) ?? fail(404, "not-found", "there is no such point");
        return {
          critical: answer.critical, approval_s: 600, limits: { step: answer.critical ? 50 : null, rate: answer.critical ? 100 : null, interval_s: null, writes: null, writes_each: null },
          interlocks: answer.critical ? interlocks(answer.asset) : [], locks: locks.filter((one) => over(one, answer.path)), waiting: waits(answer.path),
        };
      },
      "GET /locks": () => locks,
      "POST /locks": (_, body, request) => {
        const lock = { id: crypto.randomUUID(), path: body.path, reason: body.reason, locked_by: session(request), locked_at: iso(Date.now()), released_by: "", released_at: null, release_reason: "" };
        locks.push(lock);
        note(lock.locked_by, "write.lock", body.path, "done", { reason: body.reason });
        return lock;
      },
    },
    byName(method, parts, body, request) {
      if (method !== "POST") return undefined;
      if (parts[1] === "locks" && parts[3] === "release") {
        const at = locks.findIndex((one) => one.id === parts[2]);
        return Object.assign(locks.splice(at, 1)[0], { released_by: session(request), released_at: iso(Date.now()), release_reason: body.reason });
      }
      if (parts[1] !== "writes") return undefined;
      const actor = session(request);
      const command = writes.find((one) => one.id === parts[2]) ?? fail(404, "not-found", "there is no such write");
      if (command.state !== "awaiting-approval") fail(409, "conflict", `this write waits no more; it is ${command.state}`);
      if (parts[3] !== "withdraw" && actor === command.actor) fail(403, "not-allowed", "the person who asked for a critical write cannot approve it; ask somebody else");
      Object.assign(command, { decided_at: iso(Date.now()), decision: body.reason, finished_at: iso(Date.now()), approver: parts[3] === "withdraw" ? "" : actor });
      if (parts[3] !== "approve") return Object.assign(command, { state: "refused", detail: `${parts[3] === "reject" ? "rejected" : "withdrawn"} by ${actor}: ${body.reason}` });
      valueOf(command.path).value = command.value;
      return Object.assign(command, { state: "confirmed", read_back: command.value });
    },
  };
}
