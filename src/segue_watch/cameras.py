"""Watch several cameras in one process, each in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path

from segue.errors import SegueError, SeveralProblemsError
from segue.events.store.retention import noted_limits
from segue.events.store.store import EventStore
from segue.events.store.upkeep import UPKEEP
from segue.jobs.values import ForegroundJob
from segue.utils.cancel import CancelToken
from segue_watch.camera import Camera
from segue_watch.threads import NetworkPool

LOOK_SECONDS = 0.2
"""Seconds between two checks of the thread that waits for cameras."""

STOP_SECONDS = 4.0
"""Seconds that cameras have to end when all are stopped; the rest is left as after a kill."""

END_SECONDS = 10.0
"""Seconds that removed cameras have to end."""


class CameraSet:
    """Cameras that are watched, each in a thread; cameras can be added and removed.

    Iterating gives the cameras of the moment.

    Args:
        cameras: initial cameras.
        make: makes a further one.
        pool: threads that they share, whose number follows theirs.
    """

    def __init__(
        self,
        cameras: Iterable[Camera],
        make: Callable[[str, ForegroundJob], Camera] | None = None,
        pool: Executor | None = None,
    ) -> None:
        self._pool = pool
        self._cameras = {camera.name: camera for camera in cameras}
        self._make = make
        self._threads: dict[str, tuple[threading.Thread, CancelToken]] = {}
        self._stop, self._page = CancelToken(), ""
        self._on_frame: Callable[[], None] = lambda: None

    def __iter__(self) -> Iterator[Camera]:
        return iter([*self._cameras.values()])

    def __getitem__(self, name: str) -> Camera:
        """Camera of a name; SegueError if it was removed."""
        camera = self._cameras.get(name)
        if camera is None:
            raise SegueError(f"there is no camera {name} any more")
        return camera

    def watch(self, stop: CancelToken, between: Callable[[], object] = lambda: None) -> None:
        """Watch all cameras until they end; call ``between`` regularly in the caller's thread.

        On a stop, cameras that have not ended after :data:`STOP_SECONDS` are abandoned.
        """
        self._stop = stop
        for camera in self:
            self._begin(camera)
        while alive := [thread for thread, _ in self._threads.values() if thread.is_alive()]:
            alive[0].join(LOOK_SECONDS)
            if not stop.cancelled:
                between()
            elif time.monotonic() > (stop.cancel_time or 0.0) + STOP_SECONDS:
                break

    @property
    def page(self) -> str:
        """Address of the page, for links in messages; empty for none."""
        return self._page

    @page.setter
    def page(self, address: str) -> None:
        self._page = address
        for camera in self:
            camera.page = address

    @property
    def on_frame(self) -> Callable[[], None]:
        """Called after each frame of a camera."""
        return self._on_frame

    @on_frame.setter
    def on_frame(self, call: Callable[[], None]) -> None:
        self._on_frame = call
        for camera in self:
            camera.on_frame = call

    @property
    def unfinished(self) -> list[str]:
        """Names of the cameras that are still running."""
        return [name for name, (thread, _) in self._threads.items() if thread.is_alive()]

    def check(self, jobs: Mapping[str, ForegroundJob]) -> None:
        """Raise SegueError for jobs that do not fit the images of watched cameras."""
        problems = []
        for name, job in jobs.items():
            try:
                if name in self._cameras:
                    self._cameras[name].check(job)
            except SegueError as error:
                problems.append(f"camera {name}: {error}")
        if problems:
            raise SeveralProblemsError(problems)

    def update(self, jobs: Mapping[str, ForegroundJob]) -> dict[str, str]:
        """Add, change and remove cameras; those with the same job continue.

        Returns:
            Change of each camera that does not simply continue: ``new``, ``changed`` or ``removed``.
        """
        removed = [name for name in self._cameras if name not in jobs]
        done = dict.fromkeys(removed, "removed")
        for name in removed:
            del self._cameras[name]
        self._end(removed)
        for name, job in jobs.items():
            camera = self._cameras.get(name)
            if camera is None and self._make is not None:
                new = self._cameras[name] = self._make(name, job)
                new.page, new.on_frame = self.page, self.on_frame
                self._begin(new)
                done[name] = "new"
            elif camera is not None and camera.job != job:
                camera.change(job)
                _care_for(camera)
                if not self._threads[name][0].is_alive():  # its source had an end
                    self._begin(camera)
                done[name] = "changed"
        if isinstance(self._pool, NetworkPool):
            self._pool.resize(len(self._cameras))
        return done

    def _begin(self, camera: Camera) -> None:
        _care_for(camera)
        token = CancelToken()
        self._stop.on_cancel(token.cancel)
        thread = threading.Thread(
            target=copy_context().run, args=(camera.watch, token), name=camera.name, daemon=True
        )
        self._threads[camera.name] = thread, token
        thread.start()

    def _end(self, names: Sequence[str]) -> None:
        """Stop some cameras, and wait a while for their threads."""
        ending = [self._threads.pop(name) for name in names]
        for _, token in ending:
            self._stop.forget(token.cancel)
            token.cancel()
        end = time.monotonic() + END_SECONDS
        for thread, _ in ending:
            thread.join(max(0.0, end - time.monotonic()))


def _care_for(camera: Camera) -> None:
    """Begin the upkeep of a camera's images; its run reports problems of the store."""
    with suppress(SegueError, OSError):
        camera.care()


def care_for_removed(output: Path, names: Container[str]) -> None:
    """Begin the upkeep of cameras that were removed from the file, with their last limits.

    Args:
        output: folder of the cameras.
        names: cameras in the file.
    """
    for path in sorted(output.glob("*.db")):
        if path.stem in names or UPKEEP.knows(path):
            continue
        with suppress(SegueError, OSError):
            store = EventStore.open(path)
            try:
                archive, keep = noted_limits(store, path)
                if keep is not None:
                    UPKEEP.care(store, archive, keep)
            finally:
                store.close()


def watch_cameras(cameras: Sequence[Camera], stop: CancelToken) -> None:
    """Watch cameras, each in a thread, until all have ended; the caller's thread handles signals."""
    CameraSet(cameras).watch(stop)
