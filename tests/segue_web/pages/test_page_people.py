"""Two browsers at one project: names, comments, and what either sees of the other."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from segue.video import open_source
from segue_web.project.project import Project
from segue_web.video import Video
from tests.segue_web.chromium import needs_chromium
from tests.segue_web.conftest import ServeHere
from tests.segue_web.pages.desk import Desk
from tests.segue_web.pages.page import Page, Server, becomes, playwright, png_of, press
from tests.segue_web.videos import cut_of_sample, numbered, write_video

pytestmark = needs_chromium

MARKED = """(name) => {
  const wanted = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const part = [1, 3, 5].map((i) => parseInt(wanted.slice(i, i + 2), 16));
  const canvas = document.querySelector("#timeline");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < data.length; i += 4)
    if (part.every((value, channel) => data[i + channel] === value)) return true;
  return false;
}"""
"""Whether the timeline has a pixel of a colour of the page."""

SCRUB = """places => Promise.all(["playback", "frames", "state"].map((name) => import(`./static/${name}.js`)))
  .then(([{ go }, { frameImages }, { state }]) => {
    const drawn = () => new Promise((done) => requestAnimationFrame(done));
    window.scrubbed = (async () => {
      for (const place of places) {
        go(place, place !== places.at(-1));
        await drawn();
      }
      while (!frameImages.ready) await drawn();
      const bitmap = frameImages.bitmaps.get(state.frame);
      const { width, height } = bitmap;
      const canvas = Object.assign(document.createElement("canvas"), { width, height });
      canvas.getContext("2d").drawImage(bitmap, 0, 0);
      return [state.frame, canvas.toDataURL("image/png")];
    })();
  })"""
"""Scrubs over places to the last one; ``window.scrubbed`` becomes its frame and its image."""


def test_two_people_comment_resolve_and_ask_before_they_undo_each_other(
    browser: Any, serve_here: ServeHere, video: Path, tmp_path: Path
) -> None:
    address = serve_here("annotate", video, "--project", tmp_path / "p", "--user", "Ann")
    ann = Page(browser, address)
    ann.key("b")
    ann.drag((100, 100), (140, 100))
    ann.here("Object 1: corrected by you")

    ben = Page(browser, address)  # a context, and so a browser, of its own
    ben.here("Object 1: corrected by Ann")
    playwright.expect(ben.page.locator(".notice", has_text="stored as Person 2")).to_be_visible()
    press(ben.page, "people")
    ben.page.get_by_label("Your name").fill("Ben")
    ben.page.get_by_label("Your name").press("Enter")
    ben.page.get_by_label("Comment", exact=True).fill("too thin")
    ben.page.get_by_label("Comment", exact=True).press("Enter")
    comments = ben.page.locator(".comments li")
    playwright.expect(comments).to_contain_text(["too thin"])
    playwright.expect(comments).to_contain_text(["Object 1, frame 0"])
    playwright.expect(ben.page.locator(".done")).to_contain_text("1 comment")
    ben.check_accessibility()
    ben.image("people")
    ben.key("Escape")
    ben.here("Object 1: corrected by Ann")

    news = ann.page.locator("#news")
    playwright.expect(news).to_have_text("1")
    playwright.expect(ann.page.get_by_role("button", name="people and comments: 1 new")).to_be_visible()
    playwright.expect(ben.page.locator("#news")).to_be_hidden()
    assert ann.page.evaluate(MARKED, "--good"), "the comment is marked in the timeline"
    ann.image("comment-marked")
    ann.page.locator("#remarks", has_text="1 open comment here").click()
    playwright.expect(news).to_be_hidden()
    newest = ann.page.locator(".done ul").last.locator("li")
    playwright.expect(newest.first).to_contain_text("comment; Object 1; frame 0")
    playwright.expect(newest.first).to_contain_text(re.compile(r"Ben, \d\d:\d\d"))
    ann.image("people-news")
    ann.page.get_by_label("Resolved").check()
    playwright.expect(ann.page.locator(".comments .resolved")).to_contain_text("too thin")
    ann.key("Escape")
    playwright.expect(ann.page.locator("#remarks")).to_be_hidden()
    playwright.expect(ben.page.locator("#remarks")).to_be_hidden()

    ben.key("z")
    question = ben.page.locator(".question", has_text="Ann made this change: resolved comment.")
    question.get_by_role("button", name="Undo").click()
    playwright.expect(ann.page.locator("#remarks")).to_be_visible()
    playwright.expect(ben.page.locator(".notice", has_text="by Ann")).to_be_visible()
    ben.page.reload()
    press(ben.page, "people")
    playwright.expect(ben.page.get_by_label("Your name")).to_have_value("Ben")
    playwright.expect(news).to_be_hidden()
    ben.page.get_by_label("Comment", exact=True).fill("too short")
    ben.page.get_by_label("Comment", exact=True).press("Enter")
    playwright.expect(news).to_have_text("1")  # though Ann has opened and closed the dialog before
    assert ann.errors == ben.errors == []


def test_a_comment_that_is_being_saved_is_not_given_twice(one: Desk) -> None:
    one.held = {"people", "comment"}
    press(one.page, "people")
    one.answer(one.next("people"), people=[], changes=[])
    field = one.page.locator("#dialog").get_by_label("Comment", exact=True)
    field.fill("too wide here")
    field.press("Enter")
    field.press("Enter")
    first = one.next("comment")
    assert one.ops("comment") == ["comment"]
    one.answer(first, comment=1)
    playwright.expect(field).to_have_value("")
    field.fill("and here")
    field.press("Enter")
    assert one.next("comment")["text"] == "and here"


def test_a_comment_that_was_begun_stays_on_its_place_after_a_reload(one: Desk) -> None:
    one.held = {"people", "comment"}
    one.page.evaluate(
        "import('./static/comments.js').then(({ peopleDialog }) => { peopleDialog('', [30, 20]); })"
    )
    one.answer(one.next("people"), people=[], changes=[])
    one.page.locator("#dialog").get_by_label("Comment", exact=True).fill("too wide here")
    one.page.reload()
    one.answer(one.next("people"), people=[], changes=[])
    field = one.page.locator("#dialog").get_by_label("Comment", exact=True)
    playwright.expect(field).to_have_value("too wide here")
    field.press("Enter")
    given = one.next("comment")
    assert (given["text"], given["frame"], given["object"], given["place"]) == (
        "too wide here",
        0,
        None,
        [30, 20],
    )


def test_unfinished_drawings_on_a_removed_object_change_no_other_object(one: Desk) -> None:
    for tool in ("p", "b"):
        one.objects = [1, 2]
        one.tell_objects()
        one.page.evaluate("import('./static/state.js').then(({ state }) => { state.choose(2); })")
        one.settle()
        one.page.keyboard.press(tool)
        if tool == "p":
            for x, y in ((0.2, 0.2), (0.3, 0.2), (0.3, 0.3)):
                one.click(x, y)
        else:
            one.page.mouse.move(*one.at(50, 50))
            one.page.mouse.down()
            one.page.mouse.move(*one.at(90, 90), steps=3)
        one.objects = [1]
        one.tell_objects()
        one.page.locator(".notice", has_text="was removed").last.wait_for()
        one.page.keyboard.press("Enter") if tool == "p" else one.page.mouse.up()
        assert one.ops("stroke") == []
        becomes(one.page, "import('./static/state.js').then(({ state }) => state.object === 1)")
        one.page.evaluate("document.querySelectorAll('.notice').forEach((box) => box.remove())")
    one.page.mouse.down()
    one.page.mouse.move(*one.at(120, 60), steps=3)
    one.page.mouse.up()
    assert one.next_asked("stroke")["object"] == 1


def test_a_page_that_comes_back_keeps_its_range(
    browser: Any, serve: Callable[..., Server], video: Path, tmp_path: Path
) -> None:
    arguments = ("annotate", video, "--project", tmp_path / "p")
    server = serve(*arguments)
    ann, ben = (Page(browser, server.address) for _ in range(2))
    ann.key("b")
    ann.drag((100, 100), (140, 100))
    ann.here("Object 1: corrected by you")
    for page, frame in ((ann, 2), (ben, 5)):
        page.page.evaluate(f"import('./static/link.js').then(({{ remember }}) => remember('from', {frame}))")
        page.page.evaluate("import('./static/link.js').then(({ request }) => request('keys'))")
    server.stop()
    ann.page.locator("#offline").wait_for()
    serve(*arguments)
    # A connection begins without a revision; the first answer has it.
    becomes(ann.page, "import('./static/state.js').then(({ state }) => state.online && state.revision > 0)")
    assert ann.page.evaluate("import('./static/state.js').then(({ state }) => state.wanted)") == [2, 8]


def test_a_stopped_tracking_waits_for_another_person_and_resumes_after_a_restart(
    browser: Any, serve: Callable[..., Server], tmp_path: Path
) -> None:
    video = cut_of_sample(tmp_path / "pond.mp4", 41)

    def open_at(server: Server) -> Page:
        page = Page(browser, server.address)
        page.page.locator("#objects li").first.wait_for()
        return page

    def track(person: Page, number: int) -> None:
        person.page.locator(f"#objects [data-focus=pick{number}]").click()
        person.key("t")

    def state(person: Page, condition: str) -> None:
        becomes(person.page, f"import('./static/state.js').then(({{ state }}) => {condition})")

    def masks(folder: Path) -> list[np.ndarray]:
        described = Video(video)
        with closing(Project(folder, described.describe(), described.size)) as project:
            return [project.plane(index, 1) for index in range(41)]

    words = ("annotate", video, "--user", "Ann", "--project")
    server = serve(*words, tmp_path / "p")
    ann = Page(browser, server.address)
    for number in (1, 2):
        ann.go(number - 1)  # those that were corrected on one frame are tracked together
        ann.key("n")
        ann.key("b")
        ann.drag((100, 40 + 60 * number), (180, 40 + 60 * number))
        ann.here(f"Object {number}: corrected by you")
    ben = open_at(server)
    track(ann, 1)
    state(ben, "state.running?.user === 'Ann'")
    track(ben, 2)
    state(ann, "state.queue.some(({ user }) => user === 'Person 2') && state.running?.done > 2")
    ann.key("Escape")
    state(ben, "state.running?.user === state.user")
    row = ben.page.locator("#waiting li").last
    playwright.expect(row).to_contain_text(re.compile(r"by Ann\s*stopped at \d+ %"))
    state(ann, "!state.running && state.marks.get(2)?.size === 40")
    state(ann, "state.queue.length === 1 && state.queue[0].held && state.marks.get(1).size < 41")
    assert ann.errors == ben.errors == []
    for person in (ann, ben):
        person.page.context.close()  # the first browser after the restart is the one of Ann
    server.stop()

    server = serve(*words, tmp_path / "p")
    ann = open_at(server)
    state(ann, "!state.running && state.queue.length === 1")
    ann.page.locator("#waiting").get_by_role("button", name="Go on").click()
    state(ann, "!state.running && !state.queue.length && state.marks.get(1).size === 41")

    # Another project: what would come of it at once.
    whole = serve(*words, tmp_path / "whole")
    page = Page(browser, whole.address)
    page.key("b")
    page.drag((100, 100), (180, 100))
    page.here("Object 1: corrected by you")
    page.key("t")
    page.tracked()
    assert ann.errors == page.errors == []
    server.stop()
    whole.stop()
    np.testing.assert_array_equal(masks(tmp_path / "p"), masks(tmp_path / "whole"))


def test_two_people_who_scrub_at_once_end_at_their_frames(
    browser: Any, serve_here: ServeHere, tmp_path: Path
) -> None:
    video = write_video(tmp_path / "film.mp4", numbered(240, (96, 128)), gap=120)
    expected = [frame.image for frame in open_source(video)]
    address = serve_here("annotate", video, "--project", tmp_path / "p")
    people = [Page(browser, address) for _ in range(2)]
    chance = np.random.default_rng(3)
    for _ in range(4):
        places = [chance.integers(0, 240, 20).tolist() for _ in people]
        for person, order in zip(people, places, strict=True):
            person.page.evaluate(SCRUB, order)
        for person, order in zip(people, places, strict=True):
            frame, image = person.page.evaluate("window.scrubbed")
            assert frame == order[-1]
            assert abs(png_of(image).astype(int) - expected[frame]).mean() < 4, frame
    for person in people:
        playwright.expect(person.page.locator(".notice.bad")).to_have_count(0)
        assert person.errors == []
