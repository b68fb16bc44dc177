// After a build: keeps the first page light, and writes the compressed siblings that the server prefers.
import { readdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const FIRST_ROUTE_BYTES_MAX = 350_000;
const out = new URL("../../src/headrace/api/console/", import.meta.url).pathname;
const manifestPath = join(out, ".vite/manifest.json");
const manifest = JSON.parse(readFileSync(manifestPath, "utf8"));

function filesOf(entry, seen = new Set()) {
  if (seen.has(entry)) return seen;
  seen.add(entry);
  for (const next of manifest[entry].imports ?? []) filesOf(next, seen);
  return seen;
}

const entries = [...filesOf("index.html"), ...filesOf("src/pages/overview/Overview.tsx")];
const files = new Set(["boot.js"]);
for (const entry of entries) {
  files.add(manifest[entry].file);
  for (const css of manifest[entry].css ?? []) files.add(css);
}
let total = 0;
for (const file of files) total += gzipSync(readFileSync(join(out, file)), { level: 9 }).length;
console.log(`first page: ${(total / 1000).toFixed(1)} kB gzip in ${files.size} files (at most ${FIRST_ROUTE_BYTES_MAX / 1000} kB)`);
if (total > FIRST_ROUTE_BYTES_MAX) process.exit(1);

const walk = (folder) => readdirSync(folder).flatMap((name) => (statSync(join(folder, name)).isDirectory() ? walk(join(folder, name)) : [join(folder, name)]));
for (const path of walk(join(out, "assets"))) {
  if (!/\.(js|css|svg)$/.test(path) || statSync(path).size < 1_000) continue;
  const raw = readFileSync(path);
  writeFileSync(`${path}.gz`, gzipSync(raw, { level: 9 }));
  writeFileSync(`${path}.br`, brotliCompressSync(raw, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } }));
}
unlinkSync(manifestPath);
