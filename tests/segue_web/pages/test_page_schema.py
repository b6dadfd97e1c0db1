"""Classes with keys and attributes in the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.segue_web.chromium import needs_chromium
from tests.segue_web.pages.desk import Desk
from tests.segue_web.pages.page import becomes, playwright, press

pytestmark = needs_chromium

SCHEMA = {
    "classes": [
        {
            "name": "car",
            "colour": "#00ff00",
            "key": "c",
            "attributes": [{"name": "paint", "type": "choice", "values": ["red", "blue"]}, {"name": "plate"}],
        },
        {"name": "bus", "key": "2"},
    ],
    "attributes": [{"name": "occluded", "type": "check", "of": "frame"}],
}


@pytest.fixture
def car(desk: Desk) -> Desk:
    """A car with a mask on frames 0 and 2; it is occluded from frame 2 on."""
    desk.schema = SCHEMA
    desk.known = {1: {"category": "car", "frame_attributes": {"occluded": {"2": "true"}}}}
    desk.open()
    desk.change(0, 1)
    desk.change(2, 1)
    desk.here("Object 1: corrected by you")
    return desk


def test_the_fields_of_a_class_are_those_of_the_schema(car: Desk) -> None:
    about = car.page.locator("#about")
    playwright.expect(about.get_by_label("paint")).to_have_value("")
    about.get_by_label("paint").select_option("blue")
    assert car.next_asked("object")["attributes"] == {"paint": "blue"}
    about.get_by_label("plate").fill("X 1")
    about.get_by_label("plate").press("Enter")
    assert car.next_asked("object", 1)["attributes"] == {"plate": "X 1"}
    playwright.expect(car.page.locator("#objects input[type=color]")).to_have_value("#00ff00")


def test_an_attribute_of_a_frame_is_that_of_the_frame_that_is_shown(car: Desk) -> None:
    box = car.page.locator("#about").get_by_label("occluded")
    playwright.expect(box).not_to_be_checked()
    car.page.keyboard.press("End")
    playwright.expect(box).to_be_checked()
    box.click()
    asked = car.next_asked("frame_attributes")
    assert (asked["object"], asked["frame"], asked["attributes"]) == (1, 8, {"occluded": "false"})


def test_a_box_that_looks_the_same_on_two_frames_is_of_the_one_that_is_shown(car: Desk) -> None:
    box = car.page.locator("#about").get_by_label("occluded")
    playwright.expect(box).not_to_be_checked()
    car.page.keyboard.press("ArrowRight")
    playwright.expect(car.page.locator("#frame")).to_have_value("1")
    box.click()
    assert car.next_asked("frame_attributes")["frame"] == 1


def test_the_key_of_a_class_gives_it_to_the_chosen_object(car: Desk) -> None:
    car.page.keyboard.press("k")
    playwright.expect(car.page.locator("#dialog")).to_contain_text("Class of Object 1")
    car.page.keyboard.press("2")
    asked = car.next_asked("object")
    assert (asked["object"], asked["category"]) == (1, "bus")
    playwright.expect(car.page.locator("#dialog")).not_to_be_visible()


def test_a_schema_is_made_in_the_page_and_kept_as_a_file(car: Desk, tmp_path: Path) -> None:
    page = car.page
    press(page, "schemaDialog")
    dialog = page.locator("#dialog")
    dialog.get_by_role("button", name="New class", exact=True).click()
    page.keyboard.type("tram")
    last = dialog.locator(".classes > li").last
    last.get_by_label("Key").fill("t")
    last.get_by_role("button", name="New attribute of").click()
    row = dialog.locator(".classes > li").last.locator("ul li")
    row.get_by_label("Attribute").fill("doors")
    row.get_by_label("Kind of").select_option("choice")
    row = dialog.locator(".classes > li").last.locator("ul li")
    row.get_by_label("Values").fill("open, shut")
    row.get_by_label("Owner of").select_option("object")
    with page.expect_download() as coming:
        dialog.get_by_role("button", name="Save as a file").click()
    path = tmp_path / "schema.json"
    coming.value.save_as(path)
    dialog.get_by_role("button", name="Save", exact=True).click()

    schema = car.next_asked("schema")["schema"]
    tram: Any = schema["classes"][2]
    assert (tram["name"], tram["key"]) == ("tram", "t")
    doors = {"name": "doors", "type": "choice", "of": "object", "values": ["open", "shut"]}
    assert tram["attributes"] == [doors]
    assert [one["name"] for one in schema["classes"]] == ["car", "bus", "tram"]
    assert json.loads(path.read_text()) == schema

    press(page, "schemaDialog")
    dialog.get_by_label("File of a label schema").set_input_files(path)
    playwright.expect(dialog.locator(".classes > li")).to_have_count(3)


def test_classes_that_somebody_changed_and_took_back_meanwhile_can_be_saved(car: Desk) -> None:
    page, dialog = car.page, car.page.locator("#dialog")
    press(page, "schemaDialog")
    dialog.get_by_role("button", name="New class", exact=True).click()
    dialog.get_by_label("Class", exact=True).last.fill("tram")
    car.change(2, 1)  # a change and its undo, both later than the dialog
    car.change(2, 1)
    becomes(page, f"import('./static/state.js').then(({{ state }}) => state.revision === {car.revision})")
    dialog.get_by_role("button", name="Save", exact=True).click()
    assert car.next_asked("schema")["seen"] == car.revision


def test_a_review_of_a_mask_is_said_shown_and_taken_back(car: Desk) -> None:
    car.page.keyboard.press("Shift+R")
    asked = car.next_asked("reviewed")
    assert (asked["objects"], asked["first"], asked["last"], asked["reviewed"]) == ([1], 0, 0, True)
    car.reviewed = True
    car.change(0, 1)
    car.here("Reviewed.")
    car.page.keyboard.press("Shift+R")
    assert car.next_asked("reviewed", 1)["reviewed"] is False
    car.page.keyboard.press("Shift+V")
    asked = car.next_asked("reviewed", 2)
    assert (asked["first"], asked["last"], asked["reviewed"]) == (0, 8, True)
    car.page.locator("#seek").select_option("unreviewed")
    car.page.keyboard.press(".")
    playwright.expect(car.page.locator("#frame")).to_have_value("2")
