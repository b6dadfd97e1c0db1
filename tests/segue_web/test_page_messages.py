"""What the page says is seen by the person, and says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.segue_web.chromium import needs_chromium
from tests.segue_web.desk import Desk
from tests.segue_web.test_page import playwright

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
