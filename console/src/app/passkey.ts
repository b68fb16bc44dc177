/** Passkeys: what the server asks as JSON, to the browser's API and back. Source: W3C Web Authentication Level 3 §5.1. */

type Json = Record<string, unknown>;

/** A passkey answers to a name over TLS (or to localhost): an address has none. */
export function passkeysWork(): boolean {
  const name = location.hostname;
  return window.isSecureContext && "credentials" in navigator && "PublicKeyCredential" in window && !/^[\d.]+$|:/.test(name);
}

const bytes = (text: unknown): ArrayBuffer => {
  const plain = atob(String(text).replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0)).buffer;
};

const text = (buffer: ArrayBuffer): string =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=+$/, "");

const known = (list: unknown) => (Array.isArray(list) ? list.map((one: Json) => ({ ...one, id: bytes(one.id) })) : undefined);

/** The answer of a key to a question of the server. Rejects with a DOMException where the person said no. */
export async function answer(options: Json): Promise<Json> {
  const allowed = known(options.allowCredentials);
  const publicKey = {
    ...options,
    challenge: bytes(options.challenge),
    ...(allowed ? { allowCredentials: allowed } : {}),
  } as unknown as PublicKeyCredentialRequestOptions;
  const found = (await navigator.credentials.get({ publicKey })) as PublicKeyCredential;
  const said = found.response as AuthenticatorAssertionResponse;
  return {
    ...common(found),
    response: {
      clientDataJSON: text(said.clientDataJSON),
      authenticatorData: text(said.authenticatorData),
      signature: text(said.signature),
      ...(said.userHandle ? { userHandle: text(said.userHandle) } : {}),
    },
  };
}

/** A new key for this server. */
export async function create(options: Json): Promise<Json> {
  const user = options.user as Json;
  const publicKey = {
    ...options,
    challenge: bytes(options.challenge),
    user: { ...user, id: bytes(user.id) },
    excludeCredentials: known(options.excludeCredentials) ?? [],
  } as unknown as PublicKeyCredentialCreationOptions;
  const made = (await navigator.credentials.create({ publicKey })) as PublicKeyCredential;
  const said = made.response as AuthenticatorAttestationResponse;
  return {
    ...common(made),
    response: {
      clientDataJSON: text(said.clientDataJSON),
      attestationObject: text(said.attestationObject),
      transports: said.getTransports?.() ?? [],
    },
  };
}

const common = (key: PublicKeyCredential) => ({ id: key.id, rawId: text(key.rawId), type: key.type, clientExtensionResults: {} });
