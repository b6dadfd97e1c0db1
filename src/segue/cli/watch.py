"""``segue watch``: several cameras in one process, by a file that says which."""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, cast

import typer

from segue.allocation import share_heap
from segue.cancel import CancelToken, cancel_on_signals
from segue.cli.running import parse_job
from segue.errors import SegueError, UndeliveredError
from segue.inputs import check_file, printable
from segue.jobs.plan import check_needs
from segue.jobs.values import ForegroundJob
from segue.notices import LineWriter, is_quiet
from segue.reports.terminal import interruptible
from segue.video.event_table import Event
from segue.video.partial import write_complete

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
) -> None:
    """Watch several cameras for weeks in one process: events, images and messages of each.

    The file has a table for each camera, with the options of `segue foreground`; `[defaults]` are those of
    all, and `{name}` is the name of the camera. All cameras share one network. A camera that fails begins
    again, and disturbs no other one. Each event is a line of JSON on the standard output. Zones that are
    drawn on the page are saved in the file.

    Examples:

        segue watch cameras.toml

        segue watch cameras.toml --output /srv/cameras --port 8080
    """
    jobs = read_cameras(file, output)
    import cv2  # late: the file is checked before
    import torch

    from segue.jobs.camera_page import CameraPage
    from segue.jobs.cameras import Camera, watch_cameras

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = max(1, cores // len(jobs))
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    share_heap()
    pool = ThreadPoolExecutor(cores // threads, thread_name_prefix="segue-network")
    lock = Lock()
    with interruptible(), _lines() as (events, notices):

        def tell(name: str, text: str) -> None:
            notices(f"{datetime.now():%H:%M:%S} {name}: {text}")

        def show(event: Event) -> None:
            events(json.dumps(asdict(event)))

        cameras = [Camera(name, job, tell, show, pool) for name, job in jobs.items()]
        by_name = {camera.name: camera for camera in cameras}

        def save(name: str, zones: list[str]) -> None:
            with lock:
                by_name[name].change(save_zones(file, output, name, zones))

        with nullcontext() if port is None else CameraPage(cameras, port, save) as page:
            if page is not None:
                notices(f"cameras: {page.address}")
            with cancel_on_signals(CancelToken()) as stop:
                watch_cameras(cameras, stop)
        for camera in cameras:
            state = camera.state()
            notices(f"{camera.name}: {state['frames']} frames, {state['events']} events")
    if left := sum(camera.undelivered for camera in cameras):
        raise UndeliveredError(f"{left} events not delivered; the next run sends them")


@contextmanager
def _lines() -> Iterator[tuple[Callable[[str], None], Callable[[str], None]]]:
    """What writes events to the standard output, and notices and warnings to the standard error.

    No camera waits for who reads them.

    Yields:
        Both, each takes a line.
    """
    quiet, before = is_quiet(), warnings.showwarning
    errors = LineWriter(sys.stderr)
    lost = "their tables have them, the standard output does not"
    events = LineWriter(
        sys.stdout, lambda reason: errors.write(f"warning: events are lost here ({reason}); {lost}")
    )

    def notice(text: str) -> None:
        if not quiet:
            errors.write(printable(text))

    warnings.showwarning = lambda message, *_: errors.write(f"warning: {printable(str(message))}")
    try:
        yield events.write, notice
    finally:
        warnings.showwarning = before
        events.close()
        if events.lost:
            notice(f"{events.lost} events: {lost}")
        errors.close()


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


def save_zones(path: Path, output: Path, name: str, zones: Sequence[str]) -> ForegroundJob:
    """Write the zones of a camera into a file of cameras; all else in it stays, comments too.

    Args:
        path: TOML file.
        output: as for :func:`read_cameras`.
        name: camera in it.
        zones: as `--zone` takes them; none removes those of the camera.

    Returns:
        The job of the camera, with these zones.

    Raises:
        SegueError: a zone means nothing, or an option of the camera needs one that is gone; the file stays.
    """
    import tomlkit  # late: few runs need it

    check_file(path, SegueError, LARGEST)
    jobs = _jobs_of(path.read_bytes(), path, output)
    if name not in jobs:
        raise SegueError(f"{path}: has no camera {name} any more")
    content = tomlkit.parse(path.read_text("utf-8"))
    table = cast(Any, content)["cameras"][name]
    listed = tomlkit.array()
    listed.extend(zones)
    table["zone"] = listed.multiline(len(zones) > 1)
    written = tomlkit.dumps(content).encode()
    job = _jobs_of(written, path, output)[name]
    write_complete(path, written)
    return job


def _jobs_of(text: bytes, path: Path, output: Path) -> dict[str, ForegroundJob]:
    try:
        content = tomllib.loads(text.decode())
    except ValueError as error:
        raise SegueError(f"{path}: no TOML ({error})") from None
    defaults, cameras = content.pop("defaults", {}), content.pop("cameras", {})
    if content or not isinstance(defaults, dict) or not isinstance(cameras, dict) or not cameras:
        raise SegueError(f"{path}: write [defaults], and [cameras.NAME] for each camera; nothing else")
    jobs = {}
    for name, values in cameras.items():
        if not _NAME.fullmatch(name):
            raise SegueError(f"{path}: camera {name!r}: a name has letters, digits, - and _")
        if not isinstance(values, dict) or not isinstance(values.get("source"), (str, int)):
            raise SegueError(f"{path}: [cameras.{name}] needs a source")
        given = {"events": str(output / f"{name}.csv"), **defaults, **values}
        try:
            job = parse_job("foreground", [*_words(name, given)])
            check_needs([job])
        except SegueError as error:
            raise SegueError(f"{path}: camera {name}: {error}") from None
        jobs[name] = cast(ForegroundJob, job)
    return jobs


def _words(name: str, values: Mapping[str, Any]) -> Iterator[str]:
    """A table of options as the words of a command line."""
    for key, value in values.items():
        flag = f"--{key.replace('_', '-')}"
        if key == "source":
            yield str(value)
        elif isinstance(value, bool):
            yield flag if value else f"--no-{flag[2:]}"
        else:
            for item in value if isinstance(value, list) else [value]:
                yield f"{flag}={item}".replace("{name}", name)
