"""A person at the page of ``segue annotate``, played by its requests."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from segue.types import IndexMask, Point
from segue_web.annotate import AnnotateBackend
from segue_web.project.annotations import Correction, FrameAnnotation
from segue_web.server import messages
from segue_web.video import Video


class PageEditor:
    """Gives first masks, clicks and tracks as the page does, with the same requests in the same order.

    Args:
        images: the video, a folder of images.
        network: that tracks.
        first: the masks of frame 0, as somebody painted them.
    """

    def __init__(self, images: Path, network: str, first: IndexMask) -> None:
        self._folder = TemporaryDirectory()
        self._loop = asyncio.new_event_loop()
        self._ended = threading.Event()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        video = Video(images)
        self._count = video.count
        self._backend = AnnotateBackend(
            video, Path(self._folder.name, "project"), model=network, device="cpu"
        )
        self._backend.send = self._hear
        self._wait(self._on_page(self._backend.open))
        self._wait(self._backend.run(lambda: self._paint(first)))
        self.track(0)

    def close(self) -> None:
        """End the process that computes, and forget the project."""
        self._wait(self._on_page(self._backend.close))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._folder.cleanup()

    def masks(self) -> dict[int, IndexMask]:
        """The index masks of all frames, (H, W)."""
        project = self._backend.project
        return self._wait(self._backend.run(lambda: {i: project.mask(i) for i in range(self._count)}))

    def click(self, frame: int, number: int, place: Point, inside: bool) -> None:
        """Click once on an object, or beside it."""
        [shown] = self._ask("look", frames=[frame])["frames"]
        points = shown["prompts"].get(str(number), shown["prompts"].get(number, {})).get("points", [])
        self._ask(
            "click", frame=frame, object=number, points=[*points, [*place, inside]], seen=shown["revision"]
        )

    def track(self, frame: int) -> int:
        """Track all objects from a frame in both directions; the number of frames."""
        total = 0
        for direction, count in (("forward", self._count - 1 - frame), ("back", frame)):
            if count:
                self._ended.clear()
                self._ask("track", direction=direction, frame=frame)
                self._ended.wait()
                total += count
        return total

    def _paint(self, first: IndexMask) -> None:
        project = self._backend.project
        with project.change("painted masks"):
            for value in np.unique(first)[1:].tolist():
                plane, number = first == value, project.add_object()
                assert number == value, "objects are numbered from 1 on"
                project.put(0, {number: (plane, FrameAnnotation("given"))})
                project.correct(0, number, Correction(mends=True))

    def _hear(self, event: Mapping[str, Any]) -> None:
        if event.get("event") == "ended" and event.get("job") == "tracking":
            self._ended.set()

    def _ask(self, op: str, **fields: Any) -> dict[str, Any]:
        request = messages.parse(json.dumps({"id": 1, "op": op, **fields}))
        answer: dict[str, Any] = self._wait(self._backend.handle(request))
        return answer

    async def _on_page(self, call: Any) -> None:
        call()

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
