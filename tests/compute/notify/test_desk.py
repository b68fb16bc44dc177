"""Who hears of an alarm, when, and by which channel: through the desk, with real alarms."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.compute.notify.works import (
    AIR,
    HOT,
    LOW,
    SEEN,
    START,
    STEPS,
    STOP,
    WANG,
    Works,
    notification,
    plant,
    rule,
)

from headrace.compute.alarms.episodes import Episode
from headrace.model.alarms import Priority
from headrace.model.areas import Area
from headrace.model.errors import DataError, LimitReached, NotFound, Refused, Unreachable
from headrace.model.notifications import Channel, Choice, Contact, Hours, Override, Quiet, Roster, Shift, Step
from headrace.model.time import DAY_NS, MINUTE_NS


async def works(engine: Engine, *, rules: Any = None, more: dict[str, Any] | None = None, **said: Any) -> Works:
    chosen = {} if rules is None else {"rules": rules}
    return await Works(engine, plant(notification(**said), **chosen, **(more or {}))).start()


HOT_ZH = "mail Li: 【高】hot发生 · 一号线 › 压机"
HOT_CHIEF = "phone Chief: [High] Nobody has acknowledged: hot happened · Line 1 › Press"


async def test_who_is_on_call_is_told_and_then_the_chief(engine: Engine) -> None:
    one = await works(engine)
    await one.raise_(HOT)
    assert await one.go(10) == [HOT_ZH]
    assert await one.go(580) == []
    assert await one.go(20) == [HOT_CHIEF]
    assert await one.go(3 * 3600, 60) == []
    assert await one.log() == ["raised sent mail", "escalated sent phone"]


async def test_acknowledged_is_not_escalated(engine: Engine) -> None:
    one = await works(engine)
    await one.raise_(HOT)
    await one.go(10)
    await one.acknowledge(HOT)
    assert await one.go(3600, 60) == []
    await one.clear(HOT)
    assert await one.go(60) == []


async def test_what_late_samples_show_changes_nothing(engine: Engine) -> None:
    one = await works(engine)
    await one.raise_(HOT)
    assert await one.go(10) == [HOT_ZH]
    earlier_ns = one.clock.now_ns() - DAY_NS
    await one.alarms.found([Episode(HOT.name, earlier_ns, 99.0, earlier_ns + MINUTE_NS)])
    assert await one.go(610) == [HOT_CHIEF]


async def test_those_who_were_told_hear_the_end(engine: Engine) -> None:
    one = await works(engine, tell_acknowledged=True, tell_cleared=True)
    await one.raise_(HOT, LOW)
    await one.go(10)
    await one.acknowledge(HOT, comment="on my way")
    assert await one.go(5) == ["mail Li: wang 已确认：hot发生 · 一号线 › 压机"]
    assert one.post.sent[-1].message.lines == ("“on my way”",)
    await one.clear(HOT, LOW)
    assert await one.go(5) == ["mail Li: 已恢复：hot发生 · 一号线 › 压机", "mail Li: 已恢复：low发生 · line-2 › tank"]
    await one.acknowledge(LOW)
    assert len(await one.go(5)) == 1


async def test_what_a_message_says(engine: Engine) -> None:
    one = await works(engine)
    await one.raise_(HOT)
    await one.go(620, 5)
    first, second = (dict(sent.message.facts) for sent in one.post.sent)
    assert first == {
        "位置": "工厂 › 一号线 › 压机", "当前值": "80.0 °C", "限值": "高于 75.0 °C",
        "开始时间": "2027-01-15 16:00:00 CST",
        "优先级": "高", "报警": HOT.name, "可能原因": "Leak", "不处理的后果": "压机停机", "处置措施": "启动备机",
        "响应时限": "10 分钟", "值班人员": "Li",
    }  # fmt: skip
    assert second["What to do"] == "Start the second one" and second["Since"] == "2027-01-15 16:00:00 CST"
    message = one.post.sent[0].message
    assert (message.priority, message.link, message.language) == ("high", "https://plant.example.com/alarms", "zh")
    assert message.document["alarms"][0]["rule"] == HOT.name


async def test_quiet_alarms_are_never_told(engine: Engine) -> None:
    one = await works(engine)
    await one.alarms.shelve([HOT.name], WANG, "known")
    await one.alarms.remove_from_service([AIR.name], WANG, "repair")
    await one.raise_(HOT, AIR)
    assert await one.go(3600, 60) == []
    await one.alarms.unshelve([HOT.name], WANG, "")
    assert await one.go(10) == [HOT_ZH]
    await one.alarms.shelve([HOT.name], WANG, "again")
    assert await one.go(3600, 60) == []


async def test_consequences_are_a_number_beside_their_cause(engine: Engine) -> None:
    one = await works(engine)
    await one.raise_(AIR, HOT, STOP)
    (told,) = await one.go(10)
    assert told == "mail Li: 【紧急】air发生 · 工厂 › Air"
    assert dict(one.post.sent[0].message.facts)["连带报警"] == "另有 2 条"
    await one.acknowledge(AIR)
    assert await one.go(60) == []
    await one.clear(AIR)  # the cause is gone, and these are still there
    assert sorted(await one.go(5)) == ["mail Li: 【中】stop发生 · 一号线 › saw", HOT_ZH]


async def test_a_cause_that_nobody_is_told_of_hides_nothing(engine: Engine) -> None:
    one = await works(engine, alarms=Choice(("works/line-1",)))
    await one.raise_(AIR, HOT)
    assert await one.go(10) == [HOT_ZH]


async def test_what_is_worse_than_its_cause_is_told_for_itself(engine: Engine) -> None:
    fire = rule("fire", "works/line-1/saw/smoke", Priority.CRITICAL)
    one = await works(engine, rules=[HOT, STOP, fire], more={"assets": {}})
    await one.raise_(STOP)
    await one.go(5)
    await one.raise_(fire)
    assert await one.go(5) == ["mail Li: 【紧急】fire发生 · line-1 › saw"]


async def test_what_comes_after_the_acknowledgement_of_its_cause_is_told(engine: Engine) -> None:
    one = await works(engine)
    await one.raise_(AIR)
    await one.go(5)
    await one.acknowledge(AIR)
    await one.raise_(HOT)
    assert await one.go(5) == [HOT_ZH]


async def test_a_channel_that_refuses_is_passed_by(engine: Engine) -> None:
    steps = (Step(0, (), ("zhao",), ("phone", "mail")), STEPS[1])
    one = await works(engine, steps=steps)
    one.post.fails["phone"] = Refused("no such number")
    await one.raise_(HOT)
    assert await one.go(4) == ["mail Zhao: [High] hot happened · Line 1 › Press"]
    assert await one.log() == ["raised passed-on phone", "raised sent mail"]
    page = await one.desk.log()
    assert page.notices[-1].error == "no such number" and page.notices[0].next_step_ns is not None


async def test_a_channel_that_is_away_is_tried_again_and_then_passed_by(engine: Engine) -> None:
    steps = (Step(0, (), ("zhao",), ("phone", "mail")), STEPS[1])
    one = await works(engine, steps=steps)
    one.post.fails["phone"] = [Unreachable("down")]
    await one.raise_(HOT)
    assert await one.go(4) == []
    assert await one.go(5) == ["phone Zhao: [High] hot happened · Line 1 › Press"]
    one.post.fails["phone"] = Unreachable("down")
    await one.raise_(LOW)
    assert await one.go(20) == ["mail Zhao: [Low] low happened · line-2 › tank"]


async def test_where_nobody_is_reached_the_next_step_comes_at_once(engine: Engine) -> None:
    one = await works(engine)
    one.post.fails["mail"] = Refused("wrong password")
    await one.raise_(HOT)
    assert await one.go(6) == [HOT_CHIEF]
    assert await one.log() == ["raised failed mail", "escalated sent phone"]


async def test_nobody_on_call(engine: Engine) -> None:
    empty = Roster("leaders", "UTC", (Shift("day", Hours(0, 60), (("li",),)),))
    one = await works(engine, more={"rosters": {"leaders": empty}})
    await one.raise_(HOT)
    assert await one.go(6) == [HOT_CHIEF]
    assert await one.log() == ["raised nobody ", "escalated sent phone"]


async def test_whom_a_channel_never_reaches_is_told_by_the_next(engine: Engine) -> None:
    steps = (Step(0, (), ("zhao", "chief"), ("hall", "mail")),)
    one = await works(engine, steps=steps)
    one.post.never = {"Zhao"}
    await one.raise_(HOT)
    told = await one.go(5)
    assert told[0].startswith("hall Chief:") and len(told) == 2 and told[1].startswith("mail ")
    assert len({sent.key for sent in one.post.sent}) == 2


async def test_one_message_for_a_room(engine: Engine) -> None:
    one = await works(engine, steps=(Step(0, ("leaders",), ("zhao",), ("hall",)),))
    await one.raise_(HOT)
    assert await one.go(5) == [HOT_ZH.replace("mail Li", "hall Li+Zhao")]


async def test_told_again_as_often_as_declared(engine: Engine) -> None:
    one = await works(engine, steps=STEPS[:1], repeat_ns=30 * MINUTE_NS, repeats=2)
    await one.raise_(HOT)
    told = await one.go(4 * 3600, 60)
    assert told == [HOT_ZH, *["mail Li: 【高】仍未确认：hot发生 · 一号线 › 压机"] * 2]
    assert len({sent.key for sent in one.post.sent}) == 3


async def test_an_alarm_that_comes_and_goes_is_told_once_and_escalated_while_it_is_there(engine: Engine) -> None:
    one = await works(engine)
    for _ in range(9):
        await one.raise_(HOT)
        await one.go(40, 10)
        await one.clear(HOT)
        await one.go(40, 10)
    assert one.post.titles() == [HOT_ZH, HOT_CHIEF]


async def test_what_need_not_be_acknowledged_is_told_once(engine: Engine) -> None:
    seen = replace(rule("seen", "works/line-1/press/oil"), handling=SEEN)
    one = await works(engine, rules=[seen], repeat_ns=MINUTE_NS)
    await one.raise_(seen)
    assert len(await one.go(3600, 30)) == 1


async def test_quiet_hours_wait_and_the_urgent_breaks_through(engine: Engine) -> None:
    hours = Hours(15 * 60, 17 * 60)  # it is 16:00 in Shanghai
    one = await works(engine, quiet=Quiet((hours,), Priority.CRITICAL))
    other = rule("heat", "works/line-1/press/oil")
    await one.raise_(HOT)
    assert await one.go(3590, 10) == []
    await one.raise_(AIR)
    assert await one.go(5) == ["mail Li: 【紧急】air发生 · 工厂 › Air"]
    assert await one.go(30) == [HOT_ZH]
    assert await one.go(500, 10) == []
    assert len(await one.go(200, 10)) == 2  # both are escalated, each from when it was told
    assert other.priority is Priority.HIGH


async def test_a_person_asleep_is_not_told(engine: Engine) -> None:
    asleep = Contact("li", "Li", "zh", {"email": "x"}, "UTC", Quiet((Hours(8 * 60, 9 * 60),), Priority.CRITICAL))
    people = {**plant().contacts, "li": asleep}
    one = await works(engine, more={"contacts": people})
    await one.raise_(HOT)
    assert await one.go(5) == [HOT_CHIEF]
    await one.raise_(AIR)
    assert await one.go(5) == ["mail Li: 【紧急】air发生 · 工厂 › Air"]


async def test_a_digest_gathers_the_less_urgent(engine: Engine) -> None:
    lows = [rule(f"low{at}", f"works/line-{at}/level", Priority.LOW) for at in range(5)]
    one = await works(engine, rules=[*lows, HOT], digest_ns=15 * MINUTE_NS, digest_up_to=Priority.LOW)
    for low in lows:
        await one.raise_(low)
        assert await one.go(60, 10) == []
    (told,) = await one.go(600, 5)
    assert told == "mail Li: 【低】5 条报警 · 工厂"
    assert len(one.post.sent[0].message.lines) == 5
    await one.raise_(HOT)
    assert len(await one.go(5)) == 1


async def test_many_at_once_are_one_message(engine: Engine) -> None:
    many = [rule(f"r{at}", f"works/line-{at}/press") for at in range(9)]
    one = await works(engine, rules=many, flood_as_one=True)
    await one.raise_(*many)
    (told,) = await one.go(5)
    assert "条报警" in told


async def test_a_flood_is_one_message_that_says_so(engine: Engine) -> None:
    many = [rule(f"r{at}", f"works/line-{at}/press", Priority.CRITICAL) for at in range(200)]
    one = await works(engine, rules=many, steps=STEPS[:1])
    told = []
    for low in range(0, 200, 20):
        await one.raise_(*many[low : low + 20])
        told += await one.go(10, 5)
    floods = [title for title in told if "报警泛滥" in title]
    assert len(floods) == 1 and len(told) <= 3
    assert len(await one.go(700, 10)) <= 1
    told_of = {rule for one in (await one.desk.log(limit=1000)).notices for rule, _ in one.alarms}
    assert told_of == {one.name for one in many}


async def test_the_pace_of_a_channel(engine: Engine) -> None:
    slow = {**plant().channels, "mail": Channel("mail", "post", per_minute=2)}
    three = [rule(f"r{at}", f"works/line-{at}/press") for at in range(3)]
    one = await works(engine, rules=three, steps=STEPS[:1], more={"channels": slow})
    await one.raise_(*three)
    assert len(await one.go(30)) == 2
    assert len(await one.go(60)) == 1


async def test_a_notification_that_is_gone_tells_nothing_more(engine: Engine) -> None:
    one = await works(engine)
    await one.raise_(HOT)
    await one.go(5)
    await one.desk.configure(plant())
    assert await one.go(3600, 60) == []
    assert one.desk.counters.open_cases == 0


async def test_a_message_that_came_too_late_is_withdrawn(engine: Engine) -> None:
    one = await works(engine)
    one.post.fails["mail"] = [Unreachable("down")]
    await one.raise_(HOT)
    await one.go(4)
    await one.acknowledge(HOT)
    assert await one.go(30) == []
    assert await one.log() == ["raised withdrawn mail"]


async def test_a_message_whose_alarm_rests_is_sent_when_that_comes_again(engine: Engine) -> None:
    one = await works(engine)
    one.post.fails["mail"] = [Unreachable("down")]
    await one.raise_(HOT)
    await one.go(4)
    await one.clear(HOT)
    assert await one.go(60) == []
    await one.raise_(HOT)
    assert await one.go(12) == [HOT_ZH]


async def test_who_declares_the_plant_waits_for_no_channel(engine: Engine) -> None:
    one = await works(engine)
    begun, released = asyncio.Event(), asyncio.Event()
    one.post.hangs = (begun, released)
    await one.raise_(HOT)
    await one.desk.round()
    one.clock.time_ns += 5 * 1_000_000_000
    await one.desk.round()
    sending = asyncio.create_task(one.desk.deliver())
    await begun.wait()
    slower = {**one.model.channels, "mail": Channel("mail", "post", per_minute=7)}
    await one.desk.configure(replace(one.model, channels=slower))
    assert not sending.done()
    released.set()
    await sending
    await one.desk.close()
    assert one.post.closed == ["mail"]


async def test_a_restart_goes_on_where_it_was(engine: Engine) -> None:
    one = await works(engine)
    await one.raise_(HOT)
    await one.go(5)
    await one.raise_(AIR)  # nobody has looked when it ends
    again = await Works(engine, one.model, one.post, one.clock).start()
    assert await again.go(5) == ["mail Li: 【紧急】air发生 · 工厂 › Air"]
    assert await again.go(610, 5) == [
        HOT_CHIEF,
        HOT_CHIEF.replace("High", "Critical").replace("hot", "air").replace("Line 1 › Press", "Works › Air"),
    ]
    assert len({sent.key for sent in one.post.sent}) == len(one.post.sent)


async def test_the_log_is_of_an_alarm_and_of_a_part_of_the_plant(engine: Engine) -> None:
    one = await works(engine, steps=STEPS[:1])
    await one.raise_(AIR)
    await one.go(5)
    await one.clear(AIR)
    await one.raise_(HOT)
    await one.go(5)
    assert len(await one.log()) == 2
    (notice,) = (await one.desk.log(rule=HOT.name)).notices
    assert notice.alarms == ((HOT.name, HOT.point),) and notice.contacts == ("li",) and notice.done_ns is not None
    assert len(await one.log(within=Area(("works/line-1",)))) == 1
    assert await one.log(within=Area(("elsewhere",))) == []
    assert await one.log(tenant="acme") == []
    first = await one.desk.log(limit=1)
    second = await one.desk.log(limit=1, cursor=first.next_cursor)
    assert first.notices[0].key != second.notices[0].key and second.next_cursor is None
    with pytest.raises(DataError):
        await one.desk.log(cursor="x")


async def test_on_call_now_and_then(engine: Engine) -> None:
    weeks = (Shift("night", Hours(22 * 60, 6 * 60), (("li",), ("zhao",))),)
    holiday = (Override(date(2027, 1, 16), date(2027, 1, 16)),)
    roster = Roster("leaders", "UTC", weeks, holiday, date(2027, 1, 11))
    one = await works(engine, more={"rosters": {"leaders": roster}})
    assert one.desk.on_call(START) == []
    (night,) = one.desk.on_call(START + 20 * 60 * MINUTE_NS)
    assert (night.shift, night.began, night.people) == ("night", date(2027, 1, 15), ("li",))
    (free,) = one.desk.on_call(START + DAY_NS + 20 * 60 * MINUTE_NS)
    assert free.people == ()
    assert one.desk.on_call(START, tenant="acme") == []


async def test_a_test_message_is_sent_recorded_and_audited(engine: Engine) -> None:
    one = await works(engine)
    done = await one.desk.test("mail", "li", "anna")
    assert (done.state, done.kind, done.actor) == ("sent", "test", "anna")
    assert one.post.titles() == ["mail Li: Headrace 测试消息"]
    one.post.fails["phone"] = Refused("no such number")
    assert (await one.desk.test("phone", "chief", "anna")).error == "no such number"
    assert one.access.entries == [
        ("anna", "notification.test", "mail", "sent"),
        ("anna", "notification.test", "phone", "failed"),
    ]
    assert await one.log() == ["test sent mail", "test failed phone"]
    assert await one.log(within=Area(("works",))) == []
    with pytest.raises(DataError, match="has no address of kind 'mobile'"):
        await one.desk.test("phone", "li", "anna")
    with pytest.raises(NotFound):
        await one.desk.test("mail", "nobody", "anna")
    with pytest.raises(NotFound):
        await one.desk.test("mail", "li", "anna", tenant="acme")
    await one.desk.configure(plant(channels={"mail": Channel("mail", "post", per_minute=1)}))
    with pytest.raises(LimitReached):
        await one.desk.test("mail", "li", "anna")
