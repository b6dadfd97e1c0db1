"""Who has which video of a list, and how far it is: open, in work, to review, or done."""

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
"""File of a projects folder: for each video of which something is said the person, or all that is said."""

State = Literal["open", "work", "review", "done"]
STATES: Mapping[State, str] = {"open": "open", "work": "in work", "review": "to review", "done": "done"}
"""States of a video, and what they are called."""

Role = Literal["person", "reviewer"]


@dataclass(frozen=True, slots=True)
class Task:
    """What people say of a video."""

    person: str = ""  # who annotates it
    reviewer: str = ""  # another person, who has a second look
    state: State | None = None  # None: as far as its masks say
    by: str = ""  # who said so
    video: str = ""  # path of the video, whose name may be that of another one later

    def state_of(self, annotated: bool) -> State:
        """The state of a video, of which frames are annotated or not."""
        return self.state or ("work" if annotated else "open")


class Tasks:
    """The tasks of a projects folder; other processes may change them, too."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ASSIGNED

    def read(self) -> dict[str, Task]:
        """The tasks of the videos of which something is said, by their names."""
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
        """Give a video to a person; an empty name takes that back.

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
        """Say how far a video is; that it is done is said by another person than the one who has it."""

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
    """A task as the file has it: a person alone is a name."""
    values = {name: value for name, value in asdict(task).items() if value}
    return task.person if [*values] == ["person"] else values


def _task(value: Any) -> Task:
    """A task of the file; ValueError or TypeError if it is none."""
    task = Task(value) if isinstance(value, str) else Task(**value)
    if not all(isinstance(text, str) for text in (task.person, task.reviewer, task.by, task.video)):
        raise TypeError
    if task.state is not None and task.state not in STATES:
        raise ValueError
    return task
