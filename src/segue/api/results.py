"""What ``segue.track``, ``segue.foreground`` and ``segue.instances`` give."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar

from segue.api.save import as_formats, write_results
from segue.errors import ArgumentError, SegueError
from segue.inputs import kind_of
from segue.sessions.base import Session
from segue.types import Frame, Segmentation
from segue.video import Source

S = TypeVar("S", bound=Session, covariant=True)

Progress = Callable[[int, int | None], None]
"""Called after each result with the number of results so far, and the expected one, if known."""


class Results(Iterator[Segmentation], Generic[S]):
    """The results of a source, in order, each computed when it is asked for.

    They can be gone through once, with ``for``, ``async for`` or :meth:`save`. The source is closed after the
    last one, when a ``with`` block ends, and when nobody holds the results any longer.

    Attributes:
        session: what gives them.
        source: where the frames come from.
        frames: what the session is given: the source, or what is made of it.
        names: class names by number, as files of results number them.

    Example:
        >>> with segue.track("dog.mp4", first_mask) as results:
        ...     results.save("out", formats=["png", "overlay"])
    """

    def __init__(
        self,
        session: S,
        source: Source,
        pairs: Iterator[tuple[Frame, Segmentation]],
        *,
        frames: Iterable[Frame] | None = None,
        names: Mapping[int, str] | None = None,
        progress: Progress | None = None,
    ) -> None:
        if progress is not None and not callable(progress):
            raise ArgumentError(
                f"progress: {kind_of(progress)}; give a function of the results so far and in all"
            )
        self.session = session
        self.source = source
        self.frames = source if frames is None else frames
        self.names = names or {}
        self._state = _Progress()
        self._thread: ThreadPoolExecutor | None = None
        self._pairs = _counted(pairs, source, self._state, progress)

    def __iter__(self) -> Results[S]:
        if self._state.over:
            raise SegueError(
                "these results are used up or closed; call the function again, or keep list(results)"
            )
        return self

    def __next__(self) -> Segmentation:
        return next(self._pairs)[1]

    def __aiter__(self) -> Results[S]:
        self.__iter__()
        if self._thread is None:  # one thread for all: threads of PyTorch and of decoders belong to it
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="segue")
        return self

    async def __anext__(self) -> Segmentation:
        loop = asyncio.get_running_loop()
        pair = await loop.run_in_executor(self._thread, next, self._pairs, None)
        if pair is None:
            self.close()
            raise StopAsyncIteration
        return pair[1]

    def __enter__(self) -> Results[S]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_pairs"):
            self.close()

    def close(self) -> None:
        """Close the source, where not all results were wanted."""
        self._state.over = True
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
        self._pairs.close()
        self.source.close()

    def save(
        self,
        path: str | Path,
        *,
        formats: Sequence[str] | str = ("png",),
        overwrite: bool = False,
        side_by_side: bool = False,
    ) -> dict[str, Path]:
        """Write the results that are still to come, while they are computed.

        Args:
            path: folder for all formats, or the file itself for a single one that is a file.
            formats: as for :func:`segue.save`.
            overwrite: replace what is there.
            side_by_side: put the plain frame beside the drawn one.

        Returns:
            The file or folder of each format.

        Raises:
            SinkError: the output exists or cannot be written.
            SegueError: the results have been gone through.
        """
        self.__iter__()
        return write_results(
            self._pairs,
            path,
            as_formats(formats),
            self.source,
            overwrite=overwrite,
            side_by_side=side_by_side,
            categories={name: number for number, name in self.names.items()},
        )


@dataclass
class _Progress:
    """How far the results have been gone through; apart from them, so that the loop does not hold them."""

    count: int = 0
    over: bool = False


def _counted(
    pairs: Iterator[tuple[Frame, Segmentation]], source: Source, state: _Progress, progress: Progress | None
) -> Generator[tuple[Frame, Segmentation], None, None]:
    try:
        with source:
            for pair in pairs:
                state.count += 1
                if progress is not None:
                    progress(state.count, source.frame_count)
                yield pair
    finally:
        state.over = True
