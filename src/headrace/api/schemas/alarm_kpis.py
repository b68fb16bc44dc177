"""Floods, and the figures of the alarm system."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field

from headrace.api.schemas.base import Answer, Time, time_text
from headrace.model.alarm_kpis import SHARES, AlarmKpis, Flood, Offender, Standing
from headrace.model.time import SECOND_NS, format_time


class FloodAnswer(Answer):
    """Ten or more alarms in ten minutes, until there are fewer than five. Source: ISA-18.2-2016 §16."""

    start: Time
    end: Time | None = Field(description="Null while it goes on.")
    annunciated: int
    peak: int = Field(description="Most in any ten minutes.")

    @classmethod
    def of(cls, one: Flood) -> Self:
        return cls(
            start=format_time(one.start_ns), end=time_text(one.end_ns), annunciated=one.annunciated, peak=one.peak
        )


class OffenderAnswer(Answer):
    rule: str
    count: int
    share: float = Field(description="Of all of its list's kind.")

    @classmethod
    def of(cls, one: Offender) -> Self:
        return cls(rule=one.rule, count=one.count, share=one.share)


class StandingAnswer(Answer):
    """An alarm that stood for more than a day."""

    rule: str
    start: Time | None = Field(description="Null where that is earlier than a day before the stretch.")
    end: Time | None = Field(description="Null where it stands still.")

    @classmethod
    def of(cls, one: Standing) -> Self:
        return cls(rule=one.rule, start=time_text(one.start_ns), end=time_text(one.end_ns))


class ShareAnswer(Answer):
    """One priority's part of what was annunciated, beside what ISA-18.2 recommends; critical counts with high there."""

    count: int
    share: float
    recommended: float | None


class ResponseAnswer(Answer):
    """How long people took to acknowledge; null without any."""

    count: int
    median_s: float | None
    mean_s: float | None
    p90_s: float | None
    longest_s: float | None


class KpisAnswer(Answer):
    """How the alarm system did. Source: ISA-18.2-2016 §16, EEMUA 191.

    Rates are of `covered_s`, the part of the stretch that the journal knows. Times are event times.
    """

    start: Time
    end: Time
    covered_s: float
    operators: float
    transitions: int
    annunciated: int
    per_operator_hour: float = Field(description="About 6 is acceptable, 12 the most that can be managed.")
    per_operator_10min: float
    peak_10min: int
    peak_10min_start: Time | None
    slices_in_excess: float = Field(description="Share of ten-minute slices with more than ten an operator.")
    floods: list[FloodAnswer]
    flood_share: float = Field(description="Of the covered time.")
    chattering: list[OffenderAnswer] = Field(description="Three times within a minute.")
    fleeting: list[OffenderAnswer] = Field(description="Gone within 10 s, before anybody acknowledged.")
    stale: list[StandingAnswer]
    top: list[OffenderAnswer]
    top_share: float
    priorities: Mapping[str, ShareAnswer]
    unknown_priority: int = Field(description="Of rules that are no longer declared.")
    acknowledged: ResponseAnswer
    never_acknowledged: int
    shelved: int
    suppressed: int
    out_of_service: int
    shelved_now: int
    suppressed_now: int
    out_of_service_now: int

    @classmethod
    def of(cls, one: AlarmKpis) -> Self:
        known = one.annunciated - one.unknown_priority
        times = one.acknowledged
        return cls(
            start=format_time(one.start_ns),
            end=format_time(one.end_ns),
            covered_s=one.covered_ns / SECOND_NS,
            operators=one.operators,
            transitions=one.transitions,
            annunciated=one.annunciated,
            per_operator_hour=one.per_operator_hour,
            per_operator_10min=one.per_operator_window,
            peak_10min=one.peak_window,
            peak_10min_start=time_text(one.peak_window_ns),
            slices_in_excess=one.windows_in_excess,
            floods=[FloodAnswer.of(flood) for flood in one.floods],
            flood_share=one.flood_share,
            chattering=[OffenderAnswer.of(rule) for rule in one.chattering],
            fleeting=[OffenderAnswer.of(rule) for rule in one.fleeting],
            stale=[StandingAnswer.of(rule) for rule in one.stale],
            top=[OffenderAnswer.of(rule) for rule in one.top],
            top_share=one.top_share,
            priorities={
                priority.value: ShareAnswer(
                    count=count, share=count / known if known else 0.0, recommended=SHARES.get(priority)
                )
                for priority, count in one.priorities.items()
            },
            unknown_priority=one.unknown_priority,
            acknowledged=ResponseAnswer(
                count=times.count, median_s=times.median_s, mean_s=times.mean_s, p90_s=times.p90_s,
                longest_s=times.longest_s,
            ),
            never_acknowledged=one.never_acknowledged,
            shelved=one.shelved,
            suppressed=one.suppressed,
            out_of_service=one.out_of_service,
            shelved_now=one.shelved_now,
            suppressed_now=one.suppressed_now,
            out_of_service_now=one.out_of_service_now,
        )  # fmt: skip
