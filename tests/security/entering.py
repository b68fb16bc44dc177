"""First steps at a running platform, over HTTP as a browser takes them."""

from __future__ import annotations

import httpx

PASSWORD = "nine grey turbines spin"


def signed_in(url: str, user: str, once: str, password: str = PASSWORD) -> httpx.Client:
    """A session of a user who had a one-time password and chose their own."""
    client = httpx.Client(base_url=f"{url}/api/v1", headers={"X-Headrace": "1"}, timeout=60.0, trust_env=False)
    client.post("/session", json={"user": user, "password": once}).raise_for_status()
    client.post("/session/password", json={"old": once, "new": password}).raise_for_status()
    client.post("/session", json={"user": user, "password": password}).raise_for_status()
    return client


def token_of(client: httpx.Client, name: str, role: str) -> str:
    """The secret of a new token. `client` is a session or a client with a token."""
    made = client.post("/tokens", json={"name": name, "role": role})
    made.raise_for_status()
    return str(made.json()["secret"])
