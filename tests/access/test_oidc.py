"""Signing in through a provider of identities: the right way, and the wrong ones of a hostile provider or page."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, RSAKey
from sqlalchemy import Engine, inspect, text
from tests.access.conftest import BoxSealer, FakeClock
from tests.access.provider import ISSUER, Provider, hmac_of_public
from tests.access.test_factors import HERE, LOCAL, trail, with_totp, with_user

from headrace.access.desk import AccessDesk
from headrace.access.oidc import ProviderConfig, Providers, RoleRule
from headrace.access.oidc.config import check_address, parse_providers, read_providers
from headrace.access.oidc.fetch import BYTES_MAX, Fetcher
from headrace.access.oidc.tokens import ALGORITHMS, checked_claims, read_keys
from headrace.access.passwords import Hasher
from headrace.access.roles import ENROLLING
from headrace.model.errors import AccessError, ConfigError, Conflict, NotFound, Unavailable
from headrace.sdk.accounts import TenantPolicy
from headrace.sdk.entry import FreshProofNeeded, SecondFactorNeeded

CLAUSES = pytest.mark.clause("62443-3-3 SR 1.1")


def config(**changed: Any) -> ProviderConfig:
    rules = (RoleRule(role="engineer", claim="groups", value="eng"), RoleRule(role="viewer"))
    known = {
        "name": "works",
        "title": "Works",
        "issuer": ISSUER,
        "client_id": "headrace",
        "create": True,
        "roles": rules,
    }
    return ProviderConfig(**{**known, **changed})


@pytest.fixture
def provider(clock: FakeClock) -> Provider:
    return Provider(clock)


def desk_of(engine: Engine, clock: FakeClock, provider: Provider, *configs: ProviderConfig) -> AccessDesk:
    providers = Providers(configs or (config(),), clock, Fetcher(provider.transport()))
    return AccessDesk(engine, clock, hasher=Hasher(time_cost=1, memory_kib=8), sealer=BoxSealer(), providers=providers)


@pytest.fixture
def desk(engine: Engine, clock: FakeClock, provider: Provider) -> AccessDesk:
    return desk_of(engine, clock, provider)


async def come(desk: AccessDesk, provider: Provider, **changed: str) -> tuple[str, str]:
    departure = await desk.depart("works", HERE)
    return await desk.arrive("works", provider.go(departure.url, **changed), departure.browser, HERE)


async def refused(desk: AccessDesk, provider: Provider, match: str, **changed: str) -> None:
    with pytest.raises(AccessError, match=match) as error:
        await come(desk, provider, **changed)
    assert not error.value.authenticated
    assert ("sign-in", "refused") in await trail(desk)
    assert [user.name for user in await desk.users()] == []


# --- the right way --------------------------------------------------------------------------------------------------


@CLAUSES
async def test_an_account_is_made_at_the_first_sign_in_and_found_at_the_next(
    desk: AccessDesk, provider: Provider, engine: Engine, clock: FakeClock
) -> None:
    session, user = await come(desk, provider)
    assert (user, (await desk.by_session(session)).role, desk.session(session).proved) == (
        "anna",
        "viewer",
        "oidc:works",
    )
    provider.claims["preferred_username"] = "renamed"  # only issuer and subject name a person
    provider.claims["groups"] = ["eng", "golf"]
    for again in (desk, desk_of(engine, clock, provider)):
        session, user = await come(again, provider)
        assert (user, (await again.by_session(session)).role) == ("anna", "engineer")
    with pytest.raises(AccessError):
        await desk.sign_in("anna", "", peer="::1")
    assert [link.provider for link in (await desk.factors("anna")).identities] == ["works"]


@pytest.mark.clause("GB/T 22239-2019 8.1.4.11")
async def test_nothing_is_kept_of_a_person_but_what_lets_them_in(
    desk: AccessDesk, provider: Provider, engine: Engine
) -> None:
    private = {
        "name": "Anna Karlsson-Wu", "email": "anna.k@private.example", "phone_number": "+46 70 123 45 67",
        "birthdate": "1984-02-29", "picture": "https://private.example/anna.png", "address": {"region": "Elm 7"},
    }  # fmt: skip
    provider.claims.update(private)
    await come(desk, provider)
    kept = ""
    with engine.connect() as connection:
        for table in inspect(engine).get_table_names():
            kept += str(connection.execute(text(f'SELECT * FROM "{table}"')).all())
    assert "anna" in kept
    for word in ("Karlsson", "private.example", "123 45", "1984", "Elm 7"):
        assert word not in kept


async def test_the_question_has_all_that_it_needs_and_the_answer_uses_it(desk: AccessDesk, provider: Provider) -> None:
    departure = await desk.depart("works", HERE)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(departure.url).query).items()}
    assert asked["redirect_uri"] == "http://localhost/api/v1/session/oidc/works/callback"
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert asked["scope"].split()[0] == "openid" and len(asked["nonce"]) >= 32 and len(asked["state"]) >= 32
    await desk.arrive("works", provider.go(departure.url), departure.browser, HERE)
    form = parse_qs(next(one for one in provider.asked if one.url.path == "/token").content.decode())
    digest = hashlib.sha256(form["code_verifier"][0].encode()).digest()
    assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]
    assert departure.browser not in departure.url


async def test_the_client_proves_itself_with_a_secret_that_is_a_reference(
    engine: Engine, clock: FakeClock, provider: Provider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WORKS_SECRET", "p@ss word+")
    await come(desk_of(engine, clock, provider, config(client_secret="env:WORKS_SECRET")), provider)
    token = next(one for one in provider.asked if one.url.path == "/token")
    assert base64.b64decode(token.headers["authorization"].split()[1]) == b"headrace:p%40ss+word%2B"
    (tmp_path / "secret").write_text("from a file\n")
    assert config(client_secret=f"file:{tmp_path}/secret").secret() == "from a file"
    with pytest.raises(ConfigError, match="cannot be read"):
        config(client_secret="file:/no/such").secret()
    with pytest.raises(ConfigError, match="empty"):
        config(client_secret="env:NO_SUCH_VARIABLE").secret()


@CLAUSES
async def test_keys_may_change(desk: AccessDesk, provider: Provider, clock: FakeClock) -> None:
    await come(desk, provider)
    clock.seconds += 60
    provider.key = ECKey.generate_key("P-256", {"kid": "k2"})
    await come(desk, provider)
    fetched = len([one for one in provider.asked if one.url.path == "/keys"])
    stranger = RSAKey.generate_key(2048, {"kid": "made up"})

    def forged(claims: dict[str, Any], header: dict[str, Any]) -> Any:
        header |= {"alg": "RS256", "kid": "made up"}
        return stranger

    provider.wrong = forged
    for _ in range(5):
        with pytest.raises(AccessError, match="unknown key"):
            await come(desk, provider)
    assert len([one for one in provider.asked if one.url.path == "/keys"]) <= fetched + 1, "not for every forgery"


async def test_what_the_token_lacks_is_asked_for(engine: Engine, clock: FakeClock, provider: Provider) -> None:
    del provider.claims["preferred_username"]
    provider.profile = {"sub": "u-1", "preferred_username": "bo", "groups": ["eng"]}
    desk = desk_of(engine, clock, provider)
    session, user = await come(desk, provider)
    assert (user, (await desk.by_session(session)).role) == ("bo", "engineer")
    provider.profile["sub"] = "u-2"
    with pytest.raises(AccessError, match="somebody else"):
        await come(desk, provider)


# --- a hostile answer -----------------------------------------------------------------------------------------------


def _set(**values: Any) -> Any:
    return lambda claims, header: claims.update(values)


def _without(name: str) -> Any:
    return lambda claims, header: claims.pop(name) and None


@CLAUSES
@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (_set(iss="https://evil.example"), "another issuer"),
        (_set(aud="another program"), "another program"),
        (_set(aud=["headrace", "another"]), "another program"),
        (_set(aud=["headrace", "another"], azp="another"), "another program"),
        (_set(azp="another"), "another program"),
        (_set(exp=1_800_000_000 - 61), "expired"),
        (_set(exp="later"), "'exp'"),
        (_set(iat=1_800_000_000 + 120), "not of now"),
        (_set(iat=1_800_000_000 - 3600), "not of now"),
        (_set(nbf=1_800_000_000 + 120), "not of now"),
        (_set(nonce="another sign-in"), "another sign-in"),
        (_without("nonce"), "another sign-in"),
        (_without("exp"), "'exp'"),
        (_without("iat"), "'iat'"),
        (_set(sub=""), "nobody"),
        (_set(at_hash="AAAA"), "access token"),
        (lambda claims, header: header.update(alg="none"), "not allowed"),
    ],
)
async def test_an_id_token_that_is_wrong_in_one_thing(
    desk: AccessDesk, provider: Provider, wrong: Any, match: str
) -> None:
    provider.wrong = wrong
    await refused(desk, provider, match)
    provider.wrong = lambda claims, header: None
    await come(desk, provider)


@CLAUSES
async def test_a_signature_of_another_key_or_with_the_public_one(desk: AccessDesk, provider: Provider) -> None:
    other = RSAKey.generate_key(2048, {"kid": "k1"})
    provider.wrong = lambda claims, header: other
    await refused(desk, provider, "signature is wrong")

    provider.wrong = lambda claims, header: hmac_of_public(header, claims, provider.key)
    await refused(desk, provider, "not allowed")
    provider.wrong = lambda claims, header: None
    provider.token = lambda token: token[:-6] + ("AAAAAA" if not token.endswith("AAAAAA") else "BBBBBB")
    await refused(desk, provider, "signature is wrong")
    assert not any(name.startswith("HS") or name == "none" for name in ALGORITHMS)


@CLAUSES
async def test_state_and_code_are_good_once_in_one_browser(desk: AccessDesk, provider: Provider) -> None:
    departure = await desk.depart("works", HERE)
    answer = provider.go(departure.url)
    with pytest.raises(AccessError, match="another browser"):  # login CSRF: somebody else's answer in my browser
        await desk.arrive("works", answer, "another browser's secret", HERE)
    with pytest.raises(AccessError, match="no sign-in waits"):
        await desk.arrive("works", answer, departure.browser, HERE)
    departure = await desk.depart("works", HERE)
    answer = provider.go(departure.url)
    await desk.arrive("works", answer, departure.browser, HERE)
    with pytest.raises(AccessError, match="no sign-in waits"):
        await desk.arrive("works", answer, departure.browser, HERE)
    later = await desk.depart("works", HERE)
    with pytest.raises(Unavailable, match="refused"):  # the code was used
        await desk.arrive("works", {**provider.go(later.url), "code": answer["code"]}, later.browser, HERE)
    with pytest.raises(AccessError, match="no sign-in waits"):
        await desk.arrive("works", {}, "", HERE)


async def test_an_answer_too_late(desk: AccessDesk, provider: Provider, clock: FakeClock) -> None:
    departure = await desk.depart("works", HERE)
    clock.seconds += 600
    with pytest.raises(AccessError, match="no longer"):
        await desk.arrive("works", provider.go(departure.url), departure.browser, HERE)


@CLAUSES
async def test_one_provider_is_not_taken_for_another(engine: Engine, clock: FakeClock, provider: Provider) -> None:
    desk = desk_of(engine, clock, provider, config(), config(name="other", client_id="o"))
    departure = await desk.depart("works", HERE)
    with pytest.raises(AccessError, match="another provider"):
        await desk.arrive("other", provider.go(departure.url), departure.browser, HERE)
    await refused(desk, provider, "another issuer", iss="https://evil.example")
    departure = await desk.depart("works", HERE)
    answer = provider.go(departure.url)
    del answer["iss"]  # RFC 9207: one that says it always says it
    with pytest.raises(AccessError, match="another issuer"):
        await desk.arrive("works", answer, departure.browser, HERE)


async def test_an_error_of_the_provider(desk: AccessDesk, provider: Provider) -> None:
    await refused(desk, provider, "access_denied", error="access_denied")


# --- a hostile description ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://id.example/token"},
        {"jwks_uri": "http://127.0.0.1:8470/keys"},
        {"token_endpoint": "https://localhost/token"},
        {"authorization_endpoint": None},
        {"userinfo_endpoint": "file:///etc/passwd"},
        {"jwks_uri": "https://user:word@id.example/keys"},
        {"token_endpoint": "https://id.example/\r\nHost: evil"},
    ],
)
async def test_a_provider_that_describes_itself_wrongly(
    desk: AccessDesk, provider: Provider, metadata: dict[str, Any]
) -> None:
    provider.metadata = metadata
    with pytest.raises(Unavailable):
        await desk.depart("works", HERE)
    assert {request.url.path for request in provider.asked} == {"/.well-known/openid-configuration"}


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(302, headers={"Location": "http://169.254.169.254/latest/meta-data"}),
        httpx.Response(200, content=b"{" + b" " * BYTES_MAX + b"}"),
        httpx.Response(200, content=b"[]"),
        httpx.Response(200, content=b"\xff\xfe"),
        httpx.Response(500, json={"issuer": ISSUER}),
    ],
    ids=["redirect", "large", "list", "bytes", "status"],
)
async def test_answers_are_bounded_and_no_redirect_is_followed(
    desk: AccessDesk, provider: Provider, answer: httpx.Response
) -> None:
    provider.answer = lambda request: httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
    too_much = len(answer.content) > BYTES_MAX
    with pytest.raises(Unavailable, match="too much" if too_much else None):
        await desk.depart("works", HERE)
    assert len(provider.asked) == 1


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://id.example", True),
        ("http://127.0.0.1:3000/x", True),
        ("http://localhost:3000", True),
        ("http://id.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("ftp://id.example", False),
        ("https://", False),
        ("https://a@b", False),
        ("https://[::1", False),
        ("https://id.example:99999", False),
        ("//id.example", False),
    ],
)
def test_which_addresses_may_be_asked(url: str, good: bool) -> None:
    try:
        check_address(url)
    except ValueError:
        assert not good
    else:
        assert good


# --- who becomes whom -----------------------------------------------------------------------------------------------


async def test_an_account_that_is_there_is_never_taken_over(desk: AccessDesk, provider: Provider) -> None:
    mine = await with_user(desk, "anna", "owner")
    with pytest.raises(AccessError, match="link it there"):
        await come(desk, provider)
    departure = await desk.depart("works", HERE, link=mine)
    _, user = await desk.arrive("works", provider.go(departure.url), departure.browser, HERE)
    assert user == "anna"
    session, _ = await come(desk, provider)
    assert (await desk.by_session(session)).role == "owner", "a linked account keeps its role"
    other = await with_user(desk, "bo")
    departure = await desk.depart("works", HERE, link=other)
    with pytest.raises(Conflict, match="somebody else"):
        await desk.arrive("works", provider.go(departure.url), departure.browser, HERE)
    await desk.remove_identity(session, "works")
    with pytest.raises(AccessError, match="link it there"):
        await come(desk, provider)


async def test_linking_takes_a_fresh_proof(desk: AccessDesk, clock: FakeClock) -> None:
    session = await with_user(desk, "anna")
    clock.seconds += 300
    with pytest.raises(FreshProofNeeded):
        await desk.depart("works", HERE, link=session)


@CLAUSES
async def test_only_a_verified_address_of_an_allowed_domain(
    engine: Engine, clock: FakeClock, provider: Provider
) -> None:
    desk = desk_of(engine, clock, provider, config(domains=("works.example",), user_claim="email"))
    for claims in (
        {},
        {"email": "anna@works.example"},
        {"email": "anna@works.example", "email_verified": False},
        {"email": "anna@works.example", "email_verified": "true"},
        {"email": "anna@evil.example", "email_verified": True},
        {"email": "anna@works.example.evil.example", "email_verified": True},
    ):
        provider.claims = {"sub": "u-1", **claims}
        await refused(desk, provider, "not verified, or not of a domain")
    provider.claims = {"sub": "u-1", "email": "Anna@Works.example", "email_verified": True}
    assert (await come(desk, provider))[1] == "anna@works.example"
    provider.claims["email"] = "anna@evil.example"
    with pytest.raises(AccessError, match="domain"):
        await come(desk, provider)


async def test_nobody_gets_in_without_a_rule_or_where_none_are_made(
    engine: Engine, clock: FakeClock, provider: Provider
) -> None:
    desk = desk_of(engine, clock, provider, config(roles=(RoleRule(role="viewer", claim="groups", value="eng"),)))
    await refused(desk, provider, "no rule")
    desk = desk_of(engine, clock, provider, config(create=False))
    await refused(desk, provider, "ask an administrator")


async def test_a_rule_leads_into_its_tenant_and_nowhere_else(
    engine: Engine, clock: FakeClock, provider: Provider
) -> None:
    rules = (RoleRule(role="operator", tenant="beta", claim="org", value="beta"), RoleRule(role="viewer"))
    desk = desk_of(engine, clock, provider, config(roles=rules))
    provider.claims["org"] = "beta"
    with pytest.raises(NotFound):  # the file names a tenant that is not there
        await come(desk, provider)
    await desk.create_tenant(LOCAL, "beta", "Beta", ["beta"])
    session, user = await come(desk, provider)
    principal = await desk.by_session(session)
    assert (user, principal.tenant, principal.role) == ("beta.anna", "beta", "operator")
    provider.claims["org"] = "gamma"
    with pytest.raises(AccessError, match="another tenant"):
        await come(desk, provider)
    provider.claims |= {"sub": "u-2", "preferred_username": "beta.zoe"}
    with pytest.raises(AccessError, match="another tenant"):  # a name of the platform's own that looks like beta's
        await come(desk, provider)


async def test_a_closed_account_stays_closed(desk: AccessDesk, provider: Provider) -> None:
    await with_user(desk, "root", "owner")
    await come(desk, provider)
    await desk.update_user(LOCAL, "anna", disabled=True)
    with pytest.raises(AccessError):
        await come(desk, provider)


async def test_our_second_factor_comes_after_theirs_unless_theirs_counts(
    engine: Engine, clock: FakeClock, provider: Provider
) -> None:
    desk = desk_of(engine, clock, provider)
    await with_user(desk, "root", "owner")
    session, _ = await come(desk, provider)
    await desk.set_policy(LOCAL, TenantPolicy(second_factor="everyone"))
    assert (await desk.by_session(session)).role == ENROLLING
    await with_totp(desk, clock, session)
    with pytest.raises(SecondFactorNeeded):
        await come(desk, provider)
    trusted = desk_of(engine, clock, provider, config(second_factor=True))
    session, _ = await come(trusted, provider)
    assert (await trusted.by_session(session)).role == "viewer"
    assert trusted.session(session).proved == "oidc:works+provider"


@CLAUSES
async def test_a_provider_can_prove_again_and_must_have_asked(
    desk: AccessDesk, provider: Provider, clock: FakeClock
) -> None:
    session, _ = await come(desk, provider)
    clock.seconds += 400
    with pytest.raises(FreshProofNeeded):
        desk.check_fresh(session)
    departure = await desk.depart("works", HERE, again=session)
    assert "prompt=login" in departure.url and "max_age=0" in departure.url
    provider.claims["auth_time"] = clock.seconds - 400
    with pytest.raises(AccessError, match="did not ask again"):
        await desk.arrive("works", provider.go(departure.url), departure.browser, HERE)
    departure = await desk.depart("works", HERE, again=session)
    provider.claims["auth_time"] = clock.seconds
    renewed, _ = await desk.arrive("works", provider.go(departure.url), departure.browser, HERE)
    desk.check_fresh(renewed)
    with pytest.raises(AccessError):
        desk.session(session)
    departure = await desk.depart("works", HERE, again=renewed)
    provider.claims |= {"sub": "u-9", "preferred_username": "zoe"}
    with pytest.raises(AccessError, match="another account"):
        await desk.arrive("works", provider.go(departure.url), departure.browser, HERE)


async def test_signing_out_there_too(desk: AccessDesk, provider: Provider) -> None:
    provider.metadata["end_session_endpoint"] = f"{ISSUER}/out"
    session, _ = await come(desk, provider)
    way = desk.way_out(session, HERE)
    assert way is not None and way.startswith(f"{ISSUER}/out?client_id=headrace&post_logout_redirect_uri=http")
    assert desk.way_out(await with_user(desk), HERE) is None and desk.way_out("nothing", HERE) is None


# --- bytes and text from outside ------------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@given(st.text(max_size=200) | st.binary(max_size=80).map(lambda raw: f"{base64.urlsafe_b64encode(raw).decode()}.a.b"))
def test_whatever_calls_itself_a_token(token: str) -> None:
    with pytest.raises(AccessError):
        checked_claims(token, [], issuer=ISSUER, client_id="headrace", nonce="n", now_ns=0)


@given(st.dictionaries(st.sampled_from(["keys", "x"]), _JSON | st.lists(st.dictionaries(
    st.sampled_from(["kty", "n", "e", "crv", "x", "y", "kid", "use", "k"]),
    st.sampled_from(["RSA", "EC", "OKP", "oct", "P-256", "Ed25519", "AQAB", "sig"]) | _JSON), max_size=3)))  # fmt: skip
def test_whatever_calls_itself_a_set_of_keys(keys: dict[str, Any]) -> None:
    assert all(not key.is_private for key in read_keys(keys))


def test_weak_and_private_and_shared_keys_are_passed_over() -> None:
    weak, good = RSAKey.generate_key(1024, {"kid": "w"}, auto_kid=False), RSAKey.generate_key(2048, {"kid": "g"})
    listed = [weak.as_dict(private=False), good.as_dict(private=True), {"kty": "oct", "k": "AAAA", "kid": "s"}]
    found = read_keys({"keys": listed})
    assert [key.kid for key in found] == ["g"] and not found[0].is_private


@given(st.text(max_size=200))
def test_whatever_calls_itself_a_file_of_providers(written: str) -> None:
    with pytest.raises(ConfigError):
        parse_providers(written, "providers.yaml")


FILE = """\
providers:
  - name: works
    issuer: https://id.example.com
    client_id: headrace
    client_secret: env:WORKS_SECRET
    domains: [example.com]
    create: true
    roles:
      - {claim: groups, value: plant-operators, role: operator}
      - {role: viewer}
"""


def test_the_file_of_providers(tmp_path: Path) -> None:
    path = tmp_path / "providers.yaml"
    path.write_text(FILE)
    (found,) = read_providers(path)
    assert (found.name, found.create, len(found.roles), found.second_factor) == ("works", True, 2, False)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_providers(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("client_id:", "clientid:", "providers.yaml:4: 'clientid' is not known here; did you mean 'client_id'?"),
        ("role: operator", "rol: operator", "providers.yaml:9: "),
        ("https://id.example.com", "http://id.example.com", "providers.yaml:3: .* must be https"),
        ("env:WORKS_SECRET", "hunter2", "providers.yaml:5: "),
        ("name: works", "name: Works!", "providers.yaml:2: "),
        ("providers:", "provider:", "providers.yaml.*did you mean 'providers'"),
        ("create: true", "create: [", "providers.yaml:.*no YAML"),
    ],
)
def test_what_is_wrong_in_it_is_said_with_its_line(old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_providers(FILE.replace(old, new, 1), "providers.yaml")
    assert re.search(said, str(error.value)), str(error.value)
