"""``segue watch``: several cameras in one process, by a file that says which."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from segue.cli.running import given_in_file, job_of_given
from segue.errors import SegueError, UndeliveredError
from segue.events.messages.notify import topic_of
from segue.events.table import Event
from segue.events.zones import Zone
from segue.jobs.plan import check_needs
from segue.jobs.values import ForegroundJob
from segue.reports.terminal import interruptible
from segue.sinks.outputs import default_folder
from segue.utils.allocation import share_heap
from segue.utils.cancel import CancelToken, cancel_on_signals
from segue.utils.files import rewrite
from segue.utils.inputs import check_file
from segue.video.sources.addresses import is_address, public_address
from segue_watch.log import Log, LogFormat
from segue_watch.service import Watchdog, tell_systemd, with_secrets

if TYPE_CHECKING:  # PyTorch is imported when the file is checked
    from segue_watch.cameras import CameraSet

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

LARGEST = 1 << 20
"""Bytes of the largest file of cameras."""


def watch(
    file: Annotated[Path, typer.Argument(help="TOML file with the cameras.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for NAME.csv and the images of each camera.")
    ] = Path("segue-out/cameras"),
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            show_default=False,
            help="Port of this machine for the page of all cameras, /health and /metrics.  [default: none]",
        ),
    ] = None,
    log_format: Annotated[
        LogFormat, typer.Option("--log", help="Notices and warnings: lines for people, or JSON, one a line.")
    ] = "lines",
    check: Annotated[
        bool, typer.Option("--check", help="See whether the file means what it says, and watch nothing.")
    ] = False,
) -> None:
    """Watch several cameras for weeks in one process: events, images and messages of each.

    The file has a table for each camera, with the options of `segue foreground`; `[defaults]` are those of
    all, and `{name}` is the name of the camera. All cameras share one network. A camera that fails begins
    again, and disturbs no other one. Each event is a line of JSON on the standard output. Zones that are
    drawn on the page are saved in the file. A file that is saved, or SIGHUP, changes the cameras at once.

    Examples:

        segue watch cameras.toml

        segue watch cameras.toml --output /srv/cameras --port 8080
    """
    jobs = read_cameras(file, output)
    if check:
        for name, job in jobs.items():
            place = str(job.source.place)
            typer.echo(f"{name}: {public_address(place) if is_address(place) else place}")
        return
    import cv2  # late: the file is checked before
    import torch

    from segue_watch.cameras import Camera, CameraSet
    from segue_watch.page import CameraPage

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = max(1, cores // len(jobs))
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    share_heap()
    pool = ThreadPoolExecutor(cores // threads, thread_name_prefix="segue-network")
    lock = Lock()
    with interruptible(), Log(log_format) as log:

        def show(event: Event) -> None:
            log.event(json.dumps(asdict(event)))

        def make(name: str, job: ForegroundJob) -> Camera:
            return Camera(name, job, log.notice, show, pool)

        cameras = CameraSet([make(name, job) for name, job in jobs.items()], make)
        reload, watchdog = Reload(file, output, cameras, log, lock), Watchdog()

        def save(name: str, zones: list[str]) -> None:
            with lock:
                camera = cameras[name]
                camera.change(save_zones(file, output, name, zones, camera.job.zones, camera.check))

        def look() -> None:
            reload.look()
            watchdog.look()

        with nullcontext() if port is None else CameraPage(cameras, port, save) as page:
            if page is not None:
                log.notice("", f"cameras: {page.address}")
            with cancel_on_signals(CancelToken()) as stop, reload.on_hangup():
                tell_systemd("READY=1")
                cameras.watch(stop, look)
                tell_systemd("STOPPING=1")
        for camera in cameras:
            state = camera.state()
            log.notice(camera.name, f"{state['frames']} frames, {state['events']} events")
    if left := sum(camera.undelivered for camera in cameras):
        raise UndeliveredError(f"{left} events not delivered; the next run sends them")


class Reload:
    """Watches the file of cameras: when it is saved, or with SIGHUP, what has changed in it counts at once.

    A file that means nothing changes nothing; the log says why.
    """

    def __init__(self, path: Path, output: Path, cameras: CameraSet, log: Log, lock: Lock) -> None:
        self._path, self._output, self._cameras, self._log, self._lock = path, output, cameras, log, lock
        self._stamp = self._changed_at()
        self._asked = False

    @contextmanager
    def on_hangup(self) -> Iterator[None]:
        """Read the file again with SIGHUP, unless it is ignored, as under nohup."""
        number = getattr(signal, "SIGHUP", None)
        main = threading.current_thread() is threading.main_thread()
        if number is None or not main or signal.getsignal(number) == signal.SIG_IGN:
            yield
            return
        before = signal.signal(number, lambda *_: setattr(self, "_asked", True))
        try:
            yield
        finally:
            signal.signal(number, before)

    def look(self) -> None:
        """Read the file again if somebody has saved it or asked for it."""
        stamp = self._changed_at()
        if stamp == self._stamp and not self._asked:
            return
        self._stamp, self._asked = stamp, False
        try:
            with self._lock:
                done = self._cameras.update(read_cameras(self._path, self._output))
        except SegueError as error:
            self._log.warning("", f"{error}; the cameras go on as before")
            return
        for name, what in done.items():
            self._log.notice(name, f"{what} in {self._path}")

    def _changed_at(self) -> tuple[int, int, int]:
        try:
            about = self._path.stat()
        except OSError:  # an editor is just saving it
            return (0, 0, 0)
        return (about.st_mtime_ns, about.st_size, about.st_ino)


def read_cameras(path: Path, output: Path) -> dict[str, ForegroundJob]:
    """The jobs of a file of cameras, by their names.

    Args:
        path: TOML file.
        output: folder for tables of events and images.

    Raises:
        SegueError: it cannot be read, or a camera in it means nothing; the message names it.
    """
    check_file(path, SegueError, LARGEST)
    return _jobs_of(path.read_bytes(), path, output)


def save_zones(
    path: Path,
    output: Path,
    name: str,
    zones: Sequence[str],
    known: Sequence[str] = (),
    check: Callable[[ForegroundJob], object] = lambda _: None,
) -> ForegroundJob:
    """Change the zones of a camera in a file of cameras; all else in it stays, also what was written by hand.

    Args:
        path: TOML file, which is read again.
        output: as for :func:`read_cameras`.
        name: camera in it.
        zones: as `--zone` takes them.
        known: those that were there when somebody began to change them; zones of the file that are not among
            these stay.
        check: refuses a job by SegueError.

    Returns:
        The job of the camera, with these zones.

    Raises:
        SegueError: a zone means nothing, or an option of the camera needs one that is gone; the file stays.
    """
    import tomlkit  # late: few runs need it

    check_file(path, SegueError, LARGEST)
    data = path.read_bytes()
    jobs = _jobs_of(data, path, output)
    if name not in jobs:
        raise SegueError(f"{path}: has no camera {name} any more")
    before = {zone.name: zone for zone in map(Zone.parse, known)}
    wanted = {zone.name: text for text, zone in zip(zones, map(Zone.parse, zones), strict=True)}
    changed = {zone: text for zone, text in wanted.items() if before.get(zone) != Zone.parse(text)}

    text = data.decode()
    content: Any = tomlkit.parse(text)
    table = content["cameras"][name]
    there = table.get("zone", content.get("defaults", {}).get("zone", []))
    listed = table.get("zone")
    if not isinstance(listed, list):  # one alone, or those of all cameras
        listed = tomlkit.array()
        listed.extend([there] if isinstance(there, str) else there)
        table["zone"] = listed.multiline(len(listed) + len(changed) > 1)
    for place in reversed(range(len(listed))):
        zone = Zone.parse(_for_camera(str(listed[place]), name)).name
        if zone in changed:
            listed[place] = changed.pop(zone)
        elif zone in before and zone not in wanted:
            del listed[place]
    listed.extend(changed.values())
    new = tomlkit.dumps(content)
    if "\r\n" in text and not re.search(r"(?<!\r)\n", text):
        new = re.sub(r"(?<!\r)\n", "\r\n", new)
    job = _jobs_of(new.encode(), path, output)[name]
    check(job)
    rewrite(path, new.encode())
    return job


def _jobs_of(text: bytes, path: Path, output: Path) -> dict[str, ForegroundJob]:
    try:
        content = tomllib.loads(text.decode())
    except ValueError as error:
        raise SegueError(f"{path}: no TOML ({error})") from None
    defaults, cameras = content.pop("defaults", {}), content.pop("cameras", {})
    if content or not isinstance(defaults, dict) or not isinstance(cameras, dict) or not cameras:
        raise SegueError(f"{path}: write [defaults], and [cameras.NAME] for each camera; nothing else")
    jobs, problems = {}, list[str]()
    for name, own in cameras.items():
        if not _NAME.fullmatch(name):
            raise SegueError(f"{path}: camera {name!r}: a name has letters, digits, - and _")
        values = {"events": str(output / f"{name}.csv"), **defaults}
        values |= own if isinstance(own, dict) else {"source": None}
        if not isinstance(values.get("source"), (str, int)):
            raise SegueError(f"{path}: [cameras.{name}] needs a source")
        try:
            given = {key: _for_camera(value, name) for key, value in values.items()}
            job = job_of_given("foreground", given_in_file("foreground", given))
            check_needs([job])
        except SegueError as error:
            problems.append(f"{path}: camera {name}: {error}")
            continue
        jobs[name] = cast(ForegroundJob, job)
    if problems:
        raise SegueError("\n".join(problems))
    _check_apart(jobs, path)
    return jobs


def _check_apart(jobs: Mapping[str, ForegroundJob], path: Path) -> None:
    """Refuse two cameras that would write one file or folder, or answer for one topic of Home Assistant."""
    users: dict[object, str] = {}
    for name, job in jobs.items():
        for place in _places(name, job):
            other = users.setdefault(place.resolve(), name)
            if other != name:
                raise SegueError(
                    f"{path}: cameras {other} and {name} would both write {place}; give each a place of its "
                    "own, such as one with {name}"
                )
    told = {name: topic_of(job.notify) for name, job in jobs.items() if job.notify is not None}
    for name, topic in told.items():
        others = [other for other in told if other != name and told[other] == topic]
        if topic is not None and others and jobs[name].home_assistant:
            raise SegueError(
                f"{path}: cameras {name} and {others[0]} have one topic, and home-assistant needs one for "
                "each; give mqtt://HOST/cameras/{name}"
            )


def _places(name: str, job: ForegroundJob) -> Iterator[Path]:
    """Files and folders that a camera writes."""
    if job.events is not None:
        yield job.events
        yield job.snapshots or job.events.with_suffix("")
    if job.outputs.formats:
        yield job.outputs.folder or default_folder(name)


def _for_camera(value: Any, name: str) -> Any:
    """A value of the file with the name of its camera in all texts."""
    if isinstance(value, list):
        return [_for_camera(item, name) for item in value]
    return with_secrets(value.replace("{name}", name)) if isinstance(value, str) else value
