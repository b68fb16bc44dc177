// A provider of identities by other people (oidc-provider, OpenID-certified), driven by tests/api/test_oidc_peer.py.
//   node oidc.mjs      prints {"issuer"}; then each line of stdin is {"redirect", "out"}: it (re)starts with new keys, and prints {"ready"}
// Anybody may sign in with any password; `anna` has a verified address and the group eng.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import Provider from "oidc-provider";

let handle = (request, response) => response.writeHead(503).end();
const server = createServer((request, response) => handle(request, response));
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const issuer = `http://127.0.0.1:${server.address().port}`;
console.log(JSON.stringify({ issuer }));

let number = 0;
const start = ({ redirect, out }) => {
  number += 1;
  const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });
  const provider = new Provider(issuer, {
    clients: [{
      client_id: "headrace", client_secret: "a secret of the test+", redirect_uris: [redirect], post_logout_redirect_uris: [out],
      id_token_signed_response_alg: "ES256", token_endpoint_auth_method: "client_secret_basic",
    }],
    jwks: { keys: [{ ...key, kid: `key-${number}`, use: "sig", alg: "ES256" }] },
    cookies: { keys: ["only for tests"] },
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["preferred_username", "groups"] },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, preferred_username: id, email: `${id}@works.example`, email_verified: id === "anna", groups: id === "anna" ? ["eng"] : [] }),
    }),
    features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
    pkce: { required: () => true },
  });
  handle = provider.callback();
  console.log(JSON.stringify({ ready: true }));
};
for await (const line of createInterface({ input: process.stdin })) start(JSON.parse(line));
process.exit(0);
