"""Ids of a project are given once, whatever is undone, removed and opened again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from segue.masks.splines import KeyedShape, ShapeKey
from segue_web.project.project import Project

SIZE = (20, 30)
VIDEO = {"name": "a.mp4", "width": 30, "height": 20, "frames": 9}
SQUARE = KeyedShape({2: ShapeKey(tuple((x, y, x, y, x, y) for x, y in ((2.0, 2.0), (9.0, 2.0), (9.0, 9.0))))})


class IdMachine(RuleBasedStateMachine):
    """Comments, shapes, objects and steps, which come and go."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="segue-ids-"))
        self.project = Project(self.folder / "p", VIDEO, SIZE)
        self.given: dict[str, set[int]] = {}
        self.object = self.make("object", self.project.add_object)

    def teardown(self) -> None:
        if hasattr(self, "project"):
            self.project.close()
            shutil.rmtree(self.folder)

    def make(self, kind: str, add: Callable[[], int]) -> int:
        with self.project.change(kind):
            number = add()
        for what, new in ((kind, number), ("step", self.project.last_entry)):
            assert new not in self.given.setdefault(what, set()), f"the id {new} of a {what} came again"
            self.given[what].add(new)
        return number

    @rule()
    def add_object(self) -> None:
        self.make("object", self.project.add_object)

    @rule()
    def comment(self) -> None:
        self.make("comment", lambda: self.project.add_comment("look", None, 3))

    @rule()
    def draw(self) -> None:
        if any(row["id"] == self.object for row in self.project.objects()):
            self.make("shape", lambda: self.project.set_shape(None, self.object, SQUARE))

    @rule()
    def remove_shapes(self) -> None:
        if self.project.shapes():
            with self.project.change("removed shapes"):
                self.project.drop_shapes(self.object)
            self.given["step"].add(self.project.last_entry)

    @rule()
    def undo(self) -> None:
        self.project.undo()

    @rule()
    def redo(self) -> None:
        self.project.undo(redo=True)

    @rule()
    def open_again(self) -> None:
        self.project.close()
        self.project = Project(self.folder / "p", VIDEO, SIZE)


IdMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)
TestIds = IdMachine.TestCase
