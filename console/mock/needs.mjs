// What docs/openapi.json says that an operation needs: a right, and for some a fresh proof. /mock/stale makes all proofs old.
import { readFileSync } from "node:fs";

const { paths } = JSON.parse(readFileSync(new URL("../../docs/openapi.json", import.meta.url), "utf8"));
const operations = Object.entries(paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, one]) => ({
    method: method.toUpperCase(),
    pattern: new RegExp(`^${path.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/\{\w+\}/g, path.startsWith("/api/v1/points/") ? ".+" : "[^/]+")}$`),
    // A fixed address comes before one that has a name in the same place.
    named: path.split("{").length,
    need: one["x-headrace-needs"],
    fresh: one["x-headrace-fresh-proof"] === true,
  })),
);

export const proofs = { old: false };

/** Refuses as the platform does: who may not at all is not sent to prove anything. */
export function admit(method, path, may, fail) {
  const found = operations.filter((one) => one.method === method && one.pattern.test(path)).sort((a, b) => a.named - b.named)[0];
  if (!found) return;
  if (!["public", "device", "signed-in"].includes(found.need) && !may.includes(found.need)) fail(403, "not-allowed", `that takes the right '${found.need}'`);
  if (found.fresh && proofs.old) fail(403, "fresh-proof-needed", "prove again that it is you: POST /api/v1/session/proof, then repeat this");
}
