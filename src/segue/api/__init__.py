"""What ``import segue`` offers, one function a file; the commands of the same names call them."""

from collections.abc import Iterable, Iterator

from segue.sessions.base import Session, results
from segue.types import Frame, Segmentation
from segue.video import Source


def results_of(
    session: Session, source: Source, frames: Iterable[Frame] | None = None
) -> Iterator[Segmentation]:
    """The results of a source, or of frames that are made of it; it is closed after the last one."""
    with source:
        yield from results(session, source if frames is None else frames)
