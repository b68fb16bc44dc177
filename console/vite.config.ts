import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

/** Scripts only from our own origin; styles may be set by script, which the component library does. */
const POLICY =
  "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; " +
  "connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; form-action 'self'";

/** Only in the built page: the development server needs inline scripts for hot reload. */
function contentSecurityPolicy(): Plugin {
  return {
    name: "content-security-policy",
    apply: "build",
    transformIndexHtml: () => [
      { tag: "meta", attrs: { "http-equiv": "Content-Security-Policy", content: POLICY }, injectTo: "head-prepend" },
    ],
  };
}

const platform = process.env.HEADRACE_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react(), contentSecurityPolicy()],
  build: {
    outDir: "../src/headrace/api/console",
    emptyOutDir: true,
    manifest: true,
    target: "es2023",
    assetsInlineLimit: 0,
  },
  server: {
    host: "127.0.0.1",
    proxy: { "/api": { target: platform, ws: true } },
  },
  test: { include: ["src/**/*.test.ts"] },
} as import("vite").UserConfig & { test: unknown });
