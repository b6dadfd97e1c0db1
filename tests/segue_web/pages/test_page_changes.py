"""What a tracking changed is shown, looked at before and after, and accepted or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from segue.masks import encode_rle
from segue_web.project.annotations import FrameAnnotation
from segue_web.project.project import Project
from segue_web.video import Video
from tests.segue_web.chromium import needs_chromium
from tests.segue_web.conftest import ServeHere
from tests.segue_web.pages.desk import HEIGHT, WIDTH, Desk, progress
from tests.segue_web.pages.page import Page, playwright

pytestmark = needs_chromium


def square(left: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    plane = np.zeros(size, np.bool_)
    plane[40:60, left : left + 20] = True
    return plane


def change(desk: Desk, *agreements: tuple[int, float]) -> None:
    """Tell the page of frames on which the mask of object 1 has moved by ten pixels."""
    desk.revision += 1
    before, after = (encode_rle(square(left))["counts"] for left in (40, 50))
    for frame, agreement in agreements:
        marks = {"1": ["tracked", 0.9, 400, False, "", "", agreement]}
        desk.looks[frame] = {"masks": {"1": after}, "replaced": {"1": before}, "marks": marks}
    event = {"event": "changed", "revision": desk.revision, "timeline": desk.timeline()}
    desk.send(json.dumps(event | {"history": {"undo": "tracking", "redo": None}}))


def colour_at(desk: Desk, x: float, y: float) -> tuple[int, ...]:
    desk.settle()
    left, top = desk.at(x, y)
    read = """([x, y]) => { const canvas = document.getElementById("canvas");
      const box = canvas.getBoundingClientRect();
      return [...canvas.getContext("2d").getImageData(x - box.left, y - box.top, 1, 1).data]; }"""
    return tuple(desk.page.evaluate(read, [left, top])[:3])


def is_blue(colour: tuple[int, ...]) -> bool:
    """Whether a colour is that of what was added, and not the orange of what was removed."""
    return colour[2] > colour[0] + 60


def is_orange(colour: tuple[int, ...]) -> bool:
    return colour[0] > colour[2] + 60


def test_a_changed_mask_is_shown_as_difference_before_and_after(one: Desk) -> None:
    change(one, (2, 0.33), (3, 0.33), (5, 0.95))
    said = one.page.locator("#changes-text")
    playwright.expect(said).to_contain_text("Object 1: 3 masks changed, 2 much")
    playwright.expect(one.page.locator('[data-command="acceptChange"]')).to_be_disabled()
    one.page.locator("#seek").select_option("changed")
    one.page.keyboard.press(".")
    playwright.expect(one.page.locator("#frame")).to_have_value("2")
    one.settle()

    playwright.expect(said).to_contain_text("This frame: 200 pixels added, 200 removed, of 400 before")
    assert is_blue(colour_at(one, 65, 50))
    assert is_orange(colour_at(one, 45, 50))
    plain = colour_at(one, 300, 200)
    one.page.keyboard.press("Shift+B")
    playwright.expect(one.page.get_by_role("radio", name="Before")).to_have_attribute("aria-checked", "true")
    assert colour_at(one, 65, 50) == plain != colour_at(one, 45, 50)
    one.page.keyboard.press("Shift+B")
    assert colour_at(one, 45, 50) == plain != colour_at(one, 65, 50)
    one.page.keyboard.press("Shift+B")
    assert is_blue(colour_at(one, 65, 50))


def test_the_next_frame_to_review_is_offered_when_a_tracking_has_ended(one: Desk) -> None:
    one.send(progress("tracking", "forward", [1]))
    one.change(4, 1, kind="tracked")
    one.revision += 1
    one.looks[4]["marks"] = {"1": ["tracked", 0.3, 400, False]}
    event = {"event": "changed", "revision": one.revision, "timeline": one.timeline()}
    one.send(json.dumps(event))
    one.send(json.dumps({"event": "ended", "job": "tracking", "error": None}))
    offered = one.page.locator(".notice", has_text="Next to review: frame 4, Object 1 (0.30)")
    offered.get_by_role("button", name="Go there").click()
    playwright.expect(one.page.locator("#frame")).to_have_value("4")
    playwright.expect(offered).to_have_count(0)


def test_the_offered_frame_vanishes_when_the_tracking_is_undone(one: Desk) -> None:
    one.send(progress("tracking", "forward", [1]))
    one.change(4, 1, kind="tracked")
    one.looks[4]["marks"] = {"1": ["tracked", 0.3, 400, False]}
    for _ in range(2):
        one.revision += 1
        event = {"event": "changed", "revision": one.revision, "timeline": one.timeline()}
        one.send(json.dumps(event | {"history": {"undo": "tracking", "redo": None}}))
        if 4 in one.looks:
            one.send(json.dumps({"event": "ended", "job": "tracking", "error": None}))
            playwright.expect(one.page.locator(".notice", has_text="Next to review")).to_have_count(1)
            del one.looks[4]
    playwright.expect(one.page.locator(".notice", has_text="Next to review")).to_have_count(0)


def test_a_tracking_says_how_far_a_correction_came(one: Desk) -> None:
    frames = {"done": 49, "computed": 12, "total": 49}
    one.send(json.dumps(json.loads(progress("tracking", "forward", [1])) | frames))
    one.send(json.dumps({"event": "ended", "job": "tracking", "error": None}))
    said = "The correction was tracked through 12 of 49 frames; the others keep their masks."
    playwright.expect(one.page.locator(".notice", has_text=said)).to_have_count(1)


def test_a_change_is_judged_by_frame_and_by_range(one: Desk) -> None:
    change(one, (2, 0.33), (3, 0.33), (5, 0.95))
    one.page.keyboard.press("ArrowRight")
    one.page.keyboard.press("ArrowRight")
    playwright.expect(one.page.locator('[data-command="refuseChange"]')).to_be_enabled()
    one.page.keyboard.press("Shift+X")
    wanted = {"objects": [1], "first": 2, "last": 2, "accept": False}
    assert wanted.items() <= one.next_asked("judge").items()
    one.page.keyboard.press(">")
    playwright.expect(one.page.locator("#changes-range")).to_have_text("Frames 0 to 2")
    one.page.locator('[data-command="acceptChanges"]').click()
    wanted = {"objects": [1], "first": 0, "last": 2, "accept": True, "seen": one.revision}
    assert wanted.items() <= one.next_asked("judge", 1).items()
    one.looks = {0: one.looks[0]}
    one.revision += 1
    event = {"event": "changed", "revision": one.revision, "timeline": one.timeline()}
    one.send(json.dumps(event | {"history": {"undo": "accepted changes", "redo": None}}))
    playwright.expect(one.page.locator("#changes")).to_be_hidden()


def test_a_range_is_judged_before_the_masks_of_the_shown_frame_have_come(desk: Desk) -> None:
    desk.objects, desk.revision, desk.held = [1], 7, {"look"}
    desk.looks = {2: {"masks": {}, "marks": {"1": ["tracked", 0.9, 400, False, "", "", 0.3]}}}
    desk.open()
    desk.page.locator('[data-command="refuseChanges"]').click()
    assert desk.next_asked("judge")["seen"] == 7


def test_two_browsers_judge_one_tracking_and_a_reload_forgets_nothing(
    browser: Any, serve_here: ServeHere, video: Path, tmp_path: Path
) -> None:
    opened = Video(video)
    project = Project(tmp_path / "p", opened.describe(), opened.size, opened.path)
    with project.change("click"):
        project.add_object()
        project.put(0, {1: (square(40, opened.size), FrameAnnotation("given"))})
    for left in (40, 50):
        with project.change("tracking"):
            for frame in range(1, 5):
                project.put(frame, {1: (square(left, opened.size), FrameAnnotation("tracked", 0.9))})
    project.close()

    address = serve_here("annotate", video, "--project", tmp_path / "p", "--device", "cpu")
    ann, ben = (Page(browser, address) for _ in range(2))
    for page in (ann, ben):
        playwright.expect(page.page.locator("#changes-text")).to_contain_text("4 masks changed, 4 much")
    ann.go(1)
    ann.key("Shift+X")
    playwright.expect(ben.page.locator("#changes-text")).to_contain_text("3 masks changed")
    ben.check_accessibility()
    ben.image("changes")
    ben.page.locator('[data-command="acceptChanges"]').click()
    playwright.expect(ann.page.locator("#changes")).to_be_hidden()
    ben.page.locator(".notice", has_text="Accepted: 3 masks.").get_by_role("button", name="Undo").click()
    playwright.expect(ann.page.locator("#changes-text")).to_contain_text("3 masks changed")
    ann.page.reload()
    playwright.expect(ann.page.locator("#changes-text")).to_contain_text("3 masks changed")
    ann.page.locator('[data-command="refuseChanges"]').click()
    playwright.expect(ben.page.locator("#changes")).to_be_hidden()
    assert ann.errors == ben.errors == []


def test_a_mask_that_is_likely_to_fit_badly_says_so_and_offers_what_mends_it(desk: Desk) -> None:
    desk.open()
    plane, prompts = square(40), {"1": {"points": [[50, 50, True]], "box": None}}

    def give(score: float, **fields: Any) -> None:
        marks = {"1": ["given", score, 400, False, "", "", None]}
        desk.change(0, 1)
        desk.looks[0] = {"masks": {"1": encode_rle(plane)["counts"]}, "marks": marks} | fields
        desk.revision += 1
        event = {"event": "changed", "revision": desk.revision, "frames": [desk.look(0)]}
        desk.send(json.dumps(event | {"history": {"undo": "click", "redo": None}}))

    doubt = desk.page.locator("#doubtful")
    give(0.9, prompts=prompts)
    desk.here("estimated IoU 90 %")
    playwright.expect(doubt).to_be_hidden()
    plain = [colour_at(desk, x, 40.2) for x in range(42, 58)]
    give(0.4, prompts=prompts)
    playwright.expect(doubt).to_contain_text("This mask probably fits badly.")
    dashed = [colour_at(desk, x, 40.2) for x in range(42, 58)]
    assert plain != dashed, "its outline is marked on the image, too"
    desk.held = {"candidate"}
    doubt.get_by_role("button", name="Next alternative").click()
    asked = desk.next("candidate")
    assert asked["object"] == 1
    desk.answer(asked, object=1, place=1, scores=[0.4, 0.6])
    give(0.4)  # painted: there is no click with other readings
    playwright.expect(doubt.get_by_role("button", name="Next alternative")).to_have_count(0)
    doubt.get_by_role("button", name="Brush").click()
    playwright.expect(desk.page.locator("[data-tool=brush]")).to_have_attribute("aria-checked", "true")
