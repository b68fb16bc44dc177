import { proofs } from "./needs.mjs";
import { FACTORS } from "./people.mjs";

// Second factors and sessions of the stand-in platform: the app's code is 123456, and every recovery code is good.
const QR = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 21 21"><path fill="#fff" d="M0 0h21v21h-21z"/><path d="M2 2h7v7h-7z M12 2h7v7h-7z M2 12h7v7h-7z M12 12h3v3h-3z"/></svg>';
const CODES = Array.from({ length: 10 }, (_, n) => `k3m9-xq7c-p2${n}w-zt8e`);

export function accountRoutes({ fail, session, note, iso, enter, users }) {
  const factors = new Map();
  const pending = new Map();
  const others = [{ id: "b2", created_at: iso(Date.now() - 7.2e6), last_used_at: iso(Date.now() - 3.6e6), peer: "10.0.4.17", agent: "Mozilla/5.0 (Linux; Android 16) Mobile", proved: "password", this: false }];
  const of = (user) => factors.get(user) ?? factors.set(user, { password: true, totp_since: null, passkeys: [], recovery_codes_left: 0, identities: [], needed: false, fresh: true, ...FACTORS[user] }).get(user);
  const routes = {
    "GET /session/providers": () => [{ name: "works", title: "Works account" }],
    "GET /system/security": () => [
      { name: "listening", value: "tls 0.0.0.0:8470", advised: "TLS", judged: "as-advised", clause: "62443-3-3 SR 3.1" },
      { name: "second-factor", value: "off", advised: "administrators, or everyone", judged: "differs", clause: "62443-3-3 SR 1.1 RE 2" },
      { name: "seal-key", value: "home", advised: "elsewhere (--seal-key)", judged: "look", clause: "62443-3-3 SR 4.1 RE 1" },
      { name: "plain-links", value: "press-plc-1, press-plc-2", advised: "none", judged: "differs", clause: "62443-3-3 SR 3.1 RE 1" },
      { name: "audit-kept", value: "200 d", advised: "183 d or more", judged: "as-advised", clause: "GB/T 22239-2019 8.1.4.3" },
    ],
    "GET /session/notice": () => ({ text: "For the work of Acme Components alone.\nWhat you do here is recorded." }),
    "GET /session/proof": (_, __, request) => ({ password: true, code: of(session(request)).totp_since !== null, passkey_options: null }),
    "POST /session/second-factor": (_, body, request, response) => {
      const user = pending.get(body.pending) ?? fail(401, "sign-in-needed", "no sign-in waits for this, or no longer; sign in again");
      if (body.code !== "123456" && !CODES.includes(body.code)) fail(401, "sign-in-needed", "this code is not right, or was used already");
      pending.delete(body.pending);
      return enter(user, response);
    },
    "POST /session/proof": (_, body, request, response) => {
      const user = session(request);
      if (body.password !== users.get(user).password) fail(401, "sign-in-needed", "wrong user name or password");
      proofs.old = false;
      return enter(user, response);
    },
    "GET /session/oidc/works": () => { proofs.old = false; return {}; },
    "GET /account/factors": (_, __, request) => ({ ...of(session(request)), fresh: !proofs.old }),
    "POST /account/totp": () => ({ secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", uri: "otpauth://totp/Headrace", svg: QR }),
    "POST /account/totp/confirm": (_, body, request) => {
      const user = session(request);
      if (body.code !== "123456") fail(422, "invalid-data", "this code is not right; compare the clock of the phone with that of the platform");
      Object.assign(of(user), { totp_since: iso(Date.now()), recovery_codes_left: 10 });
      note(user, "factor.add", user, "done", { kind: "totp" });
      return { codes: CODES };
    },
    "DELETE /account/totp": (_, __, request) => { Object.assign(of(session(request)), { totp_since: null, recovery_codes_left: 0 }); return undefined; },
    "POST /account/recovery-codes": (_, __, request) => { of(session(request)).recovery_codes_left = 10; return { codes: CODES }; },
    "GET /account/sessions": () => [{ id: "a1", created_at: iso(Date.now() - 6e5), last_used_at: iso(Date.now()), peer: "127.0.0.1", agent: "Mozilla/5.0 (X11; Linux x86_64) Chrome", proved: "password", this: true }, ...others],
    "DELETE /account/sessions": () => ({ ended: others.splice(0).length }),
    "DELETE /account/sessions/b2": () => { others.length = 0; return undefined; },
  };
  /** What a right password leads to, where a second factor is needed; else undefined. */
  const needed = (user) => {
    if (of(user).totp_since === null) return undefined;
    const secret = crypto.randomUUID();
    pending.set(secret, user);
    return { second_factor: { pending: secret, kinds: ["totp", "recovery"], passkey_options: null } };
  };
  return { routes, needed, of };
}
