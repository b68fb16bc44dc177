// What a page of an app has in its frame: `headrace`. It asks the console that shows it, over one port.
//
//   frame ── hello ──► console ── port, user, language, theme ──► frame ── get, post, later, … ──► console ──► the app's routes
//
// await headrace.ready                             before language, theme and user are read
// headrace.get(path, query)                        JSON, else text; { bytes: true } as third: { data, type, name }
// headrace.post(path, body), put, patch, delete    JSON; refused: Error with status, code, hint
// headrace.later(method, path, body)               kept by the console, sent when it can be: { id, at }
// headrace.onLater(told)                           [{ id, method, path, body, at, state: waiting | refused, reason }]
// headrace.language, theme, user, app, page, version; onTheme(told), onLanguage(told)
// headrace.notify(text, kind)                      kind: info | done | wrong
// headrace.download(name, data, type)              text, ArrayBuffer or Blob, at most 32 MiB
(() => {
  const { app, page, version, language } = document.getElementById("app").dataset;
  const asked = new Map();
  const listeners = { theme: new Set(), later: new Set(), language: new Set() };
  let port;
  let next = 0;
  let opened;
  let kept = [];
  const ready = new Promise((done) => (opened = done));
  const tell = (kind, what) => { for (const told of listeners[kind]) told(what); };
  const listen = (kind) => (told) => { listeners[kind].add(told); return () => listeners[kind].delete(told); };

  const dress = ({ scheme, variables }) => {
    const root = document.documentElement;
    for (const [name, value] of Object.entries(variables)) root.style.setProperty(name, value);
    root.dataset.theme = scheme;
    headrace.theme = scheme;
  };
  const takes = {
    answer: ({ id, data }) => { asked.get(id)?.done(data); asked.delete(id); },
    refusal: ({ id, error }) => {
      asked.get(id)?.wrong(Object.assign(new Error(error.message), { status: error.status, code: error.code, hint: error.hint }));
      asked.delete(id);
    },
    theme: (message) => { dress(message); tell("theme", message.scheme); },
    language: (message) => { headrace.language = document.documentElement.lang = message.language; tell("language", message.language); },
    later: (message) => { kept = message.kept; tell("later", kept); },
  };
  const ask = async (kind, what) => {
    await ready;
    return new Promise((done, wrong) => {
      next += 1;
      asked.set(next, { done, wrong });
      port.postMessage({ kind, id: next, ...what });
    });
  };
  const call = (method) => (path, body, more) => ask("call", { method, path, body, ...more });

  const headrace = {
    app, page, version, language, user: "", theme: "light", ready,
    get: (path, query, more) => ask("call", { method: "GET", path, query, ...more }),
    post: call("POST"), put: call("PUT"), patch: call("PATCH"), delete: call("DELETE"),
    later: (method, path, body) => ask("later", { method, path, body }),
    onTheme: listen("theme"),
    onLanguage: listen("language"),
    onLater: (told) => { const end = listen("later")(told); told(kept); return end; },
    notify: (text, kind = "info") => void ask("notify", { text: String(text), tone: kind }),
    download: async (name, data, type = "application/octet-stream") => {
      const blob = data instanceof Blob ? data : new Blob([data], { type });
      return ask("download", { name: String(name), data: await blob.arrayBuffer(), type: blob.type });
    },
  };
  Object.defineProperty(window, "headrace", { value: headrace });

  addEventListener("message", (event) => {
    if (event.source !== parent || port || event.data?.headrace !== "welcome" || !event.ports[0]) return;
    port = event.ports[0];
    headrace.user = event.data.user;
    headrace.language = document.documentElement.lang = event.data.language;
    dress(event.data);
    kept = event.data.kept;
    port.onmessage = ({ data }) => takes[data.kind]?.(data);
    opened();
    new ResizeObserver(() => port.postMessage({ kind: "height", px: Math.ceil(document.body.getBoundingClientRect().height) })).observe(document.body);
    // Hands on a frame do not reach the page around it, which would take the session for idle.
    for (const sign of ["pointerdown", "keydown"]) addEventListener(sign, () => port.postMessage({ kind: "touched" }), { passive: true, capture: true });
  });
  parent.postMessage({ headrace: "hello" }, "*");
})();
