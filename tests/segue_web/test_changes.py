"""What trackings change is shown beside what was there, and people accept or refuse it by range."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from segue.errors import PromptError, SegueError, SourceError
from segue.masks import encode_rle
from segue.masks.unsure import reduced_size
from segue.sessions.videos.provenance import MadeFrom
from segue_web.annotate import AnnotateBackend
from segue_web.project.annotations import FrameAnnotation
from segue_web.project.project import Project
from segue_web.server.conflicts import ConflictError
from tests.segue_web.test_annotate import SEEN, Ask, ask, backend, click
from tests.segue_web.test_trackings import end, forward, give, run, three

__all__ = ["ask", "backend", "three"]  # fixtures

FIRST, SECOND = range(10, 15), range(12, 17)  # columns of the masks before and after


def put(project: Project, frame: int, number: int, columns: range, score: float = 0.6, **more: str) -> None:
    plane = np.zeros(project.size, np.bool_)
    plane[10:20, columns.start : columns.stop] = True
    project.put(frame, {number: (plane, FrameAnnotation("tracked", score, **more))})


@pytest.fixture
def changed(backend: AnnotateBackend, ask: Ask) -> AnnotateBackend:
    """Object 1 was clicked on frame 4 and tracked twice over 5 to 8, differently but on frame 8."""
    click(ask, 4, 30, 30)
    for columns, score in ((FIRST, 0.6), (SECOND, 0.9)):
        with backend.project.change("tracking"):
            for frame in (5, 6, 7, 8):
                put(backend.project, frame, 1, FIRST if frame == 8 else columns, score)
    return backend


def pending(backend: AnnotateBackend) -> list[int]:
    """Frames of object 1 whose change nobody has judged."""
    marks = backend.project.marks_of(1)
    return [frame for frame, mark in marks.items() if mark.agreement is not None]


def columns(backend: AnnotateBackend, frame: int) -> range:
    there = np.flatnonzero(backend.project.plane(frame, 1).any(0))
    return range(int(there[0]), int(there[-1]) + 1)


def judge(ask: Ask, first: int, last: int, **fields: Any) -> dict[str, Any]:
    return ask("judge", **{"objects": [1], "first": first, "last": last, "seen": SEEN} | fields)


def test_a_tracking_tells_pages_what_it_replaces_and_by_how_much(three: AnnotateBackend) -> None:
    async def steps(handle: Any) -> None:
        with three.project.change("tracking"):
            put(three.project, 5, 1, FIRST)
        events.clear()
        await handle(**forward(1))
        await give(three, 5, 1)
        await give(three, 6, 1)
        await end(three)

    events: list[dict[str, Any]] = []
    run(three, steps, events)
    told = {one["frame"]: one for event in events for one in event.get("frames", ())}
    # columns 10 to 14 before and 5 to 9 after have nothing in common
    assert told[5]["marks"][1][-1] == 0.0
    assert told[5]["replaced"] == {1: three.project.replaced_masks(5)[1]}
    assert told[6]["marks"][1][-1] is None, "there was no mask before"
    assert told[6]["replaced"] == {}


def test_refused_masks_are_put_back_as_they_were_and_accepted_ones_stay(
    changed: AnnotateBackend, ask: Ask
) -> None:
    assert pending(changed) == [5, 6, 7]
    assert changed.project.marks(5)[1].agreement == pytest.approx(3 / 7)
    assert [row[-1] for row in ask("hello")["timeline"] if row[0] == 6] == [pytest.approx(3 / 7)]

    assert judge(ask, 6, 11, accept=False) == {"masks": 2}
    assert [columns(changed, frame) for frame in (5, 6, 7)] == [SECOND, FIRST, FIRST]
    assert [changed.project.marks(frame)[1].score for frame in (5, 6, 7)] == [0.9, 0.6, 0.6]
    assert judge(ask, 0, 5) == {"masks": 1}
    assert (pending(changed), columns(changed, 5)) == ([], SECOND)

    for label, left in (("accepted changes", [5]), ("rejected changes", [5, 6, 7])):
        assert ask("undo")["label"] == label
        assert pending(changed) == left
    assert columns(changed, 6) == SECOND
    ask("undo", redo=True)
    assert columns(changed, 6) == FIRST


def test_unsure_pixels_are_restored_with_their_mask(backend: AnnotateBackend, ask: Ask) -> None:
    click(ask, 4, 30, 30)
    project = backend.project
    runs = [
        encode_rle(np.full(reduced_size(project.size), full, np.bool_))["counts"] for full in (True, False)
    ]
    for columns, unsure in zip((FIRST, SECOND), runs, strict=True):
        with project.change("tracking"):
            put(project, 5, 1, columns, unsure=unsure)
    assert project.uncorrected_masks(1)[5].stored[3] == runs[1]
    judge(ask, 5, 5, accept=False)
    assert project.uncorrected_masks(1)[5].stored[3] == runs[0]
    ask("undo")
    assert project.uncorrected_masks(1)[5].stored[3] == runs[1]
    with closing(sqlite3.connect(project.folder / "project.db")) as database, database:
        database.execute("UPDATE marks SET unsure='0' WHERE frame=5")
    with pytest.raises(SourceError, match="frame 5: a mask is damaged"):
        project.uncorrected_masks(1)


def test_sources_are_restored_with_their_mask(backend: AnnotateBackend, ask: Ask) -> None:
    click(ask, 4, 30, 30)
    project = backend.project
    [source] = project.sources(1)
    both = [MadeFrom((source,), (source,)), MadeFrom((source,))]
    for columns, made_from in zip((FIRST, SECOND), both, strict=True):
        with project.change("tracking"):
            put(project, 5, 1, columns, made_from=json.dumps(made_from))
    assert project.made_from(5, 1) == both[1]
    judge(ask, 5, 5, accept=False)
    assert project.made_from(5, 1) == both[0]
    ask("undo")
    assert project.made_from(5, 1) == both[1]


def test_two_people_judge_what_they_have_seen(changed: AnnotateBackend, ask: Ask) -> None:
    seen = ask("hello")["revision"]
    judge(ask, 6, 6, accept=False, seen=seen, user="Ann")
    with pytest.raises(ConflictError, match="Object 1 was changed on frame 6 by Ann in the meantime"):
        judge(ask, 5, 7, seen=seen, user="Ben")
    assert pending(changed) == [5, 7]
    assert judge(ask, 7, 7, seen=seen, user="Ben") == {"masks": 1}, "frame 7 is as Ben saw it"
    with pytest.raises(PromptError, match="its masks on frames 6 to 7 have no changes by tracking"):
        judge(ask, 6, 7, user="Ben")
    assert changed.project.history()["undo"] == "accepted changes", "nothing is noted where nothing was done"


def test_changes_stay_to_be_judged_after_a_restart(changed: AnnotateBackend, ask: Ask) -> None:
    project = changed.project
    project.close()
    again = Project(project.folder, changed.video.describe(), project.size)
    with closing(again):
        assert len(again.replaced_masks(6)) == 1
        with again.change("rejected changes"):
            assert again.judge_replaced(1, range(12), accept=False) == 3
        assert again.plane(6, 1)[12, FIRST.start]
    changed.project = Project(project.folder, changed.video.describe(), project.size)  # the fixture closes it


def test_another_tracking_is_compared_with_the_last_one(changed: AnnotateBackend, ask: Ask) -> None:
    with changed.project.change("tracking"):
        put(changed.project, 5, 1, range(20, 25))
    judge(ask, 5, 5, accept=False)
    assert columns(changed, 5) == SECOND


@pytest.mark.parametrize("how", ["edit", "review", "clear"])
def test_edits_reviews_and_removals_judge_a_change(how: str, changed: AnnotateBackend, ask: Ask) -> None:
    if how == "edit":
        ask("stroke", frame=6, object=1, add=True, path=[(40, 40)], width=3, seen=SEEN)
    elif how == "review":
        ask("reviewed", objects=[1], first=6, last=6, seen=SEEN)
    else:
        ask("forget", frame=6, object=1, seen=SEEN, hidden=False)
    assert pending(changed) == [5, 7]
    ask("undo")
    assert pending(changed) == [5, 6, 7]


def test_a_split_or_merged_object_has_nothing_to_be_judged(changed: AnnotateBackend, ask: Ask) -> None:
    new = ask("split", object=1, frame=6, seen=SEEN)["object"]
    assert pending(changed) == [5]
    assert all(mark.agreement is None for mark in changed.project.marks_of(new).values())


def test_changes_of_tracked_or_locked_objects_cannot_be_judged(three: AnnotateBackend) -> None:
    async def steps(handle: Any) -> None:
        for columns in (FIRST, SECOND):
            with three.project.change("tracking"):
                put(three.project, 5, 1, columns)
        wanted = {"objects": [1], "first": 5, "last": 5, "seen": SEEN, "accept": False}
        await handle(**forward(1))
        with pytest.raises(SegueError, match="cannot reject changes of an object while it is tracked"):
            await handle("judge", **wanted)
        await end(three)
        await handle("object", object=1, locked=True)
        with pytest.raises(PromptError, match="unlock the object first"):
            await handle("judge", **wanted)

    run(three, steps)


@pytest.mark.parametrize("previous", ["", "[]", "{}", '{"mask": "xyz"}', None])
def test_a_damaged_mask_to_be_put_back_is_one_line(
    previous: str | None, changed: AnnotateBackend, ask: Ask
) -> None:
    if previous is None:  # all is there, and the run lengths are too long
        previous = json.dumps({"kind": "tracked", "score": 1, "area": 1, "mask": "0" * 100, "user": ""})
    with closing(sqlite3.connect(changed.project.folder / "project.db")) as database, database:
        database.execute("UPDATE marks SET previous=? WHERE frame=6", (previous,))
    with pytest.raises(SourceError, match="frame 6: a mask"):
        judge(ask, 5, 7, accept=False)
    assert pending(changed) == [5, 6, 7], "nothing of it was done"
