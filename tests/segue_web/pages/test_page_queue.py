"""Trackings that wait are shown, moved and taken out, and the page is worked on meanwhile."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.segue_web.chromium import needs_chromium
from tests.segue_web.pages.desk import Desk, progress
from tests.segue_web.pages.page import playwright

pytestmark = needs_chromium


def waiting(number: int, *objects: int, **fields: Any) -> dict[str, Any]:
    entry = {"id": number, "direction": "forward", "start": 0, "objects": objects, "total": 8}
    return {**entry, "user": "", "held": False, "done": None, **fields}


@pytest.fixture
def busy(desk: Desk) -> Desk:
    """Object 1 is tracked, 2 and 3 wait, and object 3 is chosen."""
    desk.open()
    desk.change(0, 1, 2, 3)
    playwright.expect(desk.page.locator("#objects li")).to_have_count(3)
    desk.send(progress("tracking", "forward", [1]))
    tell_queue(desk, waiting(4, 2), waiting(5, 3))
    desk.page.keyboard.press("3")
    desk.here("Object 3: corrected by you")
    playwright.expect(desk.page.locator("#waiting li")).to_have_count(3)
    return desk


def tell_queue(desk: Desk, *rows: dict[str, Any]) -> None:
    desk.send(json.dumps({"event": "queue", "queue": rows}))


def test_the_queue_is_shown_moved_and_emptied(busy: Desk) -> None:
    rows = busy.page.locator("#waiting li")
    playwright.expect(rows.nth(0)).to_contain_text("Object 1tracked forwards")
    playwright.expect(rows.nth(1)).to_contain_text("Object 2queued: forwards from 0")
    playwright.expect(busy.page.locator("#progress-what")).to_contain_text("1 of 8 frames; 2 more queued")
    rows.nth(2).get_by_role("button", name="Move up").click()
    moved = busy.next_asked("move")
    assert (moved["waiting"], moved["place"]) == (5, 0)
    tell_queue(busy, waiting(5, 3), waiting(4, 2))
    playwright.expect(rows.nth(1)).to_contain_text("Object 3")
    playwright.expect(rows.nth(1).get_by_role("button", name="Move up")).to_be_disabled()
    rows.nth(1).get_by_role("button", name="Remove from the queue").click()
    taken = busy.next_asked("move", 1)
    assert (taken["waiting"], taken["place"]) == (5, None)
    rows.nth(0).get_by_role("button", name="Stop this tracking").click()
    assert busy.next_asked("stop")["next"] is True


def test_commands_that_stay_enabled_during_a_tracking(busy: Desk) -> None:
    command = "[data-command={}]".format
    for name in ("trackForward", "exportDialog", "importDialog", "splitObject", "undo", "stop"):
        playwright.expect(busy.page.locator(command(name))).to_be_enabled()
    playwright.expect(busy.page.locator("[data-focus=trash1]")).to_be_disabled()
    playwright.expect(busy.page.locator("[data-focus=trash2]")).to_be_enabled()
    busy.page.keyboard.press("t")
    assert busy.next_asked("track")["objects"] == [3]
    busy.page.keyboard.press("z")
    busy.next_asked("undo")
    busy.page.keyboard.press("1")
    busy.here("Object 1: corrected by you")
    playwright.expect(busy.page.locator(command("splitObject"))).to_be_disabled()


def test_escape_stops_the_tracking_before_an_export(busy: Desk) -> None:
    busy.send(progress("export", "export", [], 3))
    shown = busy.page.locator("#progress-what")
    playwright.expect(shown).to_contain_text("Tracking forwards: 1 of 8 frames; exporting 3 of 8")
    playwright.expect(busy.page.locator("[data-command=exportDialog]")).to_be_disabled()
    busy.page.keyboard.press("Escape")
    assert busy.next_asked("stop")["next"] is False
    busy.send(json.dumps({"event": "ended", "job": "tracking", "state": "stopped", "error": None}))
    playwright.expect(shown).to_contain_text("Exporting: 3 of 8 frames")
    busy.page.keyboard.press("Escape")
    busy.next_asked("stop_export")


def test_a_waiting_tracking_can_be_started_after_a_restart(desk: Desk) -> None:
    desk.objects = [1]
    desk.queue = [waiting(2, 1)]
    desk.open()
    desk.page.locator("#waiting").get_by_role("button", name="Start").click()
    asked = desk.next_asked("track")
    assert (asked["resume"], asked["whose"]) == (True, "")


def test_held_trackings_say_whose_they_are_and_begin_again_for_each_person(desk: Desk) -> None:
    desk.user = "Ann"
    desk.open()
    desk.change(0, 1, 2, 3)
    playwright.expect(desk.page.locator("#objects li")).to_have_count(3)
    tell_queue(
        desk,
        waiting(4, 1, user="Ann", held=True, done=3),
        waiting(5, 2, user="Ann", held=True),
        waiting(6, 3, user="Ben", held=True, done=1),
        waiting(7, 2, user="Cem"),
    )
    desk.send(progress("tracking", "forward", [3]))
    rows = desk.page.locator("#waiting li")
    playwright.expect(rows).to_have_text(
        [
            "Object 3tracked forwards",
            "Object 1stopped at 37 %Go on",
            "Object 2paused: forwards from 0",
            "Object 3, by Benstopped at 12 %",
            "Object 2, by Cemqueued: forwards from 0",
        ]
    )
    desk.page.locator("#waiting").get_by_role("button", name="Go on").click()
    assert desk.next_asked("track")["whose"] == "Ann"
    of_ben = desk.page.get_by_role("button", name="Resume the trackings of Ben")
    question = desk.page.locator(".question", has_text="Ben stopped this tracking")
    of_ben.click()
    question.get_by_role("button", name="Leave it stopped").click()
    of_ben.click()
    question.get_by_role("button", name="Go on").click()
    assert desk.next_asked("track", 1)["whose"] == "Ben"


def test_undo_names_the_object_and_the_frame(busy: Desk) -> None:
    busy.held = {"undo"}
    busy.page.keyboard.press("z")
    busy.answer(busy.next("undo"), label="brush stroke", frames=[0], objects=["Koi"])
    notice = busy.page.locator(".notice", has_text="Undone: brush stroke (Koi, frame 0).")
    playwright.expect(notice).to_be_visible()
