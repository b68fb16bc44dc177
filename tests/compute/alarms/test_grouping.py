"""An outage is one line: which alarms are folded under which, and what always holds of that."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties import examples

from headrace.compute.alarms.grouping import Place, Sign, Topology, group
from headrace.model.time import SECOND_NS

MINUTE = 60
ASSETS = ["w", "w/air", "w/air/motor", "w/line-1", "w/line-1/press-1", "w/line-1/press-10", "w/line-2", "w/pack", "x"]
FEEDS = {"w/air": ["w/line-1", "w/line-2"], "w/line-1": ["w/pack"]}


def sign(asset: str, time_s: float | None, name: str = "low") -> Sign:
    return Sign(f"{asset}/p:{name}", asset, None if time_s is None else round(time_s * SECOND_NS))


def roots(signs: list[Sign], feeds: dict[str, list[str]] = FEEDS) -> dict[str, str]:
    asset = {one.name: one.asset for one in signs}
    return {asset[name]: asset[place.root] for name, place in group(signs, feeds).items()}


def test_an_outage_of_the_compressor_is_one_line_with_forty_consequences() -> None:
    forty = [sign(f"w/line-{1 + n % 2}/press-{n}", 5 + n) for n in range(40)]
    places = group([*forty, sign("w/air", 0)], FEEDS)
    assert {place.root for place in places.values()} == {"w/air/p:low"}
    assert sorted(place.first_out for place in places.values()) == list(range(41))
    assert places["w/air/p:low"] == Place("w/air/p:low", 0)
    assert places["w/line-1/press-0/p:low"].first_out == 1


def test_what_leads_where() -> None:
    topology = Topology(FEEDS)
    assert topology.leads("w/air/motor", "w/air") and topology.leads("w/air", "w/air/motor")
    assert topology.leads("w/air/motor", "w/line-1/press-1")  # by what it is part of
    assert topology.leads("w/air", "w/pack")  # by what it supplies
    assert not topology.leads("w/line-1", "w/air") and not topology.leads("w/line-2", "w/pack")
    assert not topology.leads("w/line-1/press-1", "w/line-1/press-10")


def test_neighbours_are_not_folded_under_each_other_by_way_of_their_line() -> None:
    signs = [sign("w/line-1/press-1", 0), sign("w/line-1", 5), sign("w/line-1/press-10", 10)]
    assert roots(signs) == {
        "w/line-1/press-1": "w/line-1/press-1",
        "w/line-1": "w/line-1/press-1",
        "w/line-1/press-10": "w/line-1/press-10",
    }


def test_time_parts_what_the_plant_joins() -> None:
    assert roots([sign("w/air", 0), sign("w/line-1", 10 * MINUTE)])["w/line-1"] == "w/air"
    assert roots([sign("w/air", 0), sign("w/line-1", 10 * MINUTE + 1)])["w/line-1"] == "w/line-1"
    assert roots([sign("w/air", 1), sign("w/line-1", 0)])["w/line-1"] == "w/line-1"


def test_of_one_moment_what_supplies_more_comes_first() -> None:
    assert set(roots([sign("w/line-1/press-1", 0), sign("w/air", 0), sign("w/pack", 0)]).values()) == {"w/air"}


def test_quiet_alarms_stand_alone() -> None:
    assert roots([sign("w/air", None), sign("w/line-1", 0)]) == {"w/air": "w/air", "w/line-1": "w/line-1"}


def test_a_ring_of_supplies_ends() -> None:
    ring = {"w/air": ["w/line-1"], "w/line-1": ["w/line-2"], "w/line-2": ["w/air"]}
    signs = [sign("w/line-2", 0), sign("w/line-1", 1), sign("w/air", 2)]
    assert set(roots(signs, ring).values()) == {"w/line-2"}


def test_a_plant_that_feeds_everything_from_everywhere_ends() -> None:
    chain = {f"w{n}": [f"w{n + 1}"] for n in range(5_000)}
    places = group([sign(f"w{n}", n / 100) for n in range(5_000)], chain)
    assert places["w150/p:low"].root == places["w200/p:low"].root == "w0/p:low"
    assert places["w201/p:low"].root == "w201/p:low"


some_signs = st.lists(
    st.tuples(
        st.sampled_from(ASSETS), st.none() | st.integers(0, 40).map(lambda minute: minute * 60), st.integers(0, 3)
    ),
    max_size=25,
    unique_by=lambda one: (one[0], one[2]),
).map(lambda rows: [sign(asset, time_s, str(number)) for asset, time_s, number in rows])
some_feeds = st.dictionaries(st.sampled_from(ASSETS), st.lists(st.sampled_from(ASSETS), max_size=3), max_size=4)


@settings(max_examples=examples(400), deadline=None)
@given(some_signs, some_feeds, st.randoms(use_true_random=False))
def test_what_always_holds(signs: list[Sign], feeds: dict[str, list[str]], shuffle: random.Random) -> None:
    places = group(signs, feeds)
    assert places.keys() == {one.name for one in signs}
    known = {one.name: one for one in signs}
    topology = Topology(feeds)
    members: dict[str, list[tuple[int, str]]] = {}
    for name, place in places.items():
        members.setdefault(place.root, []).append((place.first_out, name))
        root, own = known[place.root], known[name]
        assert places[place.root] == Place(place.root, 0)
        if name != place.root:
            assert root.raised_ns is not None and own.raised_ns is not None
            assert 0 <= own.raised_ns - root.raised_ns <= 600 * SECOND_NS
            assert topology.leads(root.asset, own.asset)
    for group_ in members.values():
        assert [at for at, _ in sorted(group_)] == list(range(len(group_)))
        times = [known[name].raised_ns or 0 for _, name in sorted(group_)]
        assert times == sorted(times)
    for name, place in places.items():  # nobody is a root who could be folded
        own = known[name]
        if place.root == name and own.raised_ns is not None:
            earlier = [
                known[other]
                for other, at in places.items()
                if at.root == other != name and (known[other].raised_ns or -1) >= own.raised_ns - 600 * SECOND_NS
            ]
            assert not any(
                topology.leads(one.asset, own.asset)
                for one in earlier
                if one.raised_ns is not None and one.raised_ns < own.raised_ns
            )
    mixed = list(signs)
    shuffle.shuffle(mixed)
    assert group(mixed, feeds) == places
