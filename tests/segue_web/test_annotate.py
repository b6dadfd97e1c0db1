"""What the page asks for becomes computations and saved changes; the network is played by a circle."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest

import segue
from segue.errors import PromptError, SegueError
from segue.masks import Edge, Rle, decode_rle, encode_rle, opacity, write_index_mask
from segue.prompt_types import PointPrompt
from segue.prompts import ImagePrompter, ImagePrompts, MaskPrediction
from segue.prompts.correction import ClickHistory
from segue.utils.arrays import BoolArray
from segue.video.sources.images import write_image
from segue_web.annotate import AnnotateBackend
from segue_web.exports import snapshot
from segue_web.project.annotations import Correction, FrameAnnotation, runs_of
from segue_web.project.tracking import TrackedFrame
from segue_web.server import messages
from segue_web.server.conflicts import ConflictError
from segue_web.server.worker import Tools, Worker
from segue_web.video import Video
from tests.clips import clip
from tests.prompts.test_motion import BODY, filled, overlap, scene
from tests.prompts.test_motion import stub as stub
from tests.segue_web.limited_files import files_limited_to
from tests.segue_web.videos import numbered, write_video


class CircleWorker(Worker):
    """Answers a click with a disk around the first point; it has no process, and nothing to load."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.asked: list[Any] = []
        self.jobs: list[tuple[Any, ...]] = []

    async def ask(self, method: str, *arguments: Any) -> Any:
        if method.startswith("load_"):
            return None
        frame, asked, history = (*arguments, None)[:3]
        self.asked.append((method, frame, asked, history))
        mask = np.zeros(self.size, np.uint8)
        if method == "find":  # one object, as far to the right as the number of the frame
            plane = cv2.circle(mask, (10 + frame, 10), 5, 1, -1) > 0
            return {
                "detector": asked,
                "found": [{"counts": encode_rle(plane)["counts"], "label": asked, "score": 0.5}],
            }
        if method == "correct":  # a disk under the last click
            x, y, inside = arguments[2][-1]
            disk = cv2.circle(mask, (int(x), int(y)), 5, 1, -1) > 0
            return (asked | disk if inside else asked & ~disk), 0.75
        x, y = [*asked.positive, *asked.negative][0] if asked.box is None else asked.box[:2]
        return cv2.circle(mask, (int(x), int(y)), 5, 1, -1) > 0, 0.75

    def steps(self, make: Any, *arguments: Any) -> AsyncGenerator[Any, None]:
        self.jobs.append(arguments)
        self.coming: asyncio.Queue[Any] = asyncio.Queue()
        return self._steps(self.coming)

    async def _steps(self, coming: asyncio.Queue[Any]) -> AsyncGenerator[Any, None]:
        while True:
            yield await coming.get()

    async def idle(self, seconds: float) -> None: ...

    def close(self) -> None: ...


class DirectWorker(CircleWorker):
    """Answers with the tools themselves, in this process."""

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools.video.size)
        self.tools = tools

    async def ask(self, method: str, *arguments: Any) -> Any:
        return getattr(self.tools, method)(*arguments)


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[AnnotateBackend]:
    video = Video(write_video(tmp_path / "video.mp4", numbered(12)))
    backend = AnnotateBackend(video, tmp_path / "p", worker=CircleWorker(video.size))
    yield backend
    backend.close()


@contextmanager
def asking(worker: Worker, tmp_path: Path) -> Iterator[AnnotateBackend]:
    """A backend that asks this worker."""
    video = Video(write_video(tmp_path / "video.mp4", numbered(12)))
    with closing(AnnotateBackend(video, tmp_path / "p", worker=worker)) as backend:
        yield backend


Ask = Callable[..., dict[str, Any]]

SEEN = 1 << 20
"""The revision of a page that has heard of all changes."""


def request(op: str, **fields: Any) -> messages.PageRequest:
    return messages.parse(json.dumps({"id": 1, "op": op, **fields}))


@pytest.fixture
def ask(backend: AnnotateBackend) -> Ask:
    def run(op: str, **fields: Any) -> dict[str, Any]:
        return asyncio.run(backend.handle(request(op, **fields)))

    return run


def click(ask: Ask, frame: int, x: float, y: float, number: int | None = None) -> int:
    seen = ask("look", frames=[frame])["frames"][0]["revision"]
    answer = ask("click", frame=frame, object=number, points=[(x, y, True)], seen=seen)
    return int(answer["object"])


def test_a_click_makes_an_object_and_is_saved_with_its_prompt(backend: AnnotateBackend, ask: Ask) -> None:
    assert click(ask, 3, 20, 30) == 1

    assert backend.project.mask(3)[30, 20] == 1
    assert backend.project.prompts(3) == {1: {"points": [[20.0, 30.0, True]], "box": None}}
    assert [row["name"] for row in backend.project.objects()] == ["Object 1"]
    assert backend.project.marks(3)[1].score == 0.75, "what the prompter expects"
    ask("undo")
    assert backend.project.objects() == []
    assert not backend.project.mask(3).any()


@pytest.mark.parametrize(("frame", "shifts"), [(0, (0, 5)), (1, (-5, 0))])
def test_a_click_selects_the_region_that_moves_together(
    frame: int, shifts: tuple[int, int], tmp_path: Path, stub: str
) -> None:
    """On the last frame the one before it tells."""
    for index, shift in enumerate(shifts):
        write_image(tmp_path / "video" / f"{index}.png", scene(shift))
    tools = Tools(tmp_path / "video", None, ("stcn-lite", None), stub, None)

    clicked = tools.click(frame, ImagePrompts(points=[(160, 60)]))

    assert overlap(clicked[0], filled(BODY)) > 0.7


def test_masks_without_a_predicted_iou_are_saved(tmp_path: Path) -> None:
    video = Video(write_video(tmp_path / "video.mp4", numbered(2)))
    tools, doubting = Tools(video.path, None, ("stcn-lite", None), "segue-prompt", None), Doubting(video.size)
    tools.prompter = lambda index: doubting  # type: ignore[assignment, method-assign, misc]
    doubting.iou = np.nan

    clicked = tools.click(0, ImagePrompts(box=(4, 4, 40, 40)))

    assert clicked[1] == 1
    backend = AnnotateBackend(video, tmp_path / "p", worker=DirectWorker(tools))
    edit = request("click", frame=0, object=None, points=[], box=(4, 4, 40, 40), seen=0)
    asyncio.run(backend.handle(edit))
    assert np.array_equal(backend.project.mask(0) == 1, clicked[0])
    assert backend.project.marks(0)[1].score == 1.0
    backend.close()


class Doubting(ImagePrompter):
    """Keeps what it is asked, and answers a disk whose rim it doubts."""

    iou = 1.0

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__(np.zeros((*size, 3), np.uint8))
        rows, columns = np.indices(size)
        distance = np.hypot(rows - 20, columns - 20)
        self.plane = np.clip(1 - distance / 20, 0, 1).astype(np.float32)  # one half at a distance of 10
        self.asked: list[ImagePrompts] = []

    def _segment(self, prompts: ImagePrompts) -> MaskPrediction:
        self.asked.append(prompts)
        height, width = self.plane.shape
        iou = np.full(1, self.iou, np.float32)
        return MaskPrediction((height, width), (0, 0, width, height), iou, self.plane[None])


def test_a_correction_sees_how_sure_the_mask_was_as_long_as_it_is_the_one_that_was_answered(
    tmp_path: Path,
) -> None:
    video = Video(write_video(tmp_path / "video.mp4", numbered(2)))
    tools, doubting = Tools(video.path, None, ("stcn-lite", None), "segue-prompt", None), Doubting(video.size)
    tools.prompter = lambda index: doubting  # type: ignore[assignment, method-assign, misc]
    mask = tools.click(0, ImagePrompts(points=[(20, 20)]))[0]
    painted = mask.copy()
    painted[0, :4] = True

    def last_mask(so_far: np.ndarray) -> np.ndarray:
        history = ClickHistory(((20, 20, True),))
        tools.click(0, ImagePrompts(points=[(20, 20), (25, 25)], mask=so_far), history, [(25, 25, True)])
        return np.asarray(doubting.asked[-1].mask)

    seen = last_mask(mask)
    np.testing.assert_allclose(seen, doubting.plane, atol=1 / 255)
    assert np.array_equal(seen > 0.5, mask), "the mask itself is the same"
    assert np.array_equal(last_mask(painted), painted), "what a person painted is not doubted"


class Undecided(ImagePrompter):
    """Knows two masks for each click: the left half of the image and the upper half."""

    def _segment(self, prompts: ImagePrompts) -> MaskPrediction:
        self.asked = prompts
        height, width = self.size
        planes = np.full((2, height, width), 0.1, np.float32)
        planes[0, :, : width // 2] = planes[1, : height // 2] = 0.8
        return MaskPrediction(self.size, (0, 0, width, height), np.array([0.7, 0.6], np.float32), planes)


def test_a_correction_sees_how_sure_a_mask_was_that_was_chosen_among_those_of_a_click(tmp_path: Path) -> None:
    video = Video(write_video(tmp_path / "video.mp4", numbered(2)))
    tools = Tools(video.path, None, ("stcn-lite", None), "segue-prompt", None)
    undecided = Undecided(video.frame(0).image)
    tools.prompter = lambda index: undecided  # type: ignore[assignment, method-assign, misc]

    left, upper = tools.candidates(0, ImagePrompts(points=[(2, 2)]))

    assert [round(score, 3) for _, score in (left, upper)] == [0.7, 0.6]
    assert left[0][-1, 0]
    assert upper[0][0, -1]
    tools.click(0, ImagePrompts(mask=upper[0]), ClickHistory(((2, 2, True),)), [(5, 5, True)])
    assert undecided.asked.mask is not None
    np.testing.assert_allclose(undecided.asked.mask[0, -1], 0.8, atol=1 / 255)


class Sensitive(ImagePrompter):
    """Two answers that depend on all that is asked, also on how sure the mask so far is."""

    def _segment(self, prompts: ImagePrompts) -> MaskPrediction:
        height, width = self.size
        rows, columns = np.indices(self.size)
        odds = np.full((2, height, width), -2.0)
        for places, sign in ((prompts.positive, 4), (prompts.negative, -3)):
            for x, y in places:
                odds += sign * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 120)
        if prompts.mask is not None:
            odds += 3 * (prompts.mask - 0.4) + 8 * (prompts.mask.mean() - 0.1)
        if prompts.box is not None:
            x0, y0, x1, y1 = prompts.box
            odds += 2.2 * ((columns >= x0) & (columns < x1) & (rows >= y0) & (rows < y1))
        odds[1] -= 1.2
        planes = (1 / (1 + np.exp(-odds))).astype(np.float32)
        return MaskPrediction(self.size, (0, 0, width, height), np.array([0.8, 0.7], np.float32), planes)


class ClickedPage:
    """Object 1 on frame 0 of a page that may be closed and opened again between the clicks."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.folder = path, folder
        self.open()

    def open(self) -> None:
        tools = Tools(self.path, None, ("stcn-lite", None), "segue-prompt", "cpu")
        self.backend = AnnotateBackend(Video(self.path), self.folder, worker=DirectWorker(tools))

    def restart(self) -> None:
        self.backend.close()
        self.open()

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        return asyncio.run(self.backend.handle(request(op, frame=0, **fields)))

    @property
    def about(self) -> dict[str, Any]:
        number = 1 if self.backend.project.objects() else None
        return {"object": number, "seen": self.backend.project.last_change("frame", 0).revision}

    def rest(self, x: float, y: float) -> None:
        """What the page asks for while the pointer rests."""
        self.ask("prepare", at=[x, y])
        if self.about["object"]:
            with suppress(PromptError):  # of objects with one click it asks
                self.ask("candidates", **self.about)

    def click(self, *clicks: tuple[float, float, bool], box: Any = None) -> np.ndarray:
        """A click more, as the page says it: with all clicks before, and the box."""
        said = self.backend.project.prompts(0).get(1, {"points": [], "box": None})
        self.ask("click", points=[*said["points"], *clicks], box=box or said["box"], **self.about)
        return self.mask

    @property
    def mask(self) -> np.ndarray:
        return self.backend.project.plane(0, 1)


CLICKED = [(20.0, 24.0, True), (30.0, 24.0, False), (14.0, 30.0, True), (22.0, 12.0, False)]


@pytest.fixture
def sensitive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A video whose prompter is sensitive."""
    monkeypatch.setattr("segue_web.server.worker.find_prompter", lambda *_, **__: Sensitive)
    return write_video(tmp_path / "v.mp4", numbered(2))


@pytest.mark.parametrize("start", ["click", "box", "box after a click", "another mask", "tracked"])
def test_clicks_have_one_answer_at_once_after_a_rest_after_a_restart_and_in_python(
    start: str, sensitive: Path, tmp_path: Path
) -> None:
    pages = {how: ClickedPage(sensitive, tmp_path / how) for how in ("at once", "rest", "restart")}
    in_python = segue.Video(sensitive, model="stcn-lite", prompter=Sensitive, device="cpu")
    box = (12.0, 14.0, 34.0, 36.0)
    square = np.zeros((48, 64), np.bool_)
    square[16:34, 24:40] = True

    def begin(page: ClickedPage) -> None:
        if start == "tracked":
            with page.backend.project.change("tracking"):
                number = page.backend.project.add_object()
                page.backend.project.put(0, {number: (square, FrameAnnotation("tracked", 0.6))})
        elif start == "box":
            page.click(box=box)
        else:
            page.click(CLICKED[0])
        if start == "box after a click":
            page.click(box=box)
        if start == "another mask":
            page.ask("candidate", **page.about)

    for how, page in pages.items():
        if how == "rest":
            page.rest(*CLICKED[0][:2])
        begin(page)
    if start == "tracked":
        in_python.add(0, masks={1: square})
    elif start == "box":
        in_python.add(0, box=box)
    elif start == "box after a click":
        in_python.add(0, box=box, points=[CLICKED[0][:2]])
    else:
        in_python.add(0, points=[CLICKED[0][:2]])
    first = pages["at once"].mask
    for place in CLICKED[1:] if start not in ("box", "tracked") else CLICKED:
        pages["rest"].rest(*place[:2])
        pages["restart"].restart()
        previous, answers = pages["at once"].mask, {how: page.click(place) for how, page in pages.items()}
        if start != "another mask":  # which Python does not offer
            in_python = in_python if place is CLICKED[2] else _after_a_restart(in_python)
            answers["Python"] = in_python.add(0, points=[place[:2]], labels=[int(place[2])]).mask == 1
        for how, mask in answers.items():
            np.testing.assert_array_equal(mask, answers["at once"], f"{how}, {place}")
        changed = answers["at once"]
        assert changed[int(place[1]), int(place[0])] == place[2]
        assert place[2] or not (changed & ~previous).any(), "a click beside it adds nothing"
    assert not np.array_equal(changed, first), "clicks on a mask correct it"
    for page in pages.values():
        page.backend.close()


def _after_a_restart(video: segue.Video) -> segue.Video:
    other = segue.Video(video.source, model="stcn-lite", prompter=Sensitive, device="cpu")
    other.restore(json.loads(json.dumps(video.state())))
    return other


def with_tracked_square(video: Path, folder: Path) -> tuple[ClickedPage, np.ndarray]:
    """A page of a video whose first frame has a tracked mask, and the mask."""
    page = ClickedPage(video, folder)
    square = np.zeros((48, 64), np.bool_)
    square[16:34, 14:30] = True
    with page.backend.project.change("tracking"):
        page.backend.project.put(
            0, {page.backend.project.add_object(): (square, FrameAnnotation("tracked", 0.6))}
        )
    return page, square


def test_a_click_that_agrees_keeps_the_score(sensitive: Path, tmp_path: Path) -> None:
    page, square = with_tracked_square(sensitive, tmp_path / "p")

    np.testing.assert_array_equal(page.click((20, 24, True)), square)

    assert page.backend.project.marks(0)[1].score == 0.6
    page.backend.close()


def test_clicks_have_one_answer_of_the_network_of_the_package(tmp_path: Path) -> None:
    """Nor does what is asked meanwhile of another object change it, or of another frame."""
    images, masks = clip(3, 2, 64, 96, 2)
    path = write_video(tmp_path / "video.mp4", images)
    (y, x), (up, left) = np.argwhere(masks[0] == 1)[40], np.argwhere(masks[0] == 2)[40]
    clicks = [(float(x), float(y), True), (float(left), float(up), False)]
    at_once, rested, restarted = (ClickedPage(path, tmp_path / how) for how in ("1", "2", "3"))
    in_python = segue.Video(path, model="stcn-lite", device="cpu")
    for place in clicks:
        rested.rest(*place[:2])
        rested.backend._worker.tools.click(0, ImagePrompts(points=[(float(left), float(up))]))  # type: ignore[attr-defined]
        restarted.restart()
        answers = [page.click(place) for page in (at_once, rested, restarted)]
        in_python.add(0, points=[place[:2]], labels=[int(place[2])])
        _, counts, *_ = in_python.state()["prompted"]["0"]["1"]
        answers.append(decode_rle(Rle(size=list(answers[0].shape), counts=counts)))
        in_python.add(0, [PointPrompt(2, ((left, up),))])
        for answer in answers[1:]:
            np.testing.assert_array_equal(answer, answers[0])
    for page in (at_once, rested, restarted):
        page.backend.close()


def test_the_masks_that_a_click_may_mean_are_shown_without_being_saved(tmp_path: Path) -> None:
    tools = Tools(
        write_video(tmp_path / "v.mp4", numbered(2)), None, ("stcn-lite", None), "segue-prompt", None
    )
    undecided = Undecided(tools.video.frame(0).image)
    tools.prompter = lambda index: undecided  # type: ignore[assignment, method-assign, misc]
    with asking(DirectWorker(tools), tmp_path) as backend:

        def ask(op: str, **fields: Any) -> dict[str, Any]:
            return asyncio.run(backend.handle(request(op, **fields)))

        click(ask, 0, 2, 2)
        seen = backend.project.last_change("frame", 0).revision
        found = ask("candidates", frame=0, object=1, seen=seen)
        assert found["masks"][0] == backend.project.masks(0)[1]
        assert len({*found["masks"]}) == len(found["scores"]) == 2
        assert backend.project.last_change("frame", 0).revision == seen
        ask("stroke", frame=1, object=1, add=True, path=[(2, 2)], width=3, seen=0)
        with pytest.raises(PromptError, match="with clicks has alternatives"):
            ask("candidates", frame=1, object=1, seen=backend.project.last_change("frame", 1).revision)


def test_a_correction_has_the_whole_object_anew_as_other_readings(sensitive: Path, tmp_path: Path) -> None:
    page, square = with_tracked_square(sensitive, tmp_path / "p")
    corrected = page.click((34, 20, True))
    assert not np.array_equal(corrected, square)

    def readings() -> list[str]:
        seen = page.backend.project.last_change("frame", 0).revision
        return list(page.ask("candidates", object=1, seen=seen)["masks"])

    shown = readings()
    assert shown[0] == page.backend.project.masks(0)[1]
    assert len({*shown}) == len(shown) >= 2
    passed = [page.backend.project.masks(0)[1]]
    for place in [*range(1, len(shown)), 0]:
        answer = page.ask("candidate", **page.about)
        assert answer["place"] == place
        passed.append(page.backend.project.masks(0)[1])
        assert readings() == shown, "they stay the same while another one is shown"
    assert passed == [*shown, shown[0]]
    assert page.backend.project.correction(0, 1).points == ((34.0, 20.0, True),), "the click stays"
    for _ in passed[1:]:
        asyncio.run(page.backend.handle(request("undo")))
    assert page.backend.project.masks(0)[1] == passed[0]
    page.backend.close()


def clicks(backend: AnnotateBackend, ask: Ask, frame: int, *points: tuple[float, float, bool]) -> Any:
    """What the network is asked for all these clicks on object 1."""
    ask(
        "click",
        frame=frame,
        object=1,
        points=points,
        seen=backend.project.last_change("frame", frame).revision,
    )
    return backend._worker.asked[-1]  # type: ignore[attr-defined]


def test_further_clicks_correct_the_mask_so_far(backend: AnnotateBackend, ask: Ask) -> None:
    click(ask, 3, 20, 30)
    disk = backend.project.mask(3) == 1
    on, off, again = (20, 30, True), (60, 5, False), (22, 30, True)

    assert clicks(backend, ask, 3, on)[2].mask is None, "the same click is asked for anew"
    _, _, prompts, history = clicks(backend, ask, 3, on, off)
    assert np.array_equal(prompts.mask, disk)
    assert history == ClickHistory((on,))
    _, _, prompts, history = clicks(backend, ask, 3, on, off, again)
    assert np.array_equal(prompts.mask, disk)
    assert history == ClickHistory((on, off))
    seen = backend.project.last_change("frame", 3).revision
    ask("click", frame=3, object=1, points=[], box=(5, 5, 20, 20), seen=seen)
    assert backend._worker.asked[-1][2].mask is None, "a box is asked for anew"  # type: ignore[attr-defined]


@pytest.fixture
def stolen(backend: AnnotateBackend) -> AnnotateBackend:
    """Object 2, in front, was tracked over the right half of what belongs to object 1."""
    project = backend.project
    with project.change("tracking"):
        for number, columns in enumerate((slice(10, 20), slice(20, 40)), start=1):
            project.add_object()
            mask = np.zeros(project.size, np.bool_)
            mask[10:20, columns] = True
            project.put(3, {number: (mask, FrameAnnotation("tracked", 0.9))})
    return backend


def test_a_correction_takes_the_region_from_the_object_that_is_shown_there(
    stolen: AnnotateBackend, ask: Ask
) -> None:
    project = stolen.project
    click(ask, 3, 25, 15, 1)
    assert project.mask(3)[15, 25] == 1
    assert not project.plane(3, 2)[15, 25]
    assert project.plane(3, 2)[15, 35]
    assert (project.marks(3)[2].kind, project.marks(3)[2].score) == ("given", 0.9)
    ask("undo")
    assert project.mask(3)[15, 25] == 2
    ask("scribble", frame=3, object=1, seen=SEEN, path=[(24, 15), (25, 15)])
    assert project.mask(3)[15, 25] == 1
    ask("undo")
    ask("click", frame=3, object=1, seen=SEEN, points=[(25, 15, True)], whole=True)
    assert project.mask(3)[15, 25] == 1


def test_a_correction_takes_nothing_from_locked_objects_and_those_that_overlap(
    stolen: AnnotateBackend, ask: Ask
) -> None:
    project = stolen.project
    with project.change("lock"):
        project.set_object(2, locked=True)
    click(ask, 3, 25, 15, 1)
    assert project.plane(3, 2)[15, 25]
    ask("undo")
    mask = project.plane(3, 2)
    with project.change("unlock"):
        project.set_object(2, locked=False)
        project.put(5, {number: (mask, FrameAnnotation("given")) for number in (1, 2)})
    click(ask, 3, 25, 15, 1)
    assert project.plane(3, 1)[15, 25]
    assert project.plane(3, 2)[15, 25], "they share pixels on frame 5"


def test_a_correction_takes_nothing_from_objects_that_are_not_shown(
    stolen: AnnotateBackend, ask: Ask
) -> None:
    ask("click", frame=3, object=1, seen=SEEN, points=[(25, 15, True)], alone=True)
    ask("scribble", frame=3, object=1, seen=SEEN, path=[(26, 15), (27, 15)], alone=True)
    assert stolen.project.plane(3, 1)[15, 25]
    assert stolen.project.plane(3, 2)[10:20, 20:40].all()
    ask("object", object=2, visible=False, seen=SEEN)
    click(ask, 3, 27, 16, 1)
    assert stolen.project.plane(3, 2)[10:20, 20:40].all()


GIVES_BACK: dict[str, dict[str, Any]] = {
    "cleared": {"op": "forget", "hidden": False},
    "not visible": {"op": "forget", "hidden": True},
    "box": {"op": "click", "box": (10, 10, 16, 16)},
    "pasted": {"op": "paste", "of_frame": 5, "of_object": 1},
    "removed": {"op": "remove"},
}


@pytest.mark.parametrize("how", GIVES_BACK)
@pytest.mark.parametrize("kind", ["tracked", "given"])
def test_a_withdrawn_click_gives_back_what_it_took(
    stolen: AnnotateBackend, ask: Ask, how: str, kind: Literal["tracked", "given"]
) -> None:
    project = stolen.project
    with project.change("other masks"):
        mask = project.plane(3, 2)
        if kind == "given":
            project.put(3, {2: (mask, FrameAnnotation("given", 0.8))})
            project.correct(3, 2, Correction(off=runs_of(~mask), mends=True))
        project.put(5, {1: (project.plane(3, 1), FrameAnnotation("given"))})
    before = project.marks(3)[2], project.correction(3, 2)
    click(ask, 3, 25, 15, 1)
    ask("click", frame=3, object=1, seen=SEEN, points=[(25, 15, True), (25, 19, True)])
    assert not project.plane(3, 2)[15, 25]
    fields = {"frame": 3} if how != "removed" else {}
    ask(**GIVES_BACK[how], **fields, object=1, seen=SEEN)
    assert np.array_equal(project.plane(3, 2), mask)
    correction = project.correction(3, 2)
    assert project.marks(3)[2] == before[0]
    if before[1] is None or correction is None:
        assert correction is before[1]
    else:
        assert (correction.off, correction.mends, correction.taken) == (before[1].off, True, None)
    ask("undo")
    assert not project.plane(3, 2)[15, 25]
    ask("undo", redo=True)
    assert np.array_equal(project.plane(3, 2), mask)


def test_pixels_that_were_taken_from_an_edited_or_reviewed_mask_stay_taken(
    stolen: AnnotateBackend, ask: Ask
) -> None:
    project = stolen.project
    click(ask, 3, 25, 15, 1)
    ask("reviewed", objects=[2], first=3, last=3, seen=SEEN)
    ask("forget", frame=3, object=1, seen=SEEN, hidden=False)
    assert not project.plane(3, 2)[15, 25]
    for _ in range(2):
        ask("undo")
    ask("stroke", frame=3, object=2, seen=SEEN, add=True, path=[(45, 12), (45, 18)], width=3)
    ask("forget", frame=3, object=1, seen=SEEN, hidden=False)
    assert not project.plane(3, 2)[15, 25]


def test_each_object_gives_back_what_its_own_clicks_took(stolen: AnnotateBackend, ask: Ask) -> None:
    project = stolen.project
    with project.change("third object"):
        mask = np.zeros(project.size, np.bool_)
        mask[22:30, 20:40] = True
        project.put(3, {project.add_object(): (mask, FrameAnnotation("tracked", 0.9))})
        project.move_object(3, 1)
    before = project.plane(3, 2)
    click(ask, 3, 22, 12, 1)
    click(ask, 3, 35, 18, 3)
    lost = [project.plane(3, number) & before for number in (1, 3)]
    assert all(each.any() for each in lost)
    assert np.array_equal(project.plane(3, 2), before & ~lost[0] & ~lost[1])
    for number, other in ((1, 1), (3, 0)):
        ask("forget", frame=3, object=number, seen=SEEN, hidden=True)
        assert np.array_equal(project.plane(3, 2), before & ~lost[other])
        correction = project.correction(3, 2)
        assert correction is not None
        assert np.array_equal(project.decode_mask(3, correction.off), lost[other])
        ask("undo")
    for number in (3, 1):
        ask("forget", frame=3, object=number, seen=SEEN, hidden=True)
    assert np.array_equal(project.plane(3, 2), before)
    assert project.marks(3)[2].kind == "tracked"


@pytest.mark.parametrize("is_whole", [True, False], ids=["all of it", "a part"])
def test_a_click_on_an_object_takes_back_the_whole_region_that_it_lost(
    stolen: AnnotateBackend, ask: Ask, monkeypatch: pytest.MonkeyPatch, is_whole: bool
) -> None:
    """Also where it has no pixel left."""
    project = stolen.project
    before = project.plane(3, 1), project.plane(3, 2)
    lost = before[1].copy()
    if not is_whole:
        lost[:, 35:] = False

    async def correct(method: str, _: int, mask: BoolArray, *__: Any) -> Any:
        assert method == "correct"
        return mask | lost, 0.7

    monkeypatch.setattr(stolen._worker, "ask", correct)
    click(ask, 3, 25, 15, 1)
    assert np.array_equal(project.plane(3, 2), before[1] & ~lost)
    click(ask, 3, 22, 15, 2)
    assert np.array_equal(project.plane(3, 2), before[1])
    assert np.array_equal(project.plane(3, 1), before[0])


@pytest.mark.parametrize("how", GIVES_BACK)
def test_a_region_that_is_given_back_stays_with_a_third_object_that_took_it(
    stolen: AnnotateBackend, ask: Ask, how: str
) -> None:
    """Object 1 took a region from object 2, and object 3 from object 1."""
    project = stolen.project
    with project.change("third object"):
        mask = np.zeros(project.size, np.bool_)
        mask[22:30, 10:20] = True
        project.put(3, {project.add_object(): (mask, FrameAnnotation("tracked", 0.9))})
        project.put(5, {1: (project.plane(3, 1), FrameAnnotation("given"))})
    before = project.plane(3, 2)
    click(ask, 3, 25, 15, 1)
    taken = project.plane(3, 1) & before
    click(ask, 3, 26, 15, 3)
    lost = project.plane(3, 3) & taken
    assert lost.any()
    ask(**GIVES_BACK[how], **({} if how == "removed" else {"frame": 3}), object=1, seen=SEEN)
    assert np.array_equal(project.plane(3, 2), before & ~lost)
    ask("forget", frame=3, object=3, seen=SEEN, hidden=False)
    assert np.array_equal(project.plane(3, 2), before)
    assert project.marks(3)[2].kind == "tracked"


def test_an_object_that_is_split_or_merged_gives_back_what_its_clicks_took(
    stolen: AnnotateBackend, ask: Ask
) -> None:
    project = stolen.project
    mask = project.plane(3, 2)
    with project.change("earlier masks"):
        project.put(1, {n: (project.plane(3, n), FrameAnnotation("tracked")) for n in (1, 2)})
    click(ask, 3, 25, 15, 1)
    new = ask("split", object=1, frame=2, seen=SEEN)["object"]
    other = ask("split", object=2, frame=2, seen=SEEN)["object"]
    ask("forget", frame=3, object=new, seen=SEEN, hidden=False)
    assert np.array_equal(project.plane(3, other), mask)
    ask("undo")
    ask("merge", object=new, into=1, seen=SEEN)
    assert not project.plane(3, other)[15, 25]
    ask("forget", frame=3, object=1, seen=SEEN, hidden=False)
    assert np.array_equal(project.plane(3, other), mask)


@pytest.mark.parametrize("in_front", [1, 2])
def test_an_alternative_mask_takes_its_own_region(
    stolen: AnnotateBackend, ask: Ask, monkeypatch: pytest.MonkeyPatch, in_front: int
) -> None:
    project = stolen.project
    with project.change("order"):
        project.move_object(3 - in_front, in_front)
    before = project.plane(3, 2)
    click(ask, 3, 25, 15, 1)
    corrected, lost = project.plane(3, 1), before & ~project.plane(3, 2)
    alternative = np.zeros(project.size, np.bool_)
    alternative[10:20, 10:30] = True

    async def readings(method: str, *arguments: Any) -> Any:
        assert method == "readings"
        return [(corrected, None), (alternative, 0.6)]

    monkeypatch.setattr(stolen._worker, "ask", readings)
    for expected in (before & alternative, lost, before & alternative):
        ask("candidate", frame=3, object=1, seen=SEEN)
        assert np.array_equal(project.plane(3, 2), before & ~expected)
        correction = project.correction(3, 2)
        assert correction is not None
        assert correction.earlier == dict.fromkeys(("forward", "back"), runs_of(before))
    ask("forget", frame=3, object=1, seen=SEEN, hidden=False)
    assert np.array_equal(project.plane(3, 2), before)


def test_a_new_object_takes_nothing(stolen: AnnotateBackend, ask: Ask) -> None:
    before = stolen.project.plane(3, 2)
    assert click(ask, 3, 25, 15) == 3
    ask("click", frame=3, object=3, seen=SEEN, points=[(25, 15, True), (35, 15, True)])
    assert np.array_equal(stolen.project.plane(3, 2), before)


def test_suggestions_are_adopted_on_their_own_frame(backend: AnnotateBackend, ask: Ask) -> None:
    first = ask("find", frame=2, detector="motion")["found"]
    second = ask("find", frame=7, detector="nanodet", text="red car")["found"]
    assert backend._worker.asked[-1] == ("find", 7, "nanodet", "red car")  # type: ignore[attr-defined]
    ask("adopt", frame=2, chosen=first)

    assert [row["name"] for row in backend.project.objects()] == ["motion"]
    assert backend.project.mask(2)[10, 12] == 1
    assert not backend.project.mask(7).any()
    ask("adopt", frame=7, chosen=second)
    assert backend.project.mask(7)[10, 17] == 2
    for chosen in ([], [first[0] | {"counts": "zzz"}]):
        with pytest.raises(SegueError):
            ask("adopt", frame=2, chosen=chosen)
    assert len(backend.project.objects()) == 2


def test_keys_are_saved_by_person_for_all_projects(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    assert ask("keys", user="Ann") == {"keys": {}, "settings": {}}
    assert ask("keys", name="labels", key="$", user="Ann") == {"keys": {"labels": "$"}, "settings": {}}
    ask("settings", values={"palette": "safe", "from": 3}, user="Ann")
    ask("keys", name="labels", key="%", user="Ben")
    ask("keys", name="brush", key="(", user="Ann")
    (tmp_path / "other").mkdir()
    with asking(CircleWorker((48, 64)), tmp_path / "other") as other:
        for person, keys in (("Ann", {"labels": "$", "brush": "("}), ("Ben", {"labels": "%"}), ("", {})):
            answer = asyncio.run(other.handle(request("keys", user=person)))
            assert answer == {"keys": keys, "settings": {"palette": "safe"} if person == "Ann" else {}}
        assert "from" not in asyncio.run(other.handle(request("hello")))["settings"], "it is of the project"
    assert ask("hello")["settings"]["from"] == 3
    ask("settings", values={"frame": 7, "from": 5}, user="Ben")
    of_people = {name: ask("hello", user=name)["settings"] for name in ("Ann", "Ben", "Cleo")}
    assert [of_people[name]["from"] for name in of_people] == [3, 5, 5]
    assert "places" not in of_people["Ann"]
    (tmp_path / "home" / "keys.json").write_text("[1]")
    with pytest.raises(SegueError, match=r"keys\.json: the keys cannot be read"):
        ask("keys", user="Ann")


def test_a_soft_edge_is_saved_shown_and_taken_back(backend: AnnotateBackend, ask: Ask) -> None:
    click(ask, 3, 20, 30)
    edge = {"grow": 2.0, "width": 3.0, "feather": 0.0, "detail": False}
    assert ask("soft_masks", frame=3) == {"soft_masks": {}}
    ask("object", object=1, edge=edge, seen=SEEN)
    [row] = backend.project.objects()
    assert row["edge"] == edge
    [shown] = ask("soft_masks", frame=3)["soft_masks"].values()
    image = cv2.imdecode(np.frombuffer(base64.b64decode(shown["png"]), np.uint8), cv2.IMREAD_UNCHANGED)
    alpha = np.zeros(backend.video.size, np.uint8)
    alpha[shown["y"] : shown["y"] + len(image), shown["x"] : shown["x"] + len(image[0])] = image[..., 3]
    expected = opacity(backend.project.plane(3, 1), Edge(grow=2, width=3))
    assert np.array_equal(alpha, np.round(255 * expected)), "as Python and exports have it"
    assert ask("soft_masks", frame=4) == {"soft_masks": {}}, "it has no mask there"
    assert ask("undo")["label"] == "soft edge"
    assert backend.project.edges() == {}
    with pytest.raises(SegueError, match="width of an edge"):
        ask("object", object=1, edge=edge | {"width": 1e9})


def test_soft_edges_without_the_extra_are_one_line(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    click(ask, 3, 20, 30)
    monkeypatch.setitem(sys.modules, "pymatting", None)
    with pytest.raises(SegueError, match="pymatting"):
        ask("export", format="png", soft=True)
    with pytest.raises(SegueError, match="pymatting"):
        ask("object", object=1, edge={"width": 4, "detail": True})


def test_strokes_add_and_erase(backend: AnnotateBackend, ask: Ask) -> None:
    plane = np.zeros(backend.video.size, np.bool_)
    plane[10:20, 10:20] = True
    ask("stroke", frame=0, object=None, add=True, path=square(10, 20), width=None, seen=0)
    assert np.array_equal(backend.project.mask(0) == 1, plane)
    plane[12:14, 12:14] = False
    seen = backend.project.last_change("frame", 0).revision
    ask("stroke", frame=0, object=1, add=False, path=square(12, 14), width=None, seen=seen)
    assert np.array_equal(backend.project.mask(0) == 1, plane)


def square(first: int, end: int) -> list[tuple[int, int]]:
    return [(first, first), (end, first), (end, end), (first, end)]


def test_a_brush_paints_what_lies_within_half_its_width_of_its_path(
    backend: AnnotateBackend, ask: Ask
) -> None:
    ask("stroke", frame=0, object=None, add=True, path=[(20.5, 24), (40.5, 24)], width=12, seen=0)
    rows, columns = np.indices(backend.video.size) + 0.5
    distance = np.hypot(rows - 24, columns - np.clip(columns, 20.5, 40.5))
    painted = backend.project.mask(0) == 1
    assert painted[distance < 5].all()
    assert not painted[distance > 7].any()


@pytest.mark.parametrize(
    ("path", "width"), [([], 4), ([(900, 900)], 4), ([(1e9, 0)], 4), ([(5, 5)], 0), (square(900, 950), None)]
)
def test_a_stroke_that_cannot_be_changes_nothing(
    backend: AnnotateBackend, ask: Ask, path: list[tuple[float, float]], width: float | None
) -> None:
    with pytest.raises(SegueError):
        ask("stroke", frame=0, object=None, add=True, path=path, width=width, seen=0)
    assert backend.project.objects() == []


@pytest.mark.parametrize("counts", ["", "zzz", "0", "\u00e9", "1" * 1000])
def test_a_damaged_mask_changes_nothing(backend: AnnotateBackend, ask: Ask, counts: str) -> None:
    with pytest.raises(SegueError):
        ask("adopt", frame=0, chosen=[{"counts": counts, "label": None, "score": None}])
    assert backend.project.objects() == []


def test_an_edit_from_a_window_that_is_behind_is_refused(backend: AnnotateBackend, ask: Ask) -> None:
    click(ask, 3, 20, 30)
    with pytest.raises(ConflictError):
        ask("click", frame=3, object=1, points=[(5, 5, True)], seen=0)
    assert backend.project.mask(3)[30, 20] == 1


def test_a_locked_object_is_not_edited_nor_tracked(backend: AnnotateBackend, ask: Ask) -> None:
    click(ask, 3, 20, 30)
    ask("object", object=1, locked=True)

    with pytest.raises(PromptError):
        click(ask, 3, 25, 30, 1)
    with pytest.raises(PromptError):
        ask("track", direction="forward", frame=3)


@pytest.mark.parametrize(
    ("direction", "frame", "expected"),
    [
        ("forward", 5, (4, 11)),
        ("forward", 9, (8, 11)),
        ("back", 5, (8, 0)),
        ("back", 4, (4, 0)),
        ("between", 6, (4, 7)),
    ],
)
def test_tracking_starts_from_the_nearest_corrected_frame(
    backend: AnnotateBackend, ask: Ask, direction: str, frame: int, expected: tuple[int, int]
) -> None:
    click(ask, 4, 20, 30)
    click(ask, 8, 22, 30, 1)

    answer = ask("track", direction=direction, frame=frame)

    assert (answer["start"], answer["stop"]) == expected
    [corrected], start, stop, objects, kept, *_ = backend._worker.jobs[-1]  # type: ignore[attr-defined]
    assert (start, stop, objects, kept) == (*expected, [1], range(12))
    assert {index: item.checked for index, item in corrected.items()} == {4: {1}, 8: {1}}


@pytest.mark.parametrize(
    ("direction", "frame", "stop", "frames"),
    [("forward", 5, 7, 2), ("back", 8, 6, 2), ("between", 6, 7, 2)],
)
def test_only_the_frames_of_a_range_are_tracked(
    backend: AnnotateBackend, ask: Ask, direction: str, frame: int, stop: int, frames: int
) -> None:
    click(ask, 4, 20, 30)
    click(ask, 8, 22, 30, 1)
    answer = ask("track", direction=direction, frame=frame, first=6, last=7)
    assert answer["stop"] == stop
    assert backend._worker.jobs[-1][4] == range(6, 8)  # type: ignore[attr-defined]
    assert ask("hello")["running"]["total"] == frames
    ask("stop")
    assert ask("hello")["queue"][0]["total"] == frames
    with pytest.raises(PromptError):
        ask("track", direction="back", frame=8, first=9, last=30)


def test_the_chosen_object_is_tracked_with_those_that_were_corrected_with_it_and_no_finished_one(
    backend: AnnotateBackend, ask: Ask
) -> None:
    def planned(
        chosen: list[int] | None, frame: int = 4, direction: str = "forward", due: bool = True
    ) -> Any:
        ask("track", direction=direction, frame=frame, objects=chosen, due=due)
        ask("stop")
        return backend._worker.jobs[-1][3]  # type: ignore[attr-defined]

    one, two = click(ask, 4, 20, 30), click(ask, 4, 50, 30)
    assert planned([one]) == planned([two]) == planned(None) == [one, two]

    plane = np.zeros(backend.video.size, np.bool_)
    with backend.project.change("tracking"):
        tracked = {i: (plane, FrameAnnotation("tracked", 0.5)) for i in (one, two)}
        backend.project.put(5, tracked)
        sources = {i: backend.project.sources(i) for i in (one, two)}
        backend.project.note_tracked(5, tracked, sources, 4, "forward")
    assert planned([one]) == [one], "the other is finished"
    assert planned([two], direction="back") == [one, two], "not in this direction"
    three = click(ask, 4, 22, 30)
    assert planned([three]) == planned(None) == [three]
    assert planned([one]) == [one]
    assert planned(None, due=False) == [one, two, three], "all"
    click(ask, 8, 50, 30, two)
    assert planned([three], frame=9) == [three], "a correction elsewhere has a way of its own"
    assert planned([two], frame=9) == [two]
    ask("undo")
    ask("undo")
    backend.project.undo()
    assert planned([one]) == [one, two], "a tracking that is undone is due again"


def test_objects_that_overlap_in_their_corrections_are_tracked_apart(
    backend: AnnotateBackend, ask: Ask
) -> None:
    one, two, inside = click(ask, 4, 20, 30), click(ask, 4, 50, 30), click(ask, 4, 21, 30)
    ask("track", direction="forward", frame=4)
    layers = backend._worker.jobs[-1][0]  # type: ignore[attr-defined]
    assert [layer[4].checked for layer in layers] == [{one, two}, {inside}]
    assert np.array_equal(layers[0][4].mask == one, backend.project.plane(4, one))


def test_objects_have_classes_and_exports_take_them(backend: AnnotateBackend, ask: Ask) -> None:
    one, two = click(ask, 4, 20, 30), click(ask, 4, 50, 30)
    ask("object", object=one, category="car")
    ask("object", object=two, category="car", name="Taxi")
    assert [(row["name"], row["category"]) for row in backend.project.objects()] == [
        ("Object 1", "car"),
        ("Taxi", "car"),
    ]
    taken = snapshot(backend.project, backend.video)
    assert list(taken.names.values()) == ["car", "car"]
    assert taken.categories() == {"car": 1}
    ask("object", object=two, category="")
    assert snapshot(backend.project, backend.video).categories() == {"car": 1, "Taxi": 2}
    ask("undo")
    assert backend.project.objects()[1]["category"] == "car"
    ask("schema", seen=SEEN, schema={"classes": [{"name": "person"}]})
    with pytest.raises(SegueError, match="bus"):
        ask("object", object=two, category="bus")
    assert ask("hello")["schema"] == {"classes": [{"name": "person"}]}


def test_objects_have_groups_and_attributes_that_change_in_one_step(
    backend: AnnotateBackend, ask: Ask
) -> None:
    ids = [click(ask, 3, x, 20) for x in (10, 30, 50)]
    ask("object", object=ids[0], also=ids[1:2], group="left", attributes={"pose": "up", "hand": "none"})
    ask("object", object=ids[0], attributes={"pose": "down", "hand": None})
    shown = [(row["group"], row["attributes"]) for row in backend.project.objects()]
    assert shown == [("left", {"pose": "down"}), ("left", {"pose": "up", "hand": "none"}), ("", {})]
    ask("undo")
    ask("undo")
    assert [(row["group"], row["attributes"]) for row in backend.project.objects()] == [("", {})] * 3
    ask("undo", redo=True)

    ask("object", object=ids[0], also=ids[1:2], locked=True)
    with pytest.raises(PromptError):
        ask("track", direction="forward", frame=3, objects=ids[:2])
    ask("undo")
    ask("track", direction="forward", frame=3, objects=ids[:2])
    assert backend._worker.jobs[-1][3] == ids[:2]  # type: ignore[attr-defined]
    with pytest.raises(SegueError):
        ask("object", object=ids[0], attributes={f"{number}": "" for number in range(40)})


@pytest.mark.parametrize(
    "fields",
    [{"name": "a\x02"}, {"category": "\x1b"}, {"group": "\ufffe"}, {"attributes": {"pose": "u\x00p"}}],
)
def test_texts_that_files_cannot_hold_are_refused(ask: Ask, fields: dict[str, Any]) -> None:
    number = click(ask, 3, 10, 20)
    with pytest.raises(SegueError):
        ask("object", object=number, **fields)
    with pytest.raises(SegueError):
        ask("object", object=number, attributes={"group": "other"})


@pytest.mark.parametrize(
    ("direction", "frame"), [("forward", 2), ("back", 9), ("between", 9), ("between", 2)]
)
def test_tracking_without_a_correction_on_that_side_is_refused(ask: Ask, direction: str, frame: int) -> None:
    click(ask, 4, 20, 30)
    click(ask, 8, 22, 30, 1)
    with pytest.raises(PromptError):
        ask("track", direction=direction, frame=frame)


def import_file(backend: AnnotateBackend, path: Path, **targets: int | None) -> list[dict[str, Any]]:
    """Upload a file and import what is listed; ``o2=None`` makes a new object of the file's second one."""

    async def run() -> list[dict[str, Any]]:
        answer = await backend.import_file(path.name, path)
        wanted = {item["number"]: item["target"] for item in answer["objects"]}
        wanted |= {int(name.removeprefix("o")): target for name, target in targets.items()}
        message = request("import", upload=answer["upload"], targets=wanted)
        await backend.handle(message)
        return list(answer["objects"])

    return asyncio.run(run())


def test_an_imported_mask_is_a_start_until_something_is_corrected(
    backend: AnnotateBackend, ask: Ask, tmp_path: Path
) -> None:
    mask = np.zeros(backend.video.size, np.uint8)
    mask[10:20, 10:20] = 3
    (tmp_path / "masks").mkdir()
    for index in range(12):
        write_index_mask(tmp_path / "masks" / f"{index:05d}.png", mask * (index == 6))
    import_file(backend, tmp_path / "masks")

    assert ask("track", direction="forward", frame=7)["start"] == 6
    ask("stop")
    click(ask, 2, 20, 20, 1)
    assert ask("track", direction="forward", frame=7)["start"] == 2


def with_job(
    backend: AnnotateBackend, ask: Ask, steps: Callable[[], Awaitable[None]]
) -> list[dict[str, Any]]:
    """Run steps in one event loop while a tracking from frame 4 is under way; the events that pages saw."""
    events: list[dict[str, Any]] = []

    async def run() -> None:
        backend.send = events.append
        await backend.handle(request("track", direction="forward", frame=4))
        await steps()
        await asyncio.sleep(0)

    asyncio.run(run())
    return events


def tracked(backend: AnnotateBackend, x: int) -> TrackedFrame:
    mask = np.zeros(backend.video.size, np.uint8)
    mask[10:20, x : x + 5] = 1
    return TrackedFrame([mask], {1: (0, FrameAnnotation("tracked", 0.6))})


async def step(backend: AnnotateBackend, index: int, x: int) -> None:
    """Have the tracking give a frame, and let it be saved."""
    backend._worker.coming.put_nowait((index, tracked(backend, x)))  # type: ignore[attr-defined]
    for _ in range(3):
        await asyncio.sleep(0)
        await backend.run(lambda: None)


def test_frames_are_saved_as_they_come_and_a_stop_can_be_gone_on_with(
    backend: AnnotateBackend, ask: Ask
) -> None:
    click(ask, 4, 20, 30)

    async def steps() -> None:
        await step(backend, 5, 8)
        await step(backend, 6, 9)
        await backend.handle(request("stop"))
        await step(backend, 7, 10)  # in work when it was stopped

    events = with_job(backend, ask, steps)

    assert sorted({row[0] for row in backend.project.timeline()}) == [4, 5, 6]
    assert backend.project.marks(6)[1].score == 0.6
    ended = next(event for event in events if event["event"] == "ended")
    assert ended["state"] == "stopped"
    answer = ask("track", direction="forward", frame=0, resume=True)
    assert (answer["start"], answer["stop"]) == (6, 11)
    [corrected], start, *_, memory, given = backend._worker.jobs[-1]  # type: ignore[attr-defined]
    assert (sorted(corrected), start, given) == ([4], 4, 6)  # it goes on as if nothing had happened
    assert memory == backend._worker.jobs[-2][-2]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "nothing",
    [
        {"op": "reviewed", "objects": [1], "first": 3, "last": 3, "seen": 99},
        {"op": "layer", "object": 1, "seen": 99},
        {"op": "object", "object": 1, "visible": True},
    ],
)
def test_what_changes_nothing_is_no_step_and_redo_stays(
    backend: AnnotateBackend, ask: Ask, nothing: dict[str, Any]
) -> None:
    click(ask, 4, 20, 30)
    click(ask, 5, 20, 30)
    ask("undo")
    before = backend.project.history()
    assert before["redo"] == "click"
    ask(**nothing)
    assert backend.project.history() == before


def test_a_stopped_tracking_whose_masks_were_undone_begins_again(backend: AnnotateBackend, ask: Ask) -> None:
    click(ask, 4, 20, 30)

    async def steps() -> None:
        await step(backend, 5, 8)
        await step(backend, 6, 9)
        await backend.handle(request("stop"))
        await step(backend, 7, 10)

    with_job(backend, ask, steps)
    assert ask("undo")["label"] == "tracking"
    answer = ask("track", direction="forward", frame=0, resume=True)
    assert (answer["start"], answer["stop"]) == (4, 11)


def test_an_edit_during_a_tracking_is_a_step_of_its_own(backend: AnnotateBackend, ask: Ask) -> None:
    click(ask, 4, 20, 30)

    async def steps() -> None:
        await step(backend, 5, 8)
        await backend.handle(request("click", frame=9, object=1, points=[(30, 30, True)], seen=0))
        await step(backend, 6, 9)
        await step(backend, 9, 9)  # given meanwhile: stays
        with pytest.raises(SegueError, match="being tracked"):
            await backend.handle(request("undo"))
        await backend.handle(request("stop"))

    with_job(backend, ask, steps)

    assert backend.project.mask(9)[30, 30] == 1
    labels = []
    while (done := backend.project.undo()) is not None:
        labels.append(done[0])
    assert labels == ["tracking", "click", "tracking", "click"]


def test_a_full_disk_stops_the_tracking_with_one_line(backend: AnnotateBackend, ask: Ask) -> None:
    click(ask, 4, 20, 30)

    async def steps() -> None:
        with files_limited_to(0):
            await step(backend, 5, 8)

    events = with_job(backend, ask, steps)

    [error] = [event["error"] for event in events if event["event"] == "ended"]
    assert str(backend.project.folder) in error
    assert "\n" not in error
    assert sorted({row[0] for row in backend.project.timeline()}) == [4]


def test_of_the_frames_that_are_passed_the_last_is_prepared(tmp_path: Path) -> None:
    prepared = []
    gate = asyncio.Event()

    class Preparing(CircleWorker):
        async def ask(self, method: str, *arguments: Any) -> None:
            prepared.append(arguments[0])
            await gate.wait()

    async def pass_by(backend: AnnotateBackend) -> None:
        wanted = [request("prepare", frame=i) for i in range(5)]
        tasks = [asyncio.create_task(backend.handle(message)) for message in wanted]
        await asyncio.wait(tasks[1:])
        gate.set()
        await asyncio.wait(tasks)

    with asking(Preparing((48, 64)), tmp_path) as backend:
        asyncio.run(pass_by(backend))
    assert prepared == [0, 4], "a click waits for one frame at most, not for all that were passed"


def test_the_networks_are_loaded_before_anybody_asks_and_again_in_a_new_process(tmp_path: Path) -> None:
    asked: list[str] = []
    told: list[bool] = []

    class Loading(CircleWorker):
        async def ask(self, method: str, *arguments: Any) -> None:
            asked.append(method)
            if len(asked) == 4:  # what kills every process is not tried again and again
                self.on_replaced()
                raise SegueError("out of memory")

    async def run(backend: AnnotateBackend) -> None:
        backend.send = lambda event: told.append(event["loading"])
        backend.open()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
        backend._worker.on_replaced()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))

    with asking(Loading((48, 64)), tmp_path) as backend:
        asyncio.run(run(backend))

    assert asked == ["load_prompter", "load_tracker"] * 2
    assert told == [True, False] * 2


def test_the_tracker_is_loaded_when_no_click_waits_for_its_answer(tmp_path: Path) -> None:
    asked: list[str] = []
    answer: Future[None] = Future()

    class Waiting(Worker):
        def submit(self, method: str, *arguments: Any) -> Future[None]:
            asked.append(method)
            if method == "click":
                return answer
            done: Future[None] = Future()
            done.set_result(None)
            return done

    async def turns() -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    video = Video(write_video(tmp_path / "video.mp4", numbered(12)))
    worker = Waiting(video, ("stcn-lite", None), "segue-prompt", "cpu")

    async def run(backend: AnnotateBackend) -> None:
        backend.open()
        click = asyncio.create_task(worker.ask("click"))
        await turns()
        assert asked == ["load_prompter", "click"]
        worker.on_replaced()  # the process has ended while the tracker was not loaded yet
        await turns()
        assert asked == ["load_prompter", "click", "load_prompter"]
        answer.set_result(None)
        await asyncio.gather(click, *(asyncio.all_tasks() - {asyncio.current_task()}))

    with closing(AnnotateBackend(video, tmp_path / "p", worker=worker)) as backend:
        backend.pause = 0
        asyncio.run(run(backend))
    assert asked == ["load_prompter", "click", "load_prompter", "load_tracker"]


def test_an_import_that_is_damaged_in_its_last_mask_stores_nothing(
    backend: AnnotateBackend, tmp_path: Path
) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    for index in range(12):
        write_index_mask(folder / f"{index:05d}.png", np.ones(backend.video.size, np.uint8))
    path = folder / "00011.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(SegueError, match="00011"):
        asyncio.run(backend.import_file("masks", folder))
    assert backend.project.objects() == []
    assert sorted({row[0] for row in backend.project.timeline()}) == []


def test_an_import_lists_and_replaces_masks_of_the_same_object_alone_and_is_undone(
    backend: AnnotateBackend, ask: Ask, tmp_path: Path
) -> None:
    click(ask, 4, 20, 30)
    click(ask, 5, 20, 30, 1)
    ask("forget", frame=7, object=1, seen=ask("look", frames=[7])["frames"][0]["revision"], hidden=True)
    click(ask, 4, 40, 30)
    before = {i: (backend.project.masks(i), backend.project.marks(i)) for i in range(12)}
    (tmp_path / "masks").mkdir()
    for index in range(12):
        mask = np.zeros(backend.video.size, np.uint8)
        mask[10:20, 10:20] = 1 if 5 <= index < 8 else 0
        if index == 4:
            mask = np.where(backend.project.plane(4, 1), 1, 0).astype(np.uint8)
        mask[30:, 50:] = 9 * (index == 8)
        write_index_mask(tmp_path / "masks" / f"{index:05d}.png", mask)

    listed = import_file(backend, tmp_path / "masks")

    assert [(item["name"], item["target"]) for item in listed] == [("Object 1", 1), ("Object 9", None)]
    assert listed[0]["text"] == "adds frame 6; replaces frames 5, 7 (2 corrected by hand); 1 unchanged"
    assert [row["id"] for row in backend.project.objects()] == [1, 2, 3]
    assert [backend.project.plane(i, 1).sum() for i in (5, 6, 7)] == [100] * 3
    assert backend.project.marks(5)[1].kind == "imported"
    assert 1 not in backend.project.prompts(5)
    assert backend.project.marks(4) == before[4][1]
    assert backend.project.masks(4) == before[4][0]
    assert ask("undo")["label"] == "import"
    assert {i: (backend.project.masks(i), backend.project.marks(i)) for i in range(12)} == before
    import_file(backend, tmp_path / "masks", o1=None)
    assert len(backend.project.objects()) == 4
    assert backend.project.masks(5)[1] == before[5][0][1]


def test_objects_of_a_file_cannot_share_an_object_nor_change_a_locked_one(
    backend: AnnotateBackend, ask: Ask, tmp_path: Path
) -> None:
    click(ask, 4, 20, 30)
    mask = np.ones(backend.video.size, np.uint8)
    mask[:, 32:] = 2
    write_index_mask(tmp_path / "0.png", mask)
    with pytest.raises(PromptError):
        import_file(backend, tmp_path / "0.png", o1=1, o2=1)
    ask("object", object=1, locked=True)
    assert [item["target"] for item in import_file(backend, tmp_path / "0.png")] == [None, None]
    with pytest.raises(PromptError):
        import_file(backend, tmp_path / "0.png", o1=1)


def test_frames_that_are_not_there_are_refused(ask: Ask) -> None:
    with pytest.raises(SegueError, match="frame 12"):
        ask("click", frame=12, object=None, points=[(1, 1, True)], seen=0)


def shown(backend: AnnotateBackend, frame: int, number: int) -> np.ndarray:
    return backend.project.plane(frame, number)


def seen(backend: AnnotateBackend, frame: int) -> int:
    return backend.project.last_change("frame", frame).revision


def test_holes_are_filled_and_specks_removed_for_good(backend: AnnotateBackend, ask: Ask) -> None:
    ring = np.zeros(backend.video.size, np.bool_)
    ring[10:30, 10:30] = True
    ring[15:20, 15:20] = False
    ring[40:42, 50:52] = True
    with backend.project.change("set up"):
        number = backend.project.add_object()
        backend.project.put(3, {number: (ring, FrameAnnotation("tracked", 0.5))})

    ask("clean", frame=3, object=number, seen=seen(backend, 3), what="holes")
    filled_ring = shown(backend, 3, number)
    assert filled_ring[15:20, 15:20].all()
    assert np.array_equal(filled_ring[40:42, 50:52], ring[40:42, 50:52])
    ask("clean", frame=3, object=number, seen=seen(backend, 3), what="specks")
    assert shown(backend, 3, number).sum() == 400
    assert backend.project.marks(3)[number].kind == "given"
    for what in ("holes", "specks"):
        with pytest.raises(PromptError):
            ask("clean", frame=3, object=number, seen=seen(backend, 3), what=what)

    click(ask, 3, 55, 41, number)
    assert shown(backend, 3, number)[15:20, 15:20].all(), "what was filled is painted"
    assert not shown(backend, 3, number)[40:42, 50:52].all(), "what was removed is erased"


def test_a_mask_is_pasted_on_another_frame_and_into_another_object(
    backend: AnnotateBackend, ask: Ask
) -> None:
    one = click(ask, 2, 20, 20)
    mask = shown(backend, 2, one)
    ask("paste", frame=7, object=one, seen=seen(backend, 7), of_frame=2, of_object=one)
    two = ask("paste", frame=5, object=None, seen=seen(backend, 5), of_frame=2, of_object=one)["object"]

    assert np.array_equal(shown(backend, 7, one), mask)
    assert np.array_equal(shown(backend, 5, two), mask)
    assert backend.project.marks(7)[one].kind == "given"
    with pytest.raises(PromptError):
        ask("paste", frame=7, object=one, seen=seen(backend, 7), of_frame=3, of_object=one)


def test_a_mask_is_copied_to_frames_that_nobody_corrected(backend: AnnotateBackend, ask: Ask) -> None:
    one = click(ask, 2, 20, 20)
    click(ask, 5, 40, 20, one)
    mask, other = shown(backend, 2, one), shown(backend, 5, one)

    answer = ask("spread", frame=2, object=one, seen=backend.project.revision, first=3, last=99)

    assert answer == {"frames": 8}
    for frame in range(3, 12):
        assert np.array_equal(shown(backend, frame, one), other if frame == 5 else mask), frame
    ask("undo")
    assert sorted(backend.project.marks_of(one)) == [2, 5]


def test_a_copied_mask_replaces_no_reviewed_mask_and_none_that_another_person_has_just_changed(
    backend: AnnotateBackend, ask: Ask
) -> None:
    one, project = click(ask, 2, 20, 20), backend.project
    mask = np.zeros(project.size, np.bool_)
    mask[30:40, 30:40] = True
    with project.change("tracking"):
        for frame in (4, 5):
            project.put(frame, {one: (mask, FrameAnnotation("tracked", 0.9))})
    seen_by_ann = project.revision
    ask("reviewed", objects=[one], first=4, last=4, seen=SEEN, user="Ben")
    with pytest.raises(ConflictError, match="frame 4 by Ben"):
        ask("spread", frame=2, object=one, seen=seen_by_ann, first=3, last=5, user="Ann")
    assert ask("spread", frame=2, object=one, seen=project.revision, first=3, last=5) == {"frames": 2}
    assert np.array_equal(project.plane(4, one), mask)
    assert not np.array_equal(project.plane(5, one), mask)


def test_objects_are_merged_and_split(backend: AnnotateBackend, ask: Ask) -> None:
    one, two = click(ask, 2, 20, 20), click(ask, 4, 40, 20)
    ask("object", object=two, locked=True)
    with pytest.raises(PromptError):
        ask("merge", seen=SEEN, object=one, into=two)
    with pytest.raises(PromptError):
        ask("merge", seen=SEEN, object=one, into=one)
    ask("object", object=two, locked=False)
    ask("merge", seen=SEEN, object=two, into=one)
    assert list(backend.project.marks_of(one)) == [2, 4]

    new = ask("split", seen=SEEN, object=one, frame=3)["object"]
    assert list(backend.project.marks_of(one)) == [2]
    assert list(backend.project.marks_of(new)) == [4]


def test_a_moved_corner_changes_a_mask_there_alone_and_for_good(backend: AnnotateBackend, ask: Ask) -> None:
    before = np.zeros(backend.video.size, np.bool_)
    before[10:40, 10:40] = True
    before[20:30, 20:30] = False
    before[12, 40] = True  # a pixel that no polygon has
    with backend.project.change("set up"):
        number = backend.project.add_object()
        backend.project.put(3, {number: (before, FrameAnnotation("tracked", 0.5))})
    polygons = ask("outline", frame=3, object=number)["polygons"]
    assert [polygon["hole"] for polygon in polygons] == [False, True]
    outer = polygons[0]["points"]
    moved = [[5.5, 45.5] if max(abs(x - 10), abs(y - 40)) < 2 else [x, y] for x, y in outer]
    assert moved != outer
    with pytest.raises(PromptError):
        ask("reshape", frame=3, object=number, seen=seen(backend, 3), before=outer, after=outer)

    ask("reshape", frame=3, object=number, seen=seen(backend, 3), before=outer, after=moved)

    after = shown(backend, 3, number)
    assert after[43, 8]
    assert np.array_equal(after[:25], before[:25] | after[:25])
    assert np.array_equal(after[:20, 20:], before[:20, 20:])
    hole = polygons[1]["points"]
    smaller = [[x, min(y, 26.5)] for x, y in hole]
    ask("reshape", frame=3, object=number, seen=seen(backend, 3), before=hole, after=smaller, hole=True)
    assert shown(backend, 3, number)[28, 25]
    assert not shown(backend, 3, number)[23, 25]
    click(ask, 3, 20, 15, number)
    assert shown(backend, 3, number)[43, 8], "what was gained is painted"


def test_the_order_of_objects_decides_what_is_on_top_in_exports_that_cannot_overlap(
    backend: AnnotateBackend, ask: Ask
) -> None:
    one, two = click(ask, 4, 20, 30), click(ask, 4, 21, 30)
    annotations = snapshot(backend.project, backend.video)
    assert annotations.mask(4)[30, 21] == two
    ask("layer", object=one, seen=SEEN)
    annotations = snapshot(backend.project, backend.video)
    assert annotations.mask(4)[30, 21] == one
    assert [*annotations.names] == [two, one], "from below"
    assert annotations.categories() == {"Object 1": 1, "Object 2": 2}, "numbers of classes stay"
    assert [row["id"] for row in ask("hello")["objects"]] == [two, one]

    ask("layer", object=one, below=two, seen=SEEN)
    seen = ask("hello")["revision"]
    ask("layer", object=two, below=one, seen=seen, user="Ann")
    with pytest.raises(ConflictError, match="the order of Object 2 was changed by Ann in the meantime"):
        ask("layer", object=two, seen=seen, user="Ben")
    ask("layer", object=one, seen=seen, user="Ben")  # of another object


def test_two_people_work_at_one_project_and_edits_of_the_same_frame_are_refused(
    backend: AnnotateBackend, ask: Ask
) -> None:
    seen = ask("look", frames=[3])["frames"][0]["revision"]
    ask("click", frame=3, object=None, points=[(20, 30, True)], seen=seen, user="Ann")
    with pytest.raises(ConflictError, match="frame 3 was changed by Ann in the meantime"):
        ask("click", frame=3, object=1, points=[(20, 30, True)], seen=seen, user="Ben")
    ask("comment", text="too small", object=1, frame=3, user=" Ben ")
    ask("resolve", comment=1, seen=backend.project.revision, user="Ann")

    known = ask("hello", user="Ann")
    about = {"id": 1, "object": 1, "frame": 3, "text": "too small", "user": "Ben", "resolved": "Ann"}
    assert known["comments"] == [about | {"x": None, "y": None}]
    assert backend.project.marks(3)[1].user == "Ann"
    found = ask("people")
    assert [(one["label"], one["user"]) for one in found["changes"]] == [
        ("resolved comment", "Ann"),
        ("comment", "Ben"),
        ("click", "Ann"),
    ]
    assert {one["user"]: one["comments"] for one in found["people"]} == {"Ann": 0, "Ben": 1}
    assert ask("undo", user="Ben")["user"] == "Ann"
    with pytest.raises(SegueError, match="not valid"):
        ask("comment", text="x", user="B" * 100)
    ask("comment", text="here", frame=3, place=(12.5, 1e4))
    comment = backend.project.comments()[-1]
    height = backend.video.size[0]
    assert (comment["frame"], comment["x"], comment["y"]) == (3, 12.5, height - 1), "within the image"
    with pytest.raises(PromptError, match="needs its frame"):
        ask("comment", text="where?", place=(1, 1))


def test_opacities_of_soft_objects_that_touch_add_up_on_the_page(backend: AnnotateBackend, ask: Ask) -> None:
    height, width = backend.video.size
    left = np.zeros((height, width), np.bool_)
    left[10:30, 20:30] = True
    with backend.project.change("set up"):
        first, second = backend.project.add_object(), backend.project.add_object()
        masks = {first: left, second: np.roll(left, 10, axis=1)}
        backend.project.put(3, {i: (mask, FrameAnnotation("tracked", 0.5)) for i, mask in masks.items()})
    for number in masks:
        ask("object", object=number, edge={"width": 8.0}, seen=SEEN)
    clear = np.ones((height, width))
    for shown in ask("soft_masks", frame=3)["soft_masks"].values():
        image = cv2.imdecode(np.frombuffer(base64.b64decode(shown["png"]), np.uint8), cv2.IMREAD_UNCHANGED)
        rows, columns = (slice(shown[a], shown[a] + n) for a, n in zip("yx", image.shape[:2], strict=True))
        clear[rows, columns] *= 1 - image[..., 3] / 255
    assert clear[18:22, 25:35].max() < 0.02
