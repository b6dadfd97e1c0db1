"""Videos that are read more than once: a first pass learns from the whole video."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar

from segue.state import SessionState
from segue.types import Frame


class Passes(Iterable[Frame]):
    """The frames of a video for the last pass; the one before is made when they are asked for."""

    title: ClassVar[str] = "first pass"  # name of the pass before, for the progress
    total: int | None = None  # expected number of its frames; None takes the video's

    @property
    def summary(self) -> str:
        """What the pass before has found that a user may want to know; empty where there is nothing."""
        return ""

    def __iter__(self) -> Iterator[Frame]:
        for _ in self.learning():
            pass
        return self.second()

    @abstractmethod
    def learning(self) -> Iterator[int]:
        """Make the first pass, or the rest of one that was restored."""

    @abstractmethod
    def second(self) -> Iterator[Frame]:
        """The frames of the second pass, after the first one."""

    @abstractmethod
    def state(self, *, copy: bool = True) -> SessionState:
        """State of the first pass; see :meth:`segue.sessions.Session.state`."""

    @abstractmethod
    def restore(self, state: SessionState) -> None:
        """Go on from where :meth:`state` was called."""
