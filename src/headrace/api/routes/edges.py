"""The register of edges: their links, what each should run and does, invitations and revocations."""

from __future__ import annotations

from headrace.api.context import ByCaller, WithPlant, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.schemas.fleet import EdgeAnswer, EdgesAnswer, Invitation, InvitedEdge

router = api_router("Edges")


@router.get("/edges", operation_id="listEdges", summary="Edges by name, with their links")
async def list_edges(caller: ByCaller, index: WithPlant, services: WithServices) -> EdgesAnswer:
    edges = [EdgeAnswer.of(record) for record in services.edges.edges(tenant=caller.principal.tenant)]
    known = {edge.name for edge in edges}
    declared = {name: one.edge for name, one in index.plant.connections.items() if one.edge}
    return EdgesAnswer(edges=edges, strangers={name: edge for name, edge in declared.items() if edge not in known})


@router.get("/edges/{name}", operation_id="getEdge", summary="An edge")
async def get_edge(name: str, caller: ByCaller, services: WithServices) -> EdgeAnswer:
    return EdgeAnswer.of(services.edges.get(name, tenant=caller.principal.tenant))


@router.post("/edges", operation_id="inviteEdge", summary="Make a token for an edge", status_code=201)
async def invite_edge(body: Invitation, caller: ByCaller, services: WithServices) -> InvitedEdge:
    """For a new edge, or for a machine that takes the place of an old one. The token is good once, and shown once."""
    who = caller.principal
    record, token = await services.edges.invite(
        who.name, body.name, body.prefix, valid_s=body.valid_s, tenant=who.tenant
    )
    return InvitedEdge(edge=EdgeAnswer.of(record), token=token)


@router.post("/edges/{name}/revoke", operation_id="revokeEdge", summary="Close an edge and keep it out")
async def revoke_edge(name: str, caller: ByCaller, services: WithServices) -> EdgeAnswer:
    """Its certificate is good no more. It may enrol anew with a new token."""
    return EdgeAnswer.of(await services.edges.revoke(caller.principal.name, name, tenant=caller.principal.tenant))


@router.delete("/edges/{name}", operation_id="deleteEdge", summary="Remove an edge", status_code=204)
async def delete_edge(name: str, caller: ByCaller, services: WithServices) -> None:
    """Its samples stay. 409 while connections are declared to run on it."""
    await services.edges.remove(caller.principal.name, name, tenant=caller.principal.tenant)
