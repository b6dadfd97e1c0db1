"""What the page says is seen by the person, and says what to do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.segue_web.chromium import needs_chromium
from tests.segue_web.desk import Desk
from tests.segue_web.test_page import Page, Server, playwright, serve, video  # noqa: F401  fixtures

pytestmark = needs_chromium

UNCOVERED = """node => {
  const box = node.getBoundingClientRect();
  const middle = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
  const places = [[box.left + 6, box.top + 6], [box.right - 6, box.bottom - 6], middle];
  return places.every(([x, y]) => node.contains(document.elementFromPoint(x, y)));
}"""
"""Whether nothing lies over an element, and all of it is in the window."""


def is_seen(page: Any, text: str) -> bool:
    notice = page.locator(".notice", has_text=text)
    notice.wait_for()
    return bool(notice.evaluate(UNCOVERED))


@pytest.mark.parametrize("count", [0, 40])
@pytest.mark.parametrize("size", [(1360, 820), (1366, 768), (1000, 600)])
def test_short_messages_are_seen(desk: Desk, size: tuple[int, int], count: int) -> None:
    desk.page.set_viewport_size({"width": size[0], "height": size[1]})
    desk.objects = list(range(1, count + 1))
    desk.open()
    desk.page.keyboard.press("n")
    assert is_seen(desk.page, "Click on the new object")


def test_messages_are_seen_while_a_dialog_is_open_and_after_it(desk: Desk) -> None:
    desk.open()
    desk.page.locator('[data-command="help"]').click()
    desk.page.evaluate("import('./static/dom.js').then(({ notice }) => notice('cannot be done', 'bad'))")
    assert is_seen(desk.page, "cannot be done")
    desk.page.keyboard.press("Escape")
    playwright.expect(desk.page.locator("#dialog")).to_be_hidden()
    assert is_seen(desk.page, "cannot be done")


def test_the_page_goes_on_where_segue_is_started_again(
    serve: Callable[..., Server],  # noqa: F811
    browser: Any,
    video: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    arguments = ("annotate", video, "--project", tmp_path / "p", "--device", "cpu")
    server = serve(*arguments)
    page = Page(browser, server.address)
    server.kill()
    playwright.expect(page.page.locator("#offline")).to_contain_text("Start segue annotate again")

    assert serve(*arguments).address == server.address
    page.page.locator("#offline").wait_for(state="hidden")
    page.key("b")
    page.drag((100, 60), (140, 60))
    page.here("Object 1: corrected by you")
    assert page.errors == []


def test_the_page_tells_its_secret_to_no_other_program_at_its_port(
    serve: Callable[..., Server],  # noqa: F811
    browser: Any,
    video: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    server = serve("annotate", video, "--project", tmp_path / "p", "--device", "cpu")
    page = Page(browser, server.address)
    server.kill()
    asked: list[str] = []

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"0" * 64)

        def log_message(self, *_: object) -> None: ...

    parts = urlsplit(server.address)
    with ThreadingHTTPServer(("127.0.0.1", int(parts.port or 0)), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        playwright.expect(page.page.locator("#offline")).to_contain_text("start segue again and use the new")
        page.key("End")
        playwright.expect(page.page.locator("#frame")).to_have_value("8")
        page.page.close()
        other.shutdown()

    secret = parts.path.strip("/")
    assert asked
    assert not [path for path in asked if secret in path]
