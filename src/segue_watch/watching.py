"""Watch cameras in a program, and iterate over their events."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextvars import copy_context
from pathlib import Path
from queue import Empty, Full, Queue
from types import TracebackType
from typing import Any, Self

import torch

from segue.errors import ArgumentError
from segue.events.table import Event
from segue.utils.cancel import CancelToken
from segue_watch.camera import Camera
from segue_watch.cameras import LOOK_SECONDS, CameraSet
from segue_watch.configuration import Camera as GivenCamera
from segue_watch.configuration import jobs_of, read_cameras
from segue_watch.threads import network_pool, sharing_cores
from segue_watch.web.metrics import states_of

WAITING = 1000
"""Maximum number of events waiting for the program; then cameras wait."""


class Watch:
    """Watches cameras, and yields their events as they happen.

    It does what ``segue watch`` does: all cameras share one network, one that fails begins again and disturbs
    no other, and tables of events and their images are written. Iterating waits for the next event. It ends
    when all cameras have ended, as files and cameras with limits do, or after :meth:`close`.

    Args:
        cameras: TOML file as for ``segue watch``; or by name a source each (address, number of a camera, file
            that is played as a camera), or options of ``segue foreground`` with a ``source``.
        defaults: options of all cameras, for cameras that are no file.
        output: folder for NAME.csv and the images of each camera.

    Raises:
        SegueError: the file or a camera means nothing; the message names the camera.
        ArgumentError: there are defaults beside a file.
    """

    def __init__(
        self,
        cameras: Path | str | Mapping[str, GivenCamera],
        defaults: Mapping[str, Any] | None = None,
        output: Path | str = Path("segue-out/cameras"),
    ) -> None:
        folder = Path(output)
        if isinstance(cameras, Mapping):
            jobs = jobs_of(cameras, defaults or {}, folder)
        elif defaults:
            raise ArgumentError("defaults of cameras in a file stand in the file")
        else:
            jobs = read_cameras(Path(cameras), folder)
        self._events: Queue[Event] = Queue(WAITING)
        self._stop, self._error = CancelToken(), list[BaseException]()
        pool = network_pool(len(jobs))
        torch.get_num_threads()  # this thread has its own number from its first question on
        self._cameras = CameraSet(
            Camera(name, job, lambda *_: None, self._take, pool) for name, job in jobs.items()
        )
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._watch, pool), name="segue-watch", daemon=True
        )
        self._thread.start()

    def __iter__(self) -> Iterator[Event]:
        while True:
            ended = not self._thread.is_alive()
            try:
                yield self._events.get(timeout=0 if ended else LOOK_SECONDS)
            except Empty:
                if ended:
                    break
        if self._error:
            raise self._error.pop()

    def states(self) -> dict[str, dict[str, Any]]:
        """Get the states of the cameras.

        Returns:
            By name of the camera: ``status``, ``fps``, ``events`` and others, as in ``/health``.
        """
        return states_of(self._cameras)

    def image(self, name: str) -> bytes:
        """Get the newest frame of a camera with its objects drawn.

        Args:
            name: name of the camera.

        Returns:
            JPEG; empty before the first frame.

        Raises:
            KeyError: there is no camera of that name.
        """
        return self._cameras[name].image()

    def close(self) -> None:
        """Stop all cameras, from any thread, and wait until their files are complete.

        Objects that are there have an ``end``, which the loop still gives.
        """
        self._stop.cancel()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _watch(self, pool: Any) -> None:
        try:
            with sharing_cores(len([*self._cameras])):
                self._cameras.watch(self._stop)
        except BaseException as error:  # the loop raises it
            self._error.append(error)
        finally:
            pool.shutdown(wait=False)

    def _take(self, event: Event) -> None:
        while True:
            try:
                self._events.put(event, timeout=LOOK_SECONDS)
            except Full:
                if self._stop.cancelled:  # nobody reads any more; it stands in the table
                    return
            else:
                return
