"""The hub of a page: what other threads publish arrives in order, and requests wait for changes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx")
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from segue.errors import SegueError
from segue_web.server.hub import DEFECT, FULL, Answer, Hub, Page
from segue_web.server.messages import PageRequest

WAIT = 60.0  # seconds; a busy machine is no defect


class Shop:
    """A backend with one number."""

    def __init__(self) -> None:
        self.number = 0
        self.closed: list[int | None] = []
        self.hub = Hub(
            self.answer, on_close=lambda page: self.closed.append(page.channel), max_pages=2, max_requests=3
        )

    async def answer(self, request: PageRequest, page: Page) -> Answer | dict[str, Any]:
        fields = request.model_extra or {}
        match request.op:
            case "hello":
                page.channel = fields["channel"]
                return {}
            case "wait":
                await self.hub.wait_for(lambda: self.number >= fields["number"], WAIT)
                return {"number": self.number}
            case "data":
                return Answer({"length": 3}, b"abc", is_last=fields.get("last", False))
            case "empty":
                return Answer({}, b"")
            case "refuse":
                raise SegueError("no")
        raise ZeroDivisionError

    def change(self, number: int) -> None:
        self.number = number
        self.hub.changed()


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def client(shop: Shop) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=[WebSocketRoute("/ws", shop.hub.talk)])) as client:
        yield client


def send(page: WebSocketTestSession, id_: int, op: str, **fields: Any) -> None:
    page.send_text(json.dumps({"id": id_, "op": op, **fields}))


def heard(page: WebSocketTestSession) -> dict[str, Any]:
    return dict(json.loads(page.receive_text()))


def ask(page: WebSocketTestSession, id_: int, op: str, **fields: Any) -> dict[str, Any]:
    send(page, id_, op, **fields)
    return heard(page)


def test_events_of_other_threads_come_in_order_to_the_pages_of_their_video(
    shop: Shop, client: TestClient
) -> None:
    shop.hub.publish({"event": "nobody hears of it"})
    with client.websocket_connect("/ws") as one, client.websocket_connect("/ws") as two:
        for channel, page in enumerate((one, two)):
            assert ask(page, 1, "hello", channel=channel) == {"id": 1}

        def publish() -> None:
            for number in range(200):
                shop.hub.publish({"event": number, "video": number % 2})
            shop.hub.publish({"event": "all"})

        thread = threading.Thread(target=publish)
        thread.start()
        for channel, page in enumerate((one, two)):
            assert [heard(page)["event"] for _ in range(101)] == [*range(channel, 200, 2), "all"]
        thread.join()
    assert sorted(map(str, shop.closed)) == ["0", "1"]
    shop.hub.publish({"event": "nobody hears of it"})


def test_a_request_waits_for_a_change_of_another_thread_while_others_are_answered(
    shop: Shop, client: TestClient
) -> None:
    with client.websocket_connect("/ws") as page:
        send(page, 1, "wait", number=2)
        send(page, 2, "wait", number=1)
        assert ask(page, 3, "refuse") == {"id": 3, "error": "no", "stale": False}
        threading.Thread(target=shop.change, args=(1,)).start()
        assert heard(page) == {"id": 2, "number": 1}
        threading.Thread(target=shop.change, args=(2,)).start()
        assert heard(page) == {"id": 1, "number": 2}


def test_no_more_requests_of_a_page_are_answered_at_once_than_it_may_have(
    shop: Shop, client: TestClient
) -> None:
    with client.websocket_connect("/ws") as page:
        for number in (1, 2, 3):
            send(page, number, "wait", number=number)
        send(page, 4, "refuse")
        threading.Thread(target=shop.change, args=(1,)).start()
        assert [heard(page)["id"] for _ in range(2)] == [1, 4]
        shop.change(3)
        assert sorted(heard(page)["id"] for _ in range(2)) == [2, 3]


def test_the_data_of_an_answer_follow_it_and_the_last_answer_closes(shop: Shop, client: TestClient) -> None:
    with client.websocket_connect("/ws") as page:
        for last in (False, True):
            assert ask(page, 1, "data", last=last) == {"id": 1, "length": 3, "data": True}
            assert page.receive_bytes() == b"abc"
        with pytest.raises(WebSocketDisconnect):
            page.receive_text()


def test_data_of_no_bytes_follow_their_answer(shop: Shop, client: TestClient) -> None:
    with client.websocket_connect("/ws") as page:
        assert ask(page, 1, "empty") == {"id": 1, "data": True}
        assert page.receive_bytes() == b""


def test_a_defect_is_an_answer_and_a_page_too_many_is_refused(
    shop: Shop, client: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    with client.websocket_connect("/ws") as one, client.websocket_connect("/ws"):
        assert ask(one, 1, "divide") == {"id": 1, "error": DEFECT}
        assert "ZeroDivisionError" in capsys.readouterr().err
        with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/ws") as third:
            third.receive_text()
        assert refused.value.code == FULL
    with client.websocket_connect("/ws") as one:
        assert ask(one, 1, "hello", channel=None) == {"id": 1}
