"""Two people send each operation at the same moment, 200 times: nobody takes back what another has made."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.errors import SegueError
from segue_web.annotate import AnnotateBackend
from segue_web.project.project import Project
from segue_web.server.conflicts import ConflictError
from segue_web.server.server import Backend
from segue_web.server.worker import Tools
from segue_web.video import Video
from segue_web.video_list import VideoListBackend
from tests.segue_web.test_annotate import CircleWorker, request
from tests.segue_web.videos import numbered, write_video


@pytest.fixture(params=[10, pytest.param(200, marks=pytest.mark.slow)])
def rounds(request: pytest.FixtureRequest) -> int:
    """How often they send each operation."""
    return int(request.param)


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[AnnotateBackend]:
    video = Video(write_video(tmp_path / "video.mp4", numbered(4)))
    with closing(AnnotateBackend(video, tmp_path / "p", worker=CircleWorker(video.size))) as backend:
        with backend.project.change("objects"):
            for _ in range(2):
                backend.project.add_object()
        yield backend


@dataclass(frozen=True)
class Operation:
    """What both do to one thing, each with a value of their own.

    Attributes:
        fields: makes the operation of a value.
        value: reads the value from a project, as a conflict names it.
    """

    fields: Callable[[str], dict[str, Any]]
    value: Callable[[Project], Any]


def of_object(field: str) -> Operation:
    return Operation(
        lambda value: {"op": "object", "object": 1, field: value},
        lambda project: project.objects()[0][field],
    )


def edge_of(value: str) -> dict[str, Any]:
    return {"grow": 1 + int(value[1:]) % 97, "feather": ord(value[0]), "width": 0, "detail": False}


OPERATIONS = {
    "schema": Operation(
        lambda value: {"op": "schema", "schema": {"classes": [{"name": value}]}},
        lambda project: project.schema.as_json(),
    ),
    **{field: of_object(field) for field in ("name", "category", "group")},
    "colour": Operation(
        lambda value: {"op": "object", "object": 1, "colour": f"#{int(value[1:]):05d}{len(value[0])}"},
        lambda project: project.objects()[0]["colour"],
    ),
    "soft edge": Operation(
        lambda value: {"op": "object", "object": 1, "edge": edge_of(value)},
        lambda project: project.objects()[0]["edge"],
    ),
    "attribute": Operation(
        lambda value: {"op": "object", "object": 1, "attributes": {"size": value}},
        lambda project: project.objects()[0]["attributes"].get("size"),
    ),
    "attribute of a frame": Operation(
        lambda value: {"op": "frame_attributes", "object": 1, "frame": 2, "attributes": {"pose": value}},
        lambda project: project.objects()[0]["frame_attributes"].get("pose"),
    ),
}


async def both(backend: Backend, *operations: dict[str, Any]) -> list[Any]:
    """The answers to operations that are sent at the same moment, or why they are refused."""
    sent = [backend.handle(request(**each)) for each in operations]
    return await asyncio.gather(*sent, return_exceptions=True)


@pytest.mark.parametrize("name", OPERATIONS)
def test_of_two_changes_of_one_thing_the_second_is_told_the_first(
    name: str, backend: AnnotateBackend, rounds: int
) -> None:
    operation, project = OPERATIONS[name], backend.project

    async def run() -> None:
        for number in range(rounds):
            values = [f"{person}{number:04d}" for person in "ab"]
            seen = project.revision
            people = zip(("Ann", "Ben"), map(operation.fields, values), strict=True)
            answers = await both(backend, *(each | {"seen": seen, "user": user} for user, each in people))
            conflicts = [answer for answer in answers if answer]
            assert len(conflicts) == 1, answers
            assert isinstance(conflicts[0], ConflictError), answers
            winner = 1 - answers.index(conflicts[0])
            assert f"by {('Ann', 'Ben')[winner]}" in str(conflicts[0])
            assert conflicts[0].current == operation.value(project)
            # Who has seen it may replace it.
            [again] = await both(backend, operation.fields(values[1 - winner]) | {"seen": project.revision})
            assert again == {}

    asyncio.run(run())


def test_changes_of_different_things_are_both_made(backend: AnnotateBackend, rounds: int) -> None:
    async def run() -> None:
        for number in range(rounds):
            seen = backend.project.revision
            name, size = f"name {number}", f"size {number}"
            answers = await both(
                backend,
                {"op": "object", "object": 1, "name": name, "seen": seen},
                {"op": "object", "object": 1, "attributes": {"size": size}, "seen": seen},
                {"op": "object", "object": 1, "attributes": {"shape": name}, "seen": seen},
                {"op": "object", "object": 2, "name": name, "seen": seen},
                {"op": "object", "object": 1, "visible": bool(number % 2), "seen": seen},
                {"op": "comment", "text": name, "object": 1, "frame": number % 4},
                {"op": "comment", "text": size, "object": 1, "frame": number % 4},
            )
            assert not [answer for answer in answers if isinstance(answer, Exception)], answers
            first, second = backend.project.objects()
            assert (first["name"], second["name"]) == (name, name)
            assert first["attributes"] == {"size": size, "shape": name}
            assert first["visible"] == bool(number % 2)
            assert [each["text"] for each in backend.project.comments()][-2:] == [name, size]

    asyncio.run(run())


def test_the_first_person_to_resolve_a_comment_is_recorded(backend: AnnotateBackend, rounds: int) -> None:
    async def run() -> None:
        for number in range(1, rounds + 1):
            await both(backend, {"op": "comment", "text": "look", "user": "Cem"})
            people = ("Ann", "Ben") if number % 2 else ("Ben", "Ann")
            seen = backend.project.revision
            wish = {"op": "resolve", "comment": number, "seen": seen}
            done = await both(backend, *(wish | {"user": user} for user in people))
            assert done == [{}, {}]
            assert backend.project.comments()[-1]["resolved"] == people[0]

    asyncio.run(run())


def test_of_two_who_move_an_object_among_the_others_the_second_is_told(
    backend: AnnotateBackend, rounds: int
) -> None:
    with backend.project.change("objects"):
        backend.project.add_object()

    async def run() -> None:
        for number in range(rounds):
            seen, before = backend.project.revision, [row["id"] for row in backend.project.objects()]
            moved = before[number % 2]
            others = [each for each in before if each != moved]
            # Ann puts it on top, Ben below all; each is another place than where it is.
            places = (None, others[1 - number % 2])
            people = zip(("Ann", "Ben"), places, strict=True)
            answers = await both(
                backend,
                *(
                    {"op": "layer", "object": moved, "below": at, "seen": seen, "user": user}
                    for user, at in people
                ),
            )
            conflicts = [answer for answer in answers if answer]
            assert len(conflicts) == 1, answers
            assert isinstance(conflicts[0], ConflictError)
            winner = 1 - answers.index(conflicts[0])
            assert f"by {('Ann', 'Ben')[winner]}" in str(conflicts[0])
            after = [row["id"] for row in backend.project.objects()]
            assert [each for each in after if each != moved] == others, "the others lie as they did"
            place = len(others) if places[winner] is None else others.index(places[winner])
            assert after.index(moved) == place

    asyncio.run(run())


def test_of_two_who_move_the_corners_of_a_shape_the_second_is_told(
    backend: AnnotateBackend, rounds: int
) -> None:
    square = [(4, 4), (20, 4), (20, 20), (4, 20)]

    async def run() -> None:
        draw = {"op": "draw_shape", "frame": 1, "object": 1, "points": square, "seen": 1}
        [made] = await both(backend, draw)
        for number in range(rounds):
            seen = backend.project.revision
            moved = [[(x + number % 30 + side, y, 0, 0, 0, 0) for x, y in square] for side in (0, 1)]
            answers = await both(
                backend,
                *(
                    {"op": "shape_key", "shape": made["shape"], "frame": 2, "corners": corners, "seen": seen}
                    | {"user": user}
                    for user, corners in zip(("Ann", "Ben"), moved, strict=True)
                ),
            )
            conflicts = [answer for answer in answers if answer]
            assert len(conflicts) == 1, answers
            assert isinstance(conflicts[0], ConflictError)
            winner = 1 - answers.index(conflicts[0])
            assert f"by {('Ann', 'Ben')[winner]}" in str(conflicts[0])
            [shape] = backend.project.frame(2)["shapes"].values()
            assert shape["corners"] == [list(each) for each in moved[winner]]

    asyncio.run(run())


def test_an_object_is_removed_by_one_and_changed_by_nobody_then(
    backend: AnnotateBackend, rounds: int
) -> None:
    async def run() -> None:
        for _ in range(rounds):
            with backend.project.change("object"):
                number = backend.project.add_object()
            seen = backend.project.revision
            rename = {"op": "object", "object": number, "name": "Koi", "seen": seen}
            remove = {"op": "remove", "object": number, "seen": seen}
            answers = await both(backend, *((remove, rename) if number % 2 else (rename, remove)), remove)
            conflicts = [answer for answer in answers if isinstance(answer, ConflictError)]
            ids = [row["id"] for row in backend.project.objects()]
            # Renamed first, it is not removed as it was; removed first, it is not renamed.
            assert (number in ids) == (number % 2 == 0)
            assert len(conflicts) == 2

    asyncio.run(run())


def test_the_second_of_two_simultaneous_assignments_is_refused(tmp_path: Path, rounds: int) -> None:
    def make(path: Path, place: Path) -> AnnotateBackend:
        video = Video(path)
        return AnnotateBackend(video, place, worker=CircleWorker(video.size))

    path = write_video(tmp_path / "a.mp4", numbered(2))
    with closing(VideoListBackend("videos", {"a": path, "b": path}, tmp_path / "out", make)) as backend:

        async def run() -> None:
            seen = ""
            for number in range(rounds):
                people = [f"{name} {number}" for name in ("Ann", "Ben")]
                answers = await both(
                    backend,
                    *({"op": "assign", "number": 0, "person": name, "seen": seen} for name in people),
                )
                conflicts = [answer for answer in answers if answer]
                assert len(conflicts) == 1, answers
                assert isinstance(conflicts[0], ConflictError)
                seen = backend._assigned()["a"]
                assert seen == people[1 - answers.index(conflicts[0])] == conflicts[0].current
                # The same of who has a second look, and of how far the video is.
                state = ("open", "work")[number % 2]
                answers = await both(
                    backend,
                    *(
                        {"op": "set_state", "number": 0, "state": to, "seen": state, "user": to}
                        for to in ("review", "done")
                    ),
                )
                conflicts = [answer for answer in answers if answer]
                assert len(conflicts) == 1, answers
                assert isinstance(conflicts[0], ConflictError)
                assert conflicts[0].current == ("review", "done")[1 - answers.index(conflicts[0])]
                await both(backend, {"op": "set_state", "number": 0, "state": ("work", "open")[number % 2]})

        asyncio.run(run())


class Here(CircleWorker):
    """Answers clicks with disks, of which each may mean two; surfaces stand still; the tools fit shapes."""

    def __init__(self, video: Video) -> None:
        super().__init__(video.size)
        self._tools = Tools(video.path, None, ("", None), "", None)

    async def ask(self, method: str, *arguments: Any) -> Any:
        if method == "candidates":
            plane, score = await super().ask("click", *arguments)
            return [(plane, score), (np.roll(plane, 9, 1), score / 2)]
        if method == "plane_motion":
            _, _, first, last, _, _ = arguments
            return [np.eye(3)] * (last - first), False
        if method == "fit_shape":
            return getattr(self._tools, method)(*arguments)
        return await super().ask(method, *arguments)


LINE, SQUARE = ((4, 4), (24, 4), (24, 24)), ((4, 4), (24, 4), (24, 24), (4, 24))


def moved(right: int) -> list[tuple[int, int]]:
    return [(x + right, y) for x, y in SQUARE]


OF_ONE_PLACE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "stroke": ({"path": LINE}, {"path": moved(9)}),
    "scribble": ({"path": LINE}, {"path": moved(9)}),
    "click": ({"points": [[12, 12, 1]]}, {"points": [[30, 12, 1]]}),
    "candidate": ({}, {}),
    "forget": ({"hidden": True}, {"hidden": False}),
    "clean": ({"what": "holes"}, {"what": "holes"}),
    "reshape": ({"after": moved(4)}, {"after": moved(8)}),
    "paste": ({"of_object": 1}, {"of_object": 2}),
    "spread": ({"last": 3}, {"last": 3}),
    "draw_shape": ({"points": SQUARE}, {"points": moved(6)}),
    "remove_key": ({}, {}),
    "shape_corner": ({"corner": 0}, {"corner": 1}),
    "remove_shape": ({}, {}),
    "shape_of_masks": ({"quality": 0.8}, {"quality": 0.9}),
    "track_plane": ({}, {}),
    "merge": ({"object": 1, "into": 2}, {"object": 2, "into": 1}),
    "split": ({}, {}),
    "reviewed": ({"last": 1}, {"last": 2}),
}
"""Operations on a mask or a shape, and in what those of two people differ."""

COMMON: dict[str, dict[str, Any]] = {
    "stroke": {"frame": 1, "object": 1, "add": True, "width": 4},
    "candidate": {"frame": 3, "object": 2},
    "reshape": {"frame": 1, "object": 1, "before": SQUARE},
    "paste": {"frame": 1, "object": 1, "of_frame": 2},
    "spread": {"frame": 2, "object": 1, "first": 2},
    "remove_key": {"shape": 1, "frame": 2},
    "shape_corner": {"shape": 1, "change": "remove"},
    "remove_shape": {"shape": 1},
    "shape_of_masks": {"object": 1, "first": 1, "last": 2},
    "track_plane": {"shape": 1, "frame": 2, "last": 3},
    "merge": {},
    "split": {"object": 1, "frame": 2},
    "reviewed": {"objects": [1], "first": 1},
}

ELSEWHERE = {
    "schema": OPERATIONS,
    "object": OPERATIONS,
    "frame_attributes": OPERATIONS,
    "layer": test_of_two_who_move_an_object_among_the_others_the_second_is_told,
    "shape_key": test_of_two_who_move_the_corners_of_a_shape_the_second_is_told,
    "remove": test_an_object_is_removed_by_one_and_changed_by_nobody_then,
    "judge": "tests/segue_web/test_changes.py",
    "resolve": "tests/segue_web/test_conflicts.py",
    "candidates": "changes nothing",
}
"""What drives the others."""


@pytest.mark.parametrize("name", OF_ONE_PLACE)
def test_of_two_who_change_one_mask_or_shape_one_is_refused(name: str, tmp_path: Path) -> None:
    video = Video(write_video(tmp_path / "video.mp4", numbered(4)))
    common = {"op": name} | COMMON.get(name, {"frame": 1, "object": 1})

    async def run(backend: AnnotateBackend, order: int) -> None:
        project = backend.project
        for _ in range(2):
            with project.change("object"):
                project.add_object()
        ring = {"op": "stroke", "add": True, "width": 4, "path": [*moved(4), moved(4)[0]]}
        for number, frame in ((1, 1), (1, 2), (2, 2)):
            await both(backend, ring | {"object": number, "frame": frame, "seen": project.revision})
        await both(backend, {"op": "click", "frame": 3, "object": 2, "points": [[40, 12, 1]], "seen": 99})
        if "shape" in common:
            [made] = await both(
                backend, {"op": "draw_shape", "frame": 1, "object": 2, "points": SQUARE, "seen": 99}
            )
            corners = [(x + 3, y, 0, 0, 0, 0) for x, y in SQUARE]
            key = {"op": "shape_key", "shape": made["shape"], "frame": 2, "corners": corners}
            await both(backend, key | {"seen": project.revision})
        seen, before = project.revision, str(project.frame(1)["marks"])
        people = [common | {"seen": seen} | fields for fields in OF_ONE_PLACE[name][::order]]
        answers = await both(backend, *people)
        refused = [answer for answer in answers if isinstance(answer, Exception)]
        assert len(refused) == 1, answers
        assert isinstance(refused[0], SegueError), answers
        assert project.revision > seen, before

    for order in (1, -1):
        worker = Here(video)
        with closing(AnnotateBackend(video, tmp_path / f"p{order}", worker=worker)) as backend:
            asyncio.run(run(backend, order))


def test_every_operation_that_names_what_its_sender_has_seen_is_driven(backend: AnnotateBackend) -> None:
    (handlers,) = (
        each for each in vars(backend).values() if isinstance(each, dict) and {"click", "object"} <= {*each}
    )
    named = {name for name, call in handlers.items() if "seen" in inspect.signature(call).parameters}
    assert named == {*OF_ONE_PLACE, *ELSEWHERE}
