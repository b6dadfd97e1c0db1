"""Two people change one thing: the second is told what and whose, and nothing is lost unseen."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.masks import write_index_mask
from segue_web.annotate import AnnotateBackend
from segue_web.server.conflicts import ConflictError
from segue_web.video import Video
from tests.segue_web.test_annotate import Ask, CircleWorker, ask, backend, click, request

__all__ = ["ask", "backend"]  # fixtures


def classes(*names: str) -> dict[str, Any]:
    return {"classes": [{"name": name} for name in names]}


def test_a_schema_replaces_only_the_one_that_was_seen(backend: AnnotateBackend, ask: Ask) -> None:
    seen = ask("hello")["revision"]
    ask("schema", schema=classes("car"), seen=seen, user="Ann")
    with pytest.raises(ConflictError, match="classes and attributes were changed by Ann in the meantime"):
        ask("schema", schema=classes("bus"), seen=seen, user="Ben")
    assert backend.project.schema.names == ("car",)
    click(ask, 3, 20, 30)  # other changes do not count
    ask("schema", schema=classes("car", "bus"), seen=seen + 1, user="Ben")
    assert backend.project.schema.names == ("car", "bus")
    seen = ask("hello")["revision"]
    ask("undo", user="Ann")
    with pytest.raises(ConflictError):
        ask("schema", schema=classes("tram"), seen=seen, user="Ben")


def test_a_schema_that_changed_before_a_restart_is_not_replaced_unseen(
    tmp_path: Path, backend: AnnotateBackend
) -> None:
    """The page was away meanwhile, and its dialog is still open."""
    asyncio.run(backend.handle(request("schema", schema=classes("car"), seen=0, user="Ann")))
    backend.close()
    video = Video(backend.video.path)
    with (
        closing(AnnotateBackend(video, tmp_path / "p", worker=CircleWorker(video.size))) as again,
        pytest.raises(ConflictError, match="by Ann"),
    ):
        asyncio.run(again.handle(request("schema", schema=classes("bus"), seen=0)))


def test_classes_of_the_command_whose_step_was_undone_are_added_again(
    tmp_path: Path, backend: AnnotateBackend
) -> None:
    backend.close()
    for undone in (True, False):
        video = Video(backend.video.path)
        worker = CircleWorker(video.size)
        with closing(AnnotateBackend(video, tmp_path / "p", classes=("car",), worker=worker)) as again:
            assert [each.name for each in again.project.schema.classes] == ["car"]
            if undone:
                asyncio.run(again.handle(request("undo")))
                assert not again.project.schema


def test_undo_takes_back_the_step_that_was_seen_alone(backend: AnnotateBackend, ask: Ask) -> None:
    click(ask, 3, 20, 30)
    history = ask("hello")["history"]
    assert history["undo"] == "click"
    ask("object", object=1, name="Taxi", user="Ben")

    with pytest.raises(ConflictError, match="the next step to undo is now “name” by Ben"):
        ask("undo", entry=history["entries"]["undo"], user="Ann")
    assert [row["name"] for row in backend.project.objects()] == ["Taxi"]

    history = ask("hello")["history"]
    assert history["users"]["undo"] == "Ben"
    assert ask("undo", entry=history["entries"]["undo"], user="Ann")["user"] == "Ben"
    history = ask("hello")["history"]
    ask("comment", text="mine", user="Ben")
    with pytest.raises(ConflictError, match="the step to redo no longer exists"):
        ask("undo", redo=True, entry=history["entries"]["redo"], user="Ann")


def test_a_comment_is_resolved_or_opened_again_only_as_it_was_seen(
    backend: AnnotateBackend, ask: Ask
) -> None:
    number = ask("comment", text="too small", frame=3, user="Ann")["comment"]
    seen = ask("hello")["revision"]
    ask("resolve", comment=number, seen=seen, user="Ben")
    with pytest.raises(ConflictError, match="the comment was changed by Ben in the meantime"):
        ask("resolve", comment=number, seen=seen, resolved=False, user="Ann")
    ask("resolve", comment=number, seen=seen, user="Ann")  # is so already: Ben was first
    assert [one["resolved"] for one in backend.project.comments()] == ["Ben"]
    click(ask, 3, 20, 30)  # other changes do not count
    ask("resolve", comment=number, seen=seen + 1, resolved=False, user="Ann")
    assert [one["resolved"] for one in backend.project.comments()] == [""]


def test_a_comment_that_was_undone_does_not_give_its_id_to_another(
    backend: AnnotateBackend, ask: Ask
) -> None:
    first = ask("comment", text="too small", frame=3, user="Ann")["comment"]
    seen = ask("hello")["revision"]
    ask("undo", user="Ann")
    second = ask("comment", text="too large", frame=3, user="Ann")["comment"]
    with pytest.raises(ConflictError, match="this comment no longer exists"):
        ask("resolve", comment=first, seen=seen, user="Ben")
    assert [(one["id"], one["resolved"]) for one in backend.project.comments()] == [(second, "")]


@pytest.mark.parametrize(
    "change",
    [
        {"op": "remove", "object": 1},
        {"op": "merge", "object": 1, "into": 2},
        {"op": "merge", "object": 2, "into": 1},
        {"op": "split", "object": 1, "frame": 4},
        {"op": "reviewed", "objects": [1], "first": 0, "last": 11},
        {"op": "reviewed", "objects": [2, 1], "first": 3, "last": 3},
    ],
    ids=lambda change: change["op"],
)
def test_an_object_is_changed_as_a_whole_only_as_it_was_seen(
    change: dict[str, Any], backend: AnnotateBackend, ask: Ask
) -> None:
    for frame in (3, 4):
        click(ask, frame, 20, 30, 1 if frame == 4 else None)
    click(ask, 3, 40, 30)
    seen = ask("hello")["revision"]
    ask("click", frame=3, object=1, points=[(20, 30, True), (24, 30, True)], seen=seen, user="Ben")
    timeline = backend.project.timeline()

    with pytest.raises(ConflictError, match="Object 1 was changed on frame 3 by Ben in the meantime"):
        ask(**change, seen=seen)
    assert backend.project.timeline() == timeline
    ask(**change, seen=seen + 1)


def test_changes_of_other_objects_and_frames_stand_in_nobodys_way(backend: AnnotateBackend, ask: Ask) -> None:
    for frame in (3, 4):
        click(ask, frame, 20, 30, 1 if frame == 4 else None)
    click(ask, 3, 40, 30)
    seen = ask("hello")["revision"]
    click(ask, 3, 42, 30, 2)
    click(ask, 4, 24, 30, 1)
    assert ask("reviewed", objects=[1], first=3, last=3, seen=seen) == {"masks": 1}
    with pytest.raises(ConflictError):
        ask("remove", object=1, seen=seen)
    click(ask, 5, 24, 30)
    ask("object", object=1, name="Koi", user="Ben")
    seen = ask("hello")["revision"]
    click(ask, 5, 24, 34, 3)
    ask("remove", object=1, seen=seen)


def test_an_import_replaces_only_the_masks_that_its_list_has_shown(
    backend: AnnotateBackend, ask: Ask, tmp_path: Path
) -> None:
    click(ask, 4, 20, 30)
    (tmp_path / "masks").mkdir()
    for index in (4, 5):
        write_index_mask(tmp_path / "masks" / f"{index:05d}.png", np.ones(backend.video.size, np.uint8))
    file = asyncio.run(backend.import_file("masks", tmp_path / "masks"))
    assert file["objects"][0]["text"] == "adds frame 5; replaces frame 4 (1 corrected by hand)"
    ask("spread", frame=4, object=1, seen=ask("hello")["revision"], first=5, last=5, user="Ben")

    with pytest.raises(ConflictError, match="changed on frame 5 by Ben"):
        ask("import", upload=file["upload"], targets={"1": 1})
    again = ask("import", upload=file["upload"], targets={"1": 1}, preview=True)
    assert again["objects"][0]["text"] == "replaces frames 4 to 5 (2 corrected by hand)"
    ask("import", upload=file["upload"], targets={"1": 1})
    assert backend.project.plane(5, 1).all()
