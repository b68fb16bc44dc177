"""Assets and points as answered: subtrees, counts, search and pages."""

from __future__ import annotations

import httpx
from tests.api.fakes import COUNTER, LINE, ORDER, RUNNING, SETPOINT, TEMPERATURE, World

from headrace.api.plant_index import PlantIndexes
from headrace.model import quality as q


async def test_types_say_what_an_asset_may_say(viewer: httpx.AsyncClient) -> None:
    assert (await viewer.get("/api/v1/types")).json() == [
        {"name": "hydraulic-press", "version": 2, "title": {"en": "Press"}, "points": 1, "parameters": {"base": 0}}
    ]


async def test_assets_count_their_subtree(viewer: httpx.AsyncClient, world: World) -> None:
    world.live.update([world.batch(TEMPERATURE, [80.0]), world.batch(SETPOINT, [100.0]), world.batch(COUNTER, [1])])
    world.live.update([world.batch(RUNNING, [True], quality=q.UNCERTAIN), world.batch(ORDER, ["A-1"])])
    nodes = {node["path"]: node for node in (await viewer.get("/api/v1/assets")).json()}
    press = nodes[f"{LINE}/press-1"]
    assert (
        press["parent"] == LINE and press["type"] == "hydraulic-press" and press["attributes"] == {"maker": "Yuanwang"}
    )
    assert press["points"] == 3 and press["worst_quality"] == "good"
    assert press["alarms"] == {"critical": 0, "high": 1, "medium": 0, "low": 0}
    assert nodes["acme"]["points"] == 5 and nodes["acme"]["alarms"]["high"] == 1
    assert nodes["acme"]["parent"] is None and nodes["acme"]["worst_quality"] == "uncertain"
    assert nodes[f"{LINE}/press-10"]["points"] == 0, "press-10 is not below press-1"
    assert nodes[f"{LINE}/press-10"]["worst_quality"] is None


async def test_a_subtree_ends_where_a_longer_name_begins() -> None:
    world = await World.make(more_points=3)
    index = await PlantIndexes(world.registry, world.store, lambda: None).current()
    assert index.points_of(f"{LINE}/press-1") == [TEMPERATURE, SETPOINT, COUNTER]
    assert len(index.points_of(f"{LINE}/press-10")) == 3 and len(index.points_of("")) == 8


async def test_a_point_never_seen_is_bad(viewer: httpx.AsyncClient) -> None:
    nodes = {node["path"]: node for node in (await viewer.get("/api/v1/assets")).json()}
    assert nodes["acme"]["worst_quality"] == "bad"


async def test_points_show_what_was_declared(viewer: httpx.AsyncClient) -> None:
    point = (await viewer.get(f"/api/v1/points/{SETPOINT}")).json()
    assert point["kind"] == "float64" and point["access"] == "read-write"
    assert point["range"] == {"low": 0, "high": 350} and point["write_range"] == {"low": 80, "high": 280}
    point = (await viewer.get(f"/api/v1/points/{TEMPERATURE}")).json()
    assert point["address"] == {"table": "holding", "address": 4, "encoding": "float32"}
    assert point["interval_ms"] == 1_000 and point["connection"] == "press-plc-1" and point["write_range"] is None
    assert [(rule["condition"], rule["limit"], rule["priority"]) for rule in point["alarms"]] == [("high", 75, "high")]


async def test_a_wrong_path_names_the_nearest(viewer: httpx.AsyncClient) -> None:
    answer = await viewer.get(f"/api/v1/points/{TEMPERATURE[:-1]}")
    assert answer.status_code == 404 and f"did you mean '{TEMPERATURE}'?" in answer.json()["error"]["message"]
    assert (await viewer.get("/api/v1/points", params={"asset": "acme/nowhere"})).status_code == 404


async def test_pages_of_points_join_to_the_whole(viewer: httpx.AsyncClient) -> None:
    paths, cursor, pages = [], None, 0
    while True:
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await viewer.get("/api/v1/points", params=params)).json()
        assert page["total"] == 5
        paths += [point["path"] for point in page["points"]]
        cursor, pages = page["next_cursor"], pages + 1
        if cursor is None:
            break
    assert paths == sorted([TEMPERATURE, SETPOINT, COUNTER, RUNNING, ORDER]) and pages == 3


async def test_search_takes_all_words_in_any_language_and_case(viewer: httpx.AsyncClient) -> None:
    for words, found in (("OIL press-1", [TEMPERATURE]), ("油温", [TEMPERATURE]), ("press-1 running", [])):
        page = (await viewer.get("/api/v1/points", params={"q": words})).json()
        assert [point["path"] for point in page["points"]] == found, words
    page = (await viewer.get("/api/v1/points", params={"asset": f"{LINE}/press-2"})).json()
    assert page["total"] == 2
