"""People who prove themselves elsewhere: what a provider says becomes an account here, or does not.

depart ─► oidc/client.py ─► browser ─► provider ─► browser ─► arrive ─► Claims
Claims ─► linked account? ─► its role, as the rules say now ─► enter (a second factor of ours, unless theirs counts)
      └─► none: made, where the file says so: a verified e-mail of an allowed domain, a free name, a rule that fits
      └─► an account of that name already: refused; its owner links it from within

An account is never taken over because a provider names it: only its owner links it, with a fresh proof.
Source: OpenID Connect Core 1.0 §5.7 (only `iss` and `sub` together name a person); IEC 62443-3-3 SR 1.1 RE 3, SR 1.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from headrace.access.entering import Entering
from headrace.access.factor_store import Link
from headrace.access.oidc import Claims
from headrace.access.roles import check_apart, check_role
from headrace.access.room import check_name, lookup
from headrace.access.store import Account
from headrace.access.tenancy import Tenancy
from headrace.model.errors import AccessError, Conflict, HeadraceError, NotFound
from headrace.sdk.access import DEFAULT_TENANT
from headrace.sdk.accounts import User
from headrace.sdk.entry import Departure, ProviderInfo, SecondFactorNeeded, Seen

CALLBACK = "/api/v1/session/oidc/{name}/callback"


class Outside(Entering, Tenancy):
    def providers(self) -> Sequence[ProviderInfo]:
        return [ProviderInfo(one.name, one.title or one.name) for one in self._outside.configs()]

    async def sign_in_notice(self) -> str:
        await self._load()
        return self.memory.tenant(DEFAULT_TENANT).policy.notice

    async def depart(
        self, provider: str, seen: Seen, *, link: str | None = None, again: str | None = None
    ) -> Departure:
        await self._load()
        user = None if link is None else self._keys.check_fresh(link).user
        session = None if again is None else self._keys.session(again).id
        back = seen.origins[0] + CALLBACK.format(name=provider)
        url, browser = await self._outside.depart(provider, back, user=user, session=session)
        return Departure(url, browser)

    async def arrive(self, provider: str, answer: Mapping[str, str], browser: str, seen: Seen) -> tuple[str, str]:
        await self._load()
        self._by_peer.check(seen.peer)
        self._by_peer.begin(seen.peer)
        try:
            claims = await self._outside.arrive(provider, answer, browser)
            secret, user = await self._admit(claims, seen)
        except SecondFactorNeeded:
            self._by_peer.take_back(seen.peer)
            raise
        except HeadraceError as error:
            data = {"peer": seen.peer, "provider": provider[:32], "why": error.message[:200]}
            await self.record("provider", "sign-in", provider[:32], "refused", data)
            raise
        self._by_peer.take_back(seen.peer)
        return secret, user

    def way_out(self, session: str, seen: Seen) -> str | None:
        try:
            proved = self._keys.session(session).proved
        except AccessError:
            return None
        kind, _, rest = proved.partition(":")
        return self._outside.way_out(rest.partition("+")[0], f"{seen.origins[0]}/signin") if kind == "oidc" else None

    # --- within -------------------------------------------------------------------------------------------------

    async def _admit(self, claims: Claims, seen: Seen) -> tuple[str, str]:
        proved = f"oidc:{claims.provider.name}" + ("+provider" if claims.provider.second_factor else "")
        known = self._factors.links.get((claims.issuer, claims.subject))
        if claims.trip.session is not None:
            return await self._again(claims, known, proved)
        if claims.trip.user is not None:
            known = await self._link(claims, claims.trip.user, known)
        account = await self._make(claims) if known is None else await self._as_told(claims, known)
        self._live_account(account.user.name)
        return await self._enter(account, proved, seen), account.user.name

    async def _again(self, claims: Claims, known: Link | None, proved: str) -> tuple[str, str]:
        """A fresh proof of a session. The browser still has its secret: the caller gives it a new one."""
        found = self._keys.session_named(claims.trip.session or "")
        if known is None or found is None or found.user != known.user:
            raise AccessError("this is another account than the one that is signed in", authenticated=False)
        renewed = await self._keys.renew_named(found.id, proved=proved)
        await self.record(
            known.user, "session.proof", found.id, "done", {"proved": proved}, tenant=self._tenant_of(known.user)
        )
        return renewed, known.user

    async def _link(self, claims: Claims, user: str, known: Link | None) -> Link:
        if known is not None and known.user != user:
            raise Conflict("that account opens somebody else's already")
        if known is not None:
            return known
        account = self._live_account(user)
        link = self._link_of(claims, account.user.name, managed=False)
        await self._factors.add_link(link)
        data = {"provider": link.provider, "subject": link.subject}
        await self.record(user, "identity.link", user, "done", data, tenant=account.user.tenant)
        return link

    async def _as_told(self, claims: Claims, known: Link) -> Account:
        """The account, with the role that the rules give it today, where the provider made it."""
        account = self._live_account(known.user)
        self._check_domain(claims)
        if not known.managed:
            return account
        role, tenant = self._role(claims)
        if tenant != account.user.tenant:
            raise AccessError("the provider says that you belong to another tenant now", authenticated=False)
        if role == account.user.role:
            return account
        async with self._changing:
            changed = replace(account, user=replace(account.user, role=role))
            self._check_user(changed.user)
            await self._store.set_account(changed)
            self.memory.accounts[known.user] = changed
            self.memory.changed()
        data = {"role": role, "provider": claims.provider.name}
        await self.record("provider", "user.change", known.user, "done", data, tenant=tenant)
        return changed

    async def _make(self, claims: Claims) -> Account:
        config = claims.provider
        if not config.create:
            raise AccessError(
                "no account here belongs to you; ask an administrator for one, then link it", authenticated=False
            )
        self._check_domain(claims)
        role, tenant = self._role(claims)
        said = claims.email if config.user_claim == "email" else claims.claims.get(config.user_claim)
        if not isinstance(said, str) or not said:
            raise AccessError(f"the provider does not say your '{config.user_claim}'", authenticated=False)
        plain = lookup(said)
        if tenant != DEFAULT_TENANT and not plain.startswith(f"{tenant}."):
            plain = f"{tenant}.{plain}"
        name = check_name(plain, tenant)
        async with self._changing:
            if name in self.memory.accounts:
                raise AccessError(
                    f"there is an account '{name}' already; sign in to it and link it there", authenticated=False
                )
            if tenant == DEFAULT_TENANT and "." in name and name.partition(".")[0] in self.memory.known:
                raise AccessError(f"the name '{name}' would look like one of another tenant", authenticated=False)
            user = User(name, role, created_ns=self._clock.now_ns(), tenant=tenant)
            self._check_user(user)
            account = Account(user, "")  # no password opens it
            await self._store.add_account(account)
            self.memory.accounts[name] = account
            self.memory.changed()
            await self._factors.add_link(self._link_of(claims, name, managed=True))
        data = {"role": role, "provider": config.name, "subject": claims.subject}
        await self.record("provider", "user.create", name, "done", data, tenant=tenant)
        return account

    def _role(self, claims: Claims) -> tuple[str, str]:
        """(role, tenant) of the first rule that fits."""
        rule = next((rule for rule in claims.provider.roles if rule.fits(claims.claims)), None)
        if rule is None:
            raise AccessError("the provider knows you, but no rule gives you a role here", authenticated=False)
        return rule.role, rule.tenant

    def _check_user(self, user: User) -> None:
        """Raises: NotFound, DataError, Conflict: the file names a tenant or a role that cannot be."""
        tenant = self.memory.tenant(user.tenant)
        if tenant.disabled:
            raise NotFound(f"there is no tenant '{user.tenant}'")
        check_role(user.role, self.memory.role_actions(user.tenant))
        if tenant.policy.separate_duties:
            check_apart(user.name, self._actions_of(user))

    @staticmethod
    def _check_domain(claims: Claims) -> None:
        allowed = claims.provider.domains
        if allowed and claims.email.rpartition("@")[2].casefold() not in {one.casefold() for one in allowed}:
            raise AccessError("your e-mail is not verified, or not of a domain that may sign in", authenticated=False)

    def _link_of(self, claims: Claims, user: str, *, managed: bool) -> Link:
        return Link(
            claims.issuer, claims.subject, claims.provider.name, user, claims.email, managed, self._clock.now_ns()
        )
