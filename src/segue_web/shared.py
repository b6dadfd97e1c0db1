"""A project that several pages work on: one thread uses it, and all pages hear what has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple
from typing import Any, TypeVar

from segue_web.interpolation import Corners, shown
from segue_web.project import FrameAnnotation, Project
from segue_web.server import Send
from segue_web.store import Changed

T = TypeVar("T")


class SharedProject:
    """A project, the one thread that reads and changes it, and the pages that are notified of changes."""

    def __init__(self, project: Project, send: Send) -> None:
        self.project = project
        self.send = send
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="segue-project")
        self._loop: asyncio.AbstractEventLoop | None = None

    def close(self) -> None:
        """Let what waits be saved, and close the project."""
        self._thread.shutdown(wait=True)
        self.project.close()

    async def run(self, call: Callable[[], T]) -> T:
        """Run in the one thread that uses the project."""
        self._loop = asyncio.get_running_loop()
        return await self._loop.run_in_executor(self._thread, call)

    @contextmanager
    def change(self, label: str, entry: int | None = None) -> Iterator[None]:
        """A change of the project, which is sent to all pages; in the project's thread."""
        with self.project.change(label, entry=entry) as changed:
            yield
        self.publish(changed)

    def publish(self, changed: Changed) -> None:
        """Send all pages what has changed."""
        about = {"revision": self.project.revision, "history": self.project.history()}
        event: dict[str, Any] = {"event": "changed", **about}
        if changed.objects:
            event["objects"] = self.project.objects()
        # A polygon is shown on all frames: what pages know of these is out of date.
        if len(changed.frames) == 1 and not changed.polygons:
            event["frames"] = [self.frame(index) for index in changed.frames]
        elif changed.frames:
            event["timeline"] = self.project.timeline()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.send, event)

    def frame(self, index: int) -> dict[str, Any]:
        """All that a page shows of a frame."""
        marks, polygons = self.project.marks(index), self.project.polygons()
        return {
            "frame": index,
            "revision": self.project.revision,
            "masks": self.project.masks(index),
            "prompts": self.project.prompts(index),
            "polygons": {i: self._polygon(keys, index, marks.get(i)) for i, keys in polygons.items()},
            "marks": {i: astuple(mark) for i, mark in marks.items()},
        }

    def _polygon(
        self, keys: Mapping[int, Corners], index: int, mark: FrameAnnotation | None
    ) -> dict[str, Any]:
        """The polygon of an object that a page offers to be moved."""
        corners, kind = shown(keys, index, between=mark is not None and mark.kind == "interpolated")
        return {"corners": corners.round(1).tolist(), "kind": kind}
