"""Tenants, parts of the plant, roles of one's own, separate duties, and what partners let each other see."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine
from tests.access.conftest import FakeClock, make_desk
from tests.access.test_desk import GOOD, LOCAL

from headrace.access.desk import AccessDesk
from headrace.model.errors import AccessError, Conflict, DataError, NotFound
from headrace.model.time import SECOND_NS
from headrace.sdk.access import Action, Principal
from headrace.sdk.accounts import OwnRole, Part, TenantPolicy

LINE = "acme/suzhou/line-1"
CLAUSE = pytest.mark.clause("62443-3-3 SR 5.1", "62443-3-3 SR 2.1", "GB/T 22239-2019 8.1.4.2")


async def enter(desk: AccessDesk, name: str, once: str) -> Principal:
    await desk.change_password(name, once, GOOD)
    session, _ = await desk.sign_in(name, GOOD, peer="::1")
    return await desk.by_session(session)


async def firm(desk: AccessDesk, name: str, *roots: str, separate: bool = False) -> Principal:
    """A tenant, and its owner (or administrator) signed in."""
    _, passwords = await desk.create_tenant(LOCAL, name, name.title(), roots or (name,), separate_duties=separate)
    user = f"{name}.{'admin' if separate else 'owner'}"
    return await enter(desk, user, passwords[user])


async def person(desk: AccessDesk, actor: Principal, name: str, role: str, *parts: Part) -> Principal:
    _, once = await desk.create_user(actor, name, role, parts=parts)
    return await enter(desk, name, once)


def may(desk: AccessDesk, who: Principal, action: Action, path: str) -> bool:
    try:
        desk.check(who, action, path)
    except AccessError:
        return False
    return True


# --- parts of the plant ---------------------------------------------------------------------------------------------


@CLAUSE
async def test_a_role_on_a_part_counts_there_and_below(desk: AccessDesk) -> None:
    li = await person(desk, LOCAL, "li", "member", Part("operator", LINE), Part("viewer", "acme/suzhou"))
    assert may(desk, li, Action.WRITE, f"{LINE}/press-1/speed")
    assert not may(desk, li, Action.WRITE, "acme/suzhou/line-10/press-1/speed")
    assert may(desk, li, Action.VIEW, "acme/suzhou/line-10/press-1/speed")
    assert not may(desk, li, Action.VIEW, "acme/wuxi")
    assert not may(desk, li, Action.VIEW, "")  # the whole is more than a part


async def test_authority_that_is_lent_ends_by_itself(desk: AccessDesk, clock: FakeClock) -> None:
    end = clock.now_ns() + 3600 * SECOND_NS
    li = await person(desk, LOCAL, "li", "viewer", Part("operator", LINE, end))
    assert may(desk, li, Action.WRITE, LINE)
    clock.seconds += 3599
    assert may(desk, li, Action.WRITE, LINE)
    clock.seconds += 1
    assert not may(desk, li, Action.WRITE, LINE)
    assert may(desk, li, Action.VIEW, LINE)


async def test_parts_outlive_a_restart(desk: AccessDesk, engine: Engine, clock: FakeClock) -> None:
    await desk.create_user(LOCAL, "li", "member", parts=[Part("operator", LINE), Part("viewer", "acme", 2**62)])
    again = make_desk(engine, clock)
    assert set((await again.user("li")).parts) == {Part("operator", LINE), Part("viewer", "acme", 2**62)}
    await again.update_user(LOCAL, "li", parts=[])
    assert (await make_desk(engine, clock).user("li")).parts == ()


async def test_a_right_that_is_taken_away_is_gone_for_who_holds_a_principal(desk: AccessDesk) -> None:
    li = await person(desk, LOCAL, "li", "operator")
    before = desk.version
    await desk.update_user(LOCAL, "li", role="viewer")
    assert desk.version > before
    assert not may(desk, li, Action.WRITE, LINE)
    await desk.update_user(LOCAL, "li", disabled=True)
    assert not may(desk, li, Action.VIEW, LINE)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (Part("made-up", LINE), "is no role"),
        (Part("viewer", "acme//x"), "is not a name"),
        (Part("viewer", LINE, 1), "would have ended"),
    ],
)
async def test_parts_that_cannot_be_are_refused(desk: AccessDesk, part: Part, said: str) -> None:
    with pytest.raises(DataError, match=said):
        await desk.create_user(LOCAL, "li", "viewer", parts=[part])


# --- tenants --------------------------------------------------------------------------------------------------------


@CLAUSE
async def test_tenants_own_their_roots_and_nothing_else(desk: AccessDesk) -> None:
    acme, beta = await firm(desk, "acme"), await firm(desk, "beta", "beta", "beta-north")
    for action in Action:
        assert may(desk, acme, action, "acme/x") == (action is not Action.OPERATE)
        for path in ("beta", "beta/x", "beta-north/x", "elsewhere", "acme-2"):
            assert not may(desk, acme, action, path), (action, path)
    assert may(desk, beta, Action.VIEW, "beta-north/x")
    # Nor does the platform's own tenant see into them.
    assert may(desk, LOCAL, Action.VIEW, "elsewhere/x")
    assert not may(desk, LOCAL, Action.VIEW, "acme/x")
    assert not may(desk, LOCAL, Action.WRITE, "beta/x")


@CLAUSE
async def test_what_is_another_tenants_is_not_there(desk: AccessDesk) -> None:
    acme, beta = await firm(desk, "acme"), await firm(desk, "beta")
    token, secret = await desk.create_token(beta, "grafana", "viewer")
    await person(desk, beta, "beta.li", "viewer")
    assert [user.name for user in await desk.users("acme")] == ["acme.owner"]
    assert await desk.tokens("acme") == []
    for attempt in (
        desk.update_user(acme, "beta.li", role="owner"),
        desk.delete_user(acme, "beta.li"),
        desk.reset_password(acme, "beta.li"),
        desk.delete_token(acme, token.id),
        desk.update_user(LOCAL, "beta.li", disabled=True),
    ):
        with pytest.raises(NotFound, match="there is no"):
            await attempt
    principal = await desk.by_token(secret)
    assert (principal.tenant, may(desk, principal, Action.VIEW, "beta/x")) == ("beta", True)
    assert not may(desk, principal, Action.VIEW, "acme/x")
    with pytest.raises(DataError, match=r"write 'acme\.wang'"):
        await desk.create_user(acme, "wang", "viewer")
    with pytest.raises(DataError, match="not below what 'acme' owns"):
        await desk.create_user(acme, "acme.wang", "member", parts=[Part("viewer", "beta/x")])
    with pytest.raises(DataError, match="would look like one of"):
        await desk.create_user(LOCAL, "acme.spy", "viewer")


async def test_who_may_make_tenants(desk: AccessDesk) -> None:
    acme = await firm(desk, "acme")
    with pytest.raises(AccessError):
        await desk.create_tenant(acme, "beta", "", ["beta"])
    for name, roots, error in (
        ("acme", ["b"], Conflict),
        ("default", ["b"], DataError),
        ("Beta", ["b"], DataError),
        ("beta", ["acme"], Conflict),
        ("beta", ["a/b"], DataError),
        ("beta", [], DataError),
    ):
        with pytest.raises(error):
            await desk.create_tenant(LOCAL, name, "", roots)
    assert [one.name for one in await desk.tenants()] == ["default", "acme"]


async def test_a_closed_tenant_lets_nobody_in_and_keeps_its_roots(desk: AccessDesk) -> None:
    acme = await firm(desk, "acme")
    _, secret = await desk.create_token(acme, "t", "viewer")
    await desk.update_tenant(LOCAL, "acme", disabled=True)
    assert not may(desk, acme, Action.VIEW, "acme/x")
    for attempt in (desk.by_token(secret), desk.sign_in("acme.owner", GOOD, peer="::1")):
        with pytest.raises(AccessError):
            await attempt
    assert not may(desk, LOCAL, Action.VIEW, "acme/x")
    await desk.update_tenant(LOCAL, "acme", disabled=False)
    assert may(desk, await desk.by_token(secret), Action.VIEW, "acme/x")


# --- duties ---------------------------------------------------------------------------------------------------------


@pytest.mark.clause("GB/T 22239-2019 8.2.3.3", "62443-3-3 SR 2.8")
async def test_what_the_operator_does_to_a_firm_is_in_its_own_trail(desk: AccessDesk) -> None:
    await desk.create_tenant(LOCAL, "acme", "Acme", ["acme"])
    await desk.create_tenant(LOCAL, "beta", "Beta", ["beta"])
    await desk.update_tenant(LOCAL, "acme", disabled=True)
    for trail, seen in (("acme", {"acme"}), ("default", {"acme", "beta"})):
        entries, _ = await desk.trail.page(trail)
        acts = [(entry.actor, entry.action, entry.subject) for entry in entries if entry.action.startswith("tenant.")]
        assert ("local", "tenant.change", "acme") in acts and {subject for *_, subject in acts} == seen


@pytest.mark.clause("62443-3-3 SR 2.1", "GB/T 22239-2019 8.1.5.1", "GB/T 22239-2019 8.1.5.2", "GB/T 22239-2019 8.1.5.3")
async def test_separate_duties_stay_separate(desk: AccessDesk) -> None:
    admin = await firm(desk, "acme", separate=True)
    assert {user.name: user.role for user in await desk.users("acme")} == {
        "acme.admin": "administrator",
        "acme.security": "security-officer",
        "acme.audit": "auditor",
    }
    for attempt in (
        desk.create_user(admin, "acme.x", "owner"),
        desk.create_user(admin, "acme.x", "auditor"),
        desk.update_user(admin, "acme.admin", parts=[Part("engineer")]),
    ):
        with pytest.raises((AccessError, Conflict)):
            await attempt
    with pytest.raises(AccessError):
        await desk.set_role(admin, OwnRole("all", "", (Action.VIEW, Action.AUDIT)))
    made = await person(desk, admin, "acme.li", "engineer")
    assert may(desk, made, Action.CONFIGURE, "acme/x")


async def test_duties_can_be_separated_once_nobody_holds_two(desk: AccessDesk) -> None:
    await desk.bootstrap()
    with pytest.raises(Conflict, match="administrator and security officer"):
        await desk.set_policy(LOCAL, TenantPolicy(separate_duties=True))
    for name, role in (("sec", "security-officer"), ("aud", "auditor"), ("adm", "administrator")):
        await desk.create_user(LOCAL, name, role)
    await desk.update_user(LOCAL, "admin", role="engineer")
    await desk.set_policy(LOCAL, TenantPolicy(separate_duties=True))
    assert (await desk.tenant("default")).policy.separate_duties


async def test_roles_of_ones_own(desk: AccessDesk, engine: Engine, clock: FakeClock) -> None:
    acme, beta = await firm(desk, "acme"), await firm(desk, "beta")
    await desk.set_role(acme, OwnRole("shift-lead", "Shift lead", (Action.VIEW, Action.WRITE, Action.APPROVE)))
    li = await person(desk, acme, "acme.li", "shift-lead")
    assert may(desk, li, Action.APPROVE, "acme/x") and not may(desk, li, Action.CONFIGURE, "acme/x")
    with pytest.raises(DataError, match="is no role"):
        await desk.create_user(beta, "beta.li", "shift-lead")
    with pytest.raises(Conflict, match=r"acme\.li"):
        await desk.delete_role(acme, "shift-lead")
    await desk.set_role(acme, OwnRole("shift-lead", "Shift lead", (Action.VIEW,)))
    assert not may(desk, li, Action.WRITE, "acme/x")
    again = make_desk(engine, clock)
    assert [role.actions for role in await again.own_roles("acme")] == [(Action.VIEW,)]
    await desk.update_user(acme, "acme.li", role="viewer")
    await desk.delete_role(acme, "shift-lead")
    assert await desk.own_roles("acme") == []
    for name in ("owner", "Bad Name", ""):
        with pytest.raises(DataError):
            await desk.set_role(acme, OwnRole(name, "", (Action.VIEW,)))


# --- tokens with scopes ---------------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 1.2", "62443-3-3 SR 2.1")
async def test_a_token_may_do_no_more_than_its_scopes(desk: AccessDesk, engine: Engine, clock: FakeClock) -> None:
    _, secret = await desk.create_token(LOCAL, "line", "engineer", paths=[LINE], actions=[Action.VIEW, Action.WRITE])
    for one in (desk, make_desk(engine, clock)):
        token = await one.by_token(secret)
        assert may(one, token, Action.WRITE, f"{LINE}/x")
        assert not may(one, token, Action.CONFIGURE, f"{LINE}/x")
        assert not may(one, token, Action.VIEW, "acme/suzhou/line-2")
        assert not may(one, token, Action.VIEW, "")


# --- partners -------------------------------------------------------------------------------------------------------

SPAN: dict[str, Any] = {"start_ns": 1, "end_ns": 2**62}


@CLAUSE
async def test_a_grant_is_seen_until_it_is_ended(desk: AccessDesk, engine: Engine, clock: FakeClock) -> None:
    acme, beta = await firm(desk, "acme"), await firm(desk, "beta")
    grant = await desk.share(acme, "beta", "acme/line", "warranty of press 3", patterns=["*/oil.*"], **SPAN)
    for one in (desk, make_desk(engine, clock)):
        await one.users()
        (seen,) = one.rights(beta).shared
        assert (seen.grant, seen.owner, seen.subtree, seen.patterns) == (grant.id, "acme", "acme/line", ("*/oil.*",))
        assert (seen.start_ns, seen.end_ns) == (1, 2**62)
    assert not may(desk, beta, Action.VIEW, "acme/line")  # a grant is no right: whoever answers narrows it
    assert not may(desk, beta, Action.WRITE, "acme/line")
    given, received = await desk.partner_grants("acme")
    assert ([one.id for one in given], received) == ([grant.id], [])
    assert [one.id for one in (await desk.partner_grants("beta"))[1]] == [grant.id]
    with pytest.raises(NotFound):
        await desk.end_grant(beta, grant.id)
    version = desk.version
    await desk.end_grant(acme, grant.id)
    assert desk.rights(beta).shared == () and desk.version > version
    assert make_desk(engine, clock).rights(beta).shared == ()


async def test_a_grant_ends_by_itself(desk: AccessDesk, clock: FakeClock) -> None:
    acme, beta = await firm(desk, "acme"), await firm(desk, "beta")
    await desk.share(acme, "beta", "acme", "audit", expires_ns=clock.now_ns() + 60 * SECOND_NS)
    assert desk.rights(beta).shared
    clock.seconds += 60
    assert not desk.rights(beta).shared


async def test_who_sees_a_part_only_sees_no_grants(desk: AccessDesk) -> None:
    acme, beta = await firm(desk, "acme"), await firm(desk, "beta")
    await desk.share(acme, "beta", "acme", "audit")
    li = await person(desk, beta, "beta.li", "member", Part("viewer", "beta/line"))
    assert desk.rights(li).shared == ()


async def test_nobody_shares_what_is_not_theirs(desk: AccessDesk) -> None:
    acme, beta = await firm(desk, "acme"), await firm(desk, "beta")
    engineer = await person(desk, acme, "acme.li", "engineer")
    with pytest.raises(AccessError):
        await desk.share(acme, "default", "beta/line", "mine now")
    with pytest.raises(AccessError):
        await desk.share(engineer, "beta", "acme/line", "no right")
    for partner, subtree, purpose, error in (
        ("acme", "acme", "x", DataError),
        ("gamma", "acme", "x", NotFound),
        ("beta", "acme", " ", DataError),
        ("beta", "acme/", "x", DataError),
    ):
        with pytest.raises(error):
            await desk.share(acme, partner, subtree, purpose)
    await desk.update_tenant(LOCAL, "acme", disabled=True)
    assert desk.rights(beta).shared == ()
