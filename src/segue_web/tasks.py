"""Tasks of a list of videos: assignment and state."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from segue.errors import PromptError, SegueError
from segue.utils.files import changing, write_complete
from segue_web.project.store import actor
from segue_web.server.conflicts import check_value

ASSIGNED = "assigned.json"
"""File of a projects folder with the assignment, and further data, of each assigned video."""

State = Literal["open", "work", "review", "done"]
STATES: Mapping[State, str] = {"open": "open", "work": "in work", "review": "to review", "done": "done"}
"""States of a video, and their displayed names."""

Role = Literal["person", "reviewer"]


@dataclass(frozen=True, slots=True)
class Task:
    """Assignment and state of a video."""

    person: str = ""  # who annotates it
    reviewer: str = ""  # another person, who has a second look
    state: State | None = None  # None: as far as its masks say
    by: str = ""  # who said so
    video: str = ""  # path of the video, whose name may be that of another one later

    def state_of(self, annotated: bool) -> State:
        """State of a video from its task and its annotated frames."""
        return self.state or ("work" if annotated else "open")


class Tasks:
    """Tasks of a projects folder; other processes may change them."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ASSIGNED

    def read(self) -> dict[str, Task]:
        """Read all tasks by video name."""
        if not self._path.is_file():
            return {}
        try:
            stored = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise SegueError(f"{self._path}: cannot be read ({error}); repair or move it") from None
        try:
            return {str(name): _task(value) for name, value in stored.items()}
        except (AttributeError, ValueError, TypeError):
            raise SegueError(
                f"{self._path}: is no JSON object of a name or a task for each video; repair or move it"
            ) from None

    def assign(self, name: str, person: str, role: Role, expected: str | None, *, video: Path) -> None:
        """Assign a video to a person; an empty name removes the assignment.

        ``expected``: the person whose it was, as the page shows it; None does not matter.
        """

        def change(task: Task) -> Task:
            current = task.person if role == "person" else task.reviewer
            if expected is not None and current != person:
                check_value(
                    expected, current, f"{name} was assigned to {current or 'nobody'} in the meantime"
                )
            if person and person == (task.reviewer if role == "person" else task.person):
                raise PromptError(
                    f"{name} is already assigned to {person}; another person must annotate it again"
                )
            return replace(task, person=person) if role == "person" else replace(task, reviewer=person)

        self._change(name, change, video)

    def set_state(
        self, name: str, state: State, annotated: bool, expected: State | None, *, video: Path
    ) -> None:
        """Set the state of a video; only another person than the annotator can set it to done."""

        def change(task: Task) -> Task:
            current = task.state_of(annotated)
            if expected is not None and current != state:
                check_value(expected, current, f"{name} is {STATES[current]} now")
            if state == "done" and task.person and actor() == task.person:
                raise PromptError(
                    f"another person than {task.person} must mark {name} as done; set it to review first"
                )
            return replace(task, state=state, by=actor())

        self._change(name, change, video)

    def _change(self, name: str, change: Callable[[Task], Task], video: Path) -> None:
        with changing(self._path):
            tasks = self.read()
            changed = replace(change(tasks.get(name, Task())), video="")
            tasks[name] = changed if changed == Task() else replace(changed, video=str(video.absolute()))
            stored = {one: _stored(task) for one, task in tasks.items() if task != Task()}
            write_complete(self._path, f"{json.dumps(stored, indent=1, ensure_ascii=False)}\n".encode())


def _stored(task: Task) -> str | dict[str, Any]:
    """Task in file form: a person alone is a name."""
    values = {name: value for name, value in asdict(task).items() if value}
    return task.person if [*values] == ["person"] else values


def _task(value: Any) -> Task:
    """Read a task; ValueError or TypeError if it is invalid."""
    task = Task(value) if isinstance(value, str) else Task(**value)
    if not all(isinstance(text, str) for text in (task.person, task.reviewer, task.by, task.video)):
        raise TypeError
    if task.state is not None and task.state not in STATES:
        raise ValueError
    return task
