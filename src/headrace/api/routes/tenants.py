"""Firms on the hub: tenants, their roles and policy, and what they let each other see."""

from __future__ import annotations

from headrace.access.roles import RIGHTS as BUILT_IN
from headrace.api.context import ByCaller, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.schemas.tenants import (
    CreatedTenant,
    GrantAnswer,
    GrantsAnswer,
    NewGrant,
    NewTenant,
    PartnerAnswer,
    PolicyAnswer,
    PolicyRequest,
    RoleAnswer,
    RoleRequest,
    TenantAnswer,
    TenantChange,
)
from headrace.api.times import time_ns_of
from headrace.model.errors import DataError
from headrace.sdk.access import Action
from headrace.sdk.accounts import OwnRole

router = api_router("Access")


@router.get("/roles", operation_id="listRoles", summary="Roles and what each may do")
async def list_roles(caller: ByCaller, services: WithServices) -> list[RoleAnswer]:
    """The built-in ones, then your tenant's own."""
    built_in = [OwnRole(name, name, tuple(sorted(actions))) for name, actions in BUILT_IN.items()]
    own = await services.access.own_roles(caller.principal.tenant)
    return [RoleAnswer.of(one, built_in=True) for one in built_in] + [RoleAnswer.of(one, built_in=False) for one in own]


@router.put("/roles/{name}", operation_id="setRole", summary="Make or change a role of your own")
async def set_role(name: str, body: RoleRequest, caller: ByCaller, services: WithServices) -> RoleAnswer:
    """Counts for everybody who has it, from the next request on."""
    role = await services.access.set_role(caller.principal, OwnRole(name, body.title, tuple(body.actions)))
    return RoleAnswer.of(role, built_in=False)


@router.delete("/roles/{name}", operation_id="deleteRole", summary="Remove a role of your own", status_code=204)
async def delete_role(name: str, caller: ByCaller, services: WithServices) -> None:
    await services.access.delete_role(caller.principal, name)


@router.get("/tenant", operation_id="getTenant", summary="Your own tenant, and its policy")
async def get_tenant(caller: ByCaller, services: WithServices) -> TenantAnswer:
    return TenantAnswer.of(await services.access.tenant(caller.principal.tenant))


@router.get("/tenant/policy", operation_id="getPolicy", summary="The policy of your own tenant, and its bounds")
async def get_policy(caller: ByCaller, services: WithServices) -> PolicyAnswer:
    tenant = await services.access.tenant(caller.principal.tenant)
    return PolicyAnswer.of(tenant.policy, services.access.platform_policy())


@router.patch("/tenant/policy", operation_id="setPolicy", summary="Change the policy of your own tenant")
async def set_policy(body: PolicyRequest, caller: ByCaller, services: WithServices) -> TenantAnswer:
    """409 where it does not fit who holds which duties now."""
    if not body.model_fields_set:
        raise DataError("say what to change")
    known = await services.access.tenant(caller.principal.tenant)
    return TenantAnswer.of(await services.access.set_policy(caller.principal, body.over(known.policy)))


@router.get("/tenants", operation_id="listTenants", summary="All tenants of the platform")
async def list_tenants(services: WithServices) -> list[TenantAnswer]:
    return [TenantAnswer.of(one) for one in await services.access.tenants()]


@router.post("/tenants", operation_id="createTenant", summary="Take a firm in", status_code=201)
async def create_tenant(body: NewTenant, caller: ByCaller, services: WithServices) -> CreatedTenant:
    """Made by the operator of the platform, who hands its first accounts over and does not see into it."""
    tenant, passwords = await services.access.create_tenant(
        caller.principal, body.name, body.title, body.roots, separate_duties=body.separate_duties
    )
    return CreatedTenant(tenant=TenantAnswer.of(tenant), one_time_passwords=dict(passwords))


@router.patch("/tenants/{name}", operation_id="updateTenant", summary="Close or reopen a tenant")
async def update_tenant(name: str, body: TenantChange, caller: ByCaller, services: WithServices) -> TenantAnswer:
    """A closed tenant lets nobody in; nothing of it is lost."""
    if not body.model_fields_set:
        raise DataError("say what to change: 'title' or 'disabled'")
    changed = await services.access.update_tenant(caller.principal, name, title=body.title, disabled=body.disabled)
    return TenantAnswer.of(changed)


@router.get("/partners", operation_id="listPartners", summary="Whom you may share with")
async def list_partners(caller: ByCaller, services: WithServices) -> list[PartnerAnswer]:
    tenants = await services.access.tenants()
    return [
        PartnerAnswer(name=one.name, title=one.title)
        for one in tenants
        if one.name != caller.principal.tenant and not one.disabled
    ]


@router.get("/grants", operation_id="listGrants", summary="What partners may see, and what they let you see")
async def list_grants(caller: ByCaller, services: WithServices) -> GrantsAnswer:
    """Those received, to who sees all of the tenant; those given, as far as one sees what they are of."""
    rights = services.access.rights(caller.principal)
    given, received = await services.access.partner_grants(caller.principal.tenant)
    area = rights.area(Action.VIEW)
    given = [one for one in given if area.covers(one.subtree)]
    received = [one for one in received if Action.VIEW in rights.whole]
    others = {one.partner for one in given} | {one.owner for one in received}
    titles = {one.name: one.title for one in await services.access.tenants() if one.name in others and one.title}
    return GrantsAnswer(
        given=[GrantAnswer.of(one) for one in given],
        received=[GrantAnswer.of(one) for one in received],
        titles=titles,
    )


@router.post("/grants", operation_id="createGrant", summary="Let a partner see a part of the plant", status_code=201)
async def create_grant(body: NewGrant, caller: ByCaller, services: WithServices) -> GrantAnswer:
    """Reading only. Every read through it is in the audit trails of both."""
    now_ns = services.clock.now_ns()

    def moment(text: str | None) -> int | None:
        return None if text is None else time_ns_of(text, now_ns)

    grant = await services.access.share(
        caller.principal,
        body.partner,
        body.asset,
        body.purpose,
        patterns=body.points,
        start_ns=moment(body.start),
        end_ns=moment(body.end),
        expires_ns=moment(body.expires_at),
    )
    return GrantAnswer.of(grant)


@router.post("/grants/{id}/end", operation_id="endGrant", summary="End a grant")
async def end_grant(id: str, caller: ByCaller, services: WithServices) -> GrantAnswer:
    """Counts from the partner's next request on; its live feeds lose the points within a second."""
    return GrantAnswer.of(await services.access.end_grant(caller.principal, id))
