"""One sign-in at a provider: the authorization code flow with PKCE, from the way there to the claims that come back.

depart ─► discovery ─► address with state, nonce, code challenge ─► browser ─► provider ─► browser ─► arrive
arrive ─► state known, once, of this browser and this provider? ─► iss ─► code for tokens ─► tokens.py ─► Claims

What waits for a browser to come back is bounded, lives ten minutes, and is good once.
Source: OpenID Connect Core 1.0 §3.1; Discovery 1.0 §4; RFC 7636 (PKCE, S256); RFC 9207 (iss); RFC 9700 §4.4 (mix-up),
§4.5 (injection), §4.7 (CSRF).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from joserfc.jwk import ECKey, OKPKey, RSAKey

from headrace.access.oidc.config import ProviderConfig, check_address
from headrace.access.oidc.fetch import Fetcher
from headrace.access.oidc.tokens import UnknownKey, checked_claims, read_keys, refused
from headrace.model.errors import NotFound, Unavailable
from headrace.model.time import SECOND_NS
from headrace.sdk.clock import Clock

LIFE_S: Final = 600.0
WAITING_MAX: Final = 10_000
METADATA_LIFE_S: Final = 3600.0
KEYS_PAUSE_S: Final = 30.0
#: Claims that the API of a provider may add to those of the token.
_PROFILE: Final = ("email", "email_verified", "preferred_username", "name")


@dataclass(frozen=True, slots=True)
class Trip:
    """A browser that is on its way. `user` is whose account is to be linked, `session` what proves itself again."""

    provider: str
    nonce: str
    verifier: str
    browser_hash: str
    redirect: str
    ends_s: float
    started_s: int
    user: str | None = None
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """What a provider says of a person. `trip` is what it answers."""

    provider: ProviderConfig
    issuer: str
    subject: str
    claims: Mapping[str, Any]
    trip: Trip

    @property
    def email(self) -> str:
        """Only one that the provider has verified."""
        email = self.claims.get("email")
        verified = self.claims.get("email_verified") is True
        return email if verified and isinstance(email, str) and len(email) <= 320 else ""


@dataclass(slots=True)
class Provider:
    """What is known of one, fetched when needed and again after an hour."""

    config: ProviderConfig
    metadata: Mapping[str, Any] = field(default_factory=dict)
    keys: list[RSAKey | ECKey | OKPKey] = field(default_factory=list)
    metadata_until_s: float = -1.0
    keys_again_s: float = -1.0
    fetching: asyncio.Lock = field(default_factory=asyncio.Lock)


class Providers:
    def __init__(self, configs: Sequence[ProviderConfig], clock: Clock, fetcher: Fetcher | None = None) -> None:
        self._providers = {config.name: Provider(config) for config in configs}
        self._clock = clock
        self._fetcher = fetcher or Fetcher()
        self._trips: OrderedDict[str, Trip] = OrderedDict()

    def configs(self) -> Sequence[ProviderConfig]:
        return [one.config for one in self._providers.values()]

    async def depart(
        self, name: str, redirect: str, *, user: str | None = None, session: str | None = None
    ) -> tuple[str, str]:
        """(address to send the browser to, secret that the browser must bring back). Raises: NotFound, Unavailable."""
        provider = self._provider(name)
        await self._know(provider)
        state, nonce, verifier, browser = (secrets.token_urlsafe(32) for _ in range(4))
        now_s = self._clock.monotonic_s()
        while self._trips and (len(self._trips) >= WAITING_MAX or next(iter(self._trips.values())).ends_s <= now_s):
            self._trips.popitem(last=False)
        self._trips[state] = Trip(
            name, nonce, verifier, _hash(browser), redirect, now_s + LIFE_S,
            self._clock.now_ns() // SECOND_NS, user, session,
        )  # fmt: skip
        asked = {
            "response_type": "code",
            "client_id": provider.config.client_id,
            "redirect_uri": redirect,
            "scope": " ".join(dict.fromkeys(("openid", *provider.config.scopes))),
            "state": state,
            "nonce": nonce,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        if session is not None:
            asked |= {"prompt": "login", "max_age": "0"}
        where = str(provider.metadata["authorization_endpoint"])
        return f"{where}{'&' if '?' in where else '?'}{urlencode(asked)}", browser

    async def arrive(self, name: str, answer: Mapping[str, str], browser: str) -> Claims:
        """Raises: AccessError(authenticated=False), NotFound, Unavailable."""
        provider = self._provider(name)
        trip = self._trips.pop(answer.get("state", ""), None)
        if trip is None or self._clock.monotonic_s() >= trip.ends_s:
            raise refused("no sign-in waits for it, or no longer; begin again")
        if not hmac.compare_digest(trip.browser_hash, _hash(browser)):
            raise refused("it was begun in another browser; begin again")
        if trip.provider != name:
            raise refused("it was begun at another provider; begin again")
        said = answer.get("iss")
        told = provider.metadata.get("authorization_response_iss_parameter_supported") is True
        if (said is not None or told) and said != provider.config.issuer:
            raise refused("it is of another issuer")
        if "error" in answer:
            raise refused(f"the provider said '{answer['error'][:60]}'")
        code = answer.get("code", "")
        if not 0 < len(code) <= 8192:
            raise refused("it has no code")
        return await self._exchange(provider, trip, code)

    def way_out(self, name: str, back: str) -> str | None:
        """RP-initiated logout, where the provider has it. Never raises."""
        provider = self._providers.get(name)
        where = None if provider is None else provider.metadata.get("end_session_endpoint")
        if provider is None or not isinstance(where, str):
            return None
        try:
            check_address(where, like=provider.config.issuer)
        except ValueError:
            return None
        asked = {"client_id": provider.config.client_id, "post_logout_redirect_uri": back}
        return f"{where}{'&' if '?' in where else '?'}{urlencode(asked)}"

    async def _exchange(self, provider: Provider, trip: Trip, code: str) -> Claims:
        config, metadata = provider.config, provider.metadata
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": trip.redirect,
            "code_verifier": trip.verifier,
        }
        secret = config.secret()
        methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        basic = None
        if secret is not None and "client_secret_basic" in methods:
            # RFC 6749 §2.3.1: both are form-encoded before they are joined.
            basic = (urlencode({"": config.client_id})[1:], urlencode({"": secret})[1:])
        else:
            form |= {"client_id": config.client_id, **({} if secret is None else {"client_secret": secret})}
        tokens = await self._fetcher.post(str(metadata["token_endpoint"]), form, basic=basic)
        token, access = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(token, str):
            raise refused("it has no ID token")
        access = access if isinstance(access, str) else None
        claims = await self._checked(provider, trip, token, access)
        if access is not None and isinstance(metadata.get("userinfo_endpoint"), str):
            claims = await self._with_profile(provider, claims, access)
        return Claims(config, config.issuer, str(claims["sub"]), claims, trip)

    async def _checked(self, provider: Provider, trip: Trip, token: str, access: str | None) -> Mapping[str, Any]:
        async def check() -> Mapping[str, Any]:
            return checked_claims(
                token,
                provider.keys,
                issuer=provider.config.issuer,
                client_id=provider.config.client_id,
                nonce=trip.nonce,
                now_ns=self._clock.now_ns(),
                access_token=access,
                since_s=trip.started_s if trip.session is not None else None,
            )

        try:
            return await check()
        except UnknownKey:
            # The provider has changed its keys, or somebody makes them up: look again, but not for every forgery.
            if self._clock.monotonic_s() < provider.keys_again_s:
                raise
            async with provider.fetching:
                await self._fetch_keys(provider)
            return await check()

    async def _with_profile(self, provider: Provider, claims: Mapping[str, Any], access: str) -> Mapping[str, Any]:
        wanted = {*_PROFILE, provider.config.user_claim, *(rule.claim for rule in provider.config.roles if rule.claim)}
        if all(name in claims for name in wanted):
            return claims
        profile = await self._fetcher.get(str(provider.metadata["userinfo_endpoint"]), bearer=access)
        if profile.get("sub") != claims["sub"]:  # Core §5.3.2
            raise refused("its profile is of somebody else")
        return {**{name: profile[name] for name in wanted if name in profile}, **claims}

    async def _know(self, provider: Provider) -> None:
        if self._clock.monotonic_s() < provider.metadata_until_s:
            return
        async with provider.fetching:
            if self._clock.monotonic_s() < provider.metadata_until_s:
                return
            issuer = provider.config.issuer
            metadata = await self._fetcher.get(issuer.rstrip("/") + "/.well-known/openid-configuration")
            if metadata.get("issuer") != issuer:  # Discovery §4.3
                raise Unavailable(
                    f"the provider '{provider.config.name}' calls itself otherwise than its 'issuer' here"
                )
            try:
                for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                    check_address(str(metadata.get(name) or ""), like=issuer)
                if metadata.get("userinfo_endpoint") is not None:
                    check_address(str(metadata["userinfo_endpoint"]), like=issuer)
            except ValueError as error:
                raise Unavailable(f"the provider '{provider.config.name}' describes itself wrongly: {error}") from None
            provider.metadata = metadata
            await self._fetch_keys(provider)
            provider.metadata_until_s = self._clock.monotonic_s() + METADATA_LIFE_S

    async def _fetch_keys(self, provider: Provider) -> None:
        provider.keys_again_s = self._clock.monotonic_s() + KEYS_PAUSE_S
        provider.keys = read_keys(await self._fetcher.get(str(provider.metadata["jwks_uri"])))

    def _provider(self, name: str) -> Provider:
        provider = self._providers.get(name)
        if provider is None:
            raise NotFound(f"there is no provider '{name[:80]}'")
        return provider


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
