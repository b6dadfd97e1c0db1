"""What ``import segue`` offers, one function a file; the commands of the same names call them."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from segue.sessions.base import Session, results
from segue.types import Frame, Segmentation
from segue.video import Source

S = TypeVar("S", bound=Session, covariant=True)


class Results(Iterator[Segmentation], Generic[S]):
    """The results of a source as they are asked for; it is closed after the last one.

    Attributes:
        session: what gives them.
        frames: what it is given: the source, or what is made of it.
        names: class names by number, as files of results number them.
    """

    def __init__(
        self,
        session: S,
        source: Source,
        frames: Iterable[Frame] | None = None,
        names: Mapping[int, str] | None = None,
    ) -> None:
        self.session = session
        self.frames = source if frames is None else frames
        self.names = names or {}
        self._steps = _steps(session, source, self.frames)

    def __next__(self) -> Segmentation:
        return next(self._steps)

    def close(self) -> None:
        """Close the source, where not all results were wanted."""
        self._steps.close()


def _steps(session: Session, source: Source, frames: Iterable[Frame]) -> Generator[Segmentation, None, None]:
    with source:
        yield from results(session, frames)
