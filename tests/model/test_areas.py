"""Areas: what covers, slices and meets say is what a plain look at every path says."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from headrace.model.areas import EVERYWHERE, NOWHERE, Area, area_of

names = st.sampled_from(["a", "a-1", "a.b", "a0", "b"])
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
roots = st.one_of(st.just(""), paths)
areas = st.builds(area_of, st.lists(roots, max_size=3), st.lists(paths, max_size=3))


def below(path: str, root: str) -> bool:
    parts, tops = path.split("/"), root.split("/") if root else []
    return parts[: len(tops)] == tops


def plainly(area: Area, path: str) -> bool:
    return any(below(path, root) for root in area.within) and not any(below(path, root) for root in area.without)


@given(areas, st.sets(paths))
def test_covers_and_slices_are_what_a_look_at_each_path_says(area: Area, some: set[str]) -> None:
    ordered = sorted(some)
    expected = [path for path in ordered if plainly(area, path)]
    assert [path for path in ordered if area.covers(path)] == expected
    slices = area.slices(ordered)
    assert [path for one in slices for path in ordered[one]] == expected
    assert all(one.stop <= other.start for one, other in pairwise(slices))


@given(areas, areas, paths)
def test_what_lies_in_both(one: Area, other: Area, path: str) -> None:
    assert one.meet(other).covers(path) == (plainly(one, path) and plainly(other, path))


@given(areas, paths, paths)
def test_an_asset_is_touched_where_something_below_it_may_be_covered(area: Area, asset: str, below_it: str) -> None:
    if area.covers(f"{asset}/{below_it}"):
        assert area.touches(asset)


def test_the_whole_the_none_and_names_that_begin_alike() -> None:
    assert EVERYWHERE.covers("a") and EVERYWHERE.covers("")
    assert not NOWHERE and not NOWHERE.covers("a")
    line = Area(("acme/line-1",))
    assert line.covers("acme/line-1/press") and not line.covers("acme/line-10") and not line.covers("acme")
    assert line.touches("acme") and not line.touches("acme/line-10") and not line.covers("")
    others = area_of(("",), ("beta", "gamma"))
    assert others.covers("acme") and not others.covers("beta/x") and others.covers("")
