"""The webhook: a signed CloudEvent, to the declared address alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.connect.messengers.http_side import Asked, HttpSide, Said, http_side

from headrace.connect.messengers.webhook import MESSENGER
from headrace.model.errors import LimitReached, Refused, Unreachable
from headrace.sdk.messenger import Recipient
from headrace.sdk.testing.messenger import MESSAGE, SECRET, MessengerContract, Side


def judge(side: HttpSide, asked: Asked) -> Said:
    side.taken.append(asked.body.decode())
    return Said(204)


class TestWebhook(MessengerContract):
    kind = MESSENGER
    to = (Recipient("Li Lei"),)
    says_title = False

    @asynccontextmanager
    async def other_side(self, folder: Path) -> AsyncIterator[Side]:
        async with http_side({"secret": "file:secret", "token": "file:secret"}, judge) as side:
            yield side

    async def test_a_message_is_a_signed_cloud_event(self, tmp_path: Path) -> None:
        async with http_side({"secret": "file:secret", "token": "file:secret"}, judge) as side:
            async with self.opened(side.settings, tmp_path) as messenger:
                await messenger.send(MESSAGE, self.to)
            (asked,) = side.asked
        assert json.loads(asked.body) == {
            "specversion": "1.0",
            "id": "alarm-1/raise",
            "source": "/headrace/channel/shift",
            "type": "org.headrace.notification",
            "time": "2026-05-28T20:26:40Z",
            "datacontenttype": "application/json",
            "data": {"alarm": "acme/p3/oil.high", "value": 83.4},
        }
        signed = f"alarm-1/raise.{asked.headers['webhook-timestamp']}.".encode() + asked.body
        expected = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
        assert asked.headers["webhook-signature"] == f"v1,{expected}"
        assert asked.headers["content-type"] == "application/cloudevents+json"
        assert asked.headers["authorization"] == f"Bearer {SECRET}"

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (429, LimitReached),
            (408, Unreachable),
            (425, Unreachable),
            (500, Unreachable),
            (404, Refused),
            (422, Refused),
        ],
    )
    async def test_each_answer_has_its_meaning(self, status: int, error: type[Exception], tmp_path: Path) -> None:
        async with http_side({}, judge) as side, self.opened(side.settings, tmp_path) as messenger:
            side.answer(Said(status))
            with pytest.raises(error, match=str(status)):
                await messenger.send(MESSAGE, ())

    @pytest.mark.parametrize(
        "wrong", ["s3cret-key-0123456789\nx: y", "s3cret-key-0123456789 长", "\x01s3cret-key-0123456789"]
    )
    async def test_a_token_that_no_header_can_say(self, wrong: str, tmp_path: Path) -> None:
        async with http_side({"token": "file:secret"}, judge) as side:
            async with self.opened(side.settings, tmp_path) as messenger:
                (tmp_path / "secret").write_text(wrong)
                assert "'authorization'" in (await self.fails(messenger, Refused)).message
            assert side.asked == []

    def test_only_this_machine_is_told_in_the_clear(self) -> None:
        with pytest.raises(ValidationError, match="everybody on the way"):
            MESSENGER.settings.model_validate({"url": "http://erp.example/x"})
