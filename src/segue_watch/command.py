"""``segue watch``: watch the cameras of a file in one process."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

import typer

from segue.cli.options import CERTFILE, KEYFILE, PLAIN_HTTP
from segue.errors import UndeliveredError
from segue.events.table import Event
from segue.jobs.values import ForegroundJob
from segue.reports.terminal import interruptible
from segue.utils.allocation import permanent_imports
from segue.utils.cancel import CancelToken, cancel_on_signals
from segue.utils.inputs import printable
from segue.video.sources.addresses import is_address, public_address
from segue_watch.configuration import check_devices, check_page
from segue_watch.drawn import Change, save_change
from segue_watch.log import Log, LogFormat
from segue_watch.reload import CameraFile, PageReload, Reload
from segue_watch.service import Watchdog, tell_systemd
from segue_web.access.encryption import encryption
from segue_web.access.passwords import hash_password as make_hash


def _ask_for_password(requested: bool) -> None:
    """Ask for a password twice, print its hash, and exit."""
    if requested:
        typer.echo(make_hash(typer.prompt("Password", hide_input=True, confirmation_prompt=True)))
        raise typer.Exit


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
            help="Port for the page of all cameras, /health and /metrics.  [default: no page]",
        ),
    ] = None,
    log_format: Annotated[
        LogFormat,
        typer.Option(
            "--log", help="Format of notices and warnings: text lines, or JSON, one object per line."
        ),
    ] = "lines",
    host: Annotated[
        str,
        typer.Option(
            help="Address of the page; 0.0.0.0 allows other machines, with a password or token, by HTTPS."
        ),
    ] = "127.0.0.1",
    certfile: CERTFILE = None,
    keyfile: KEYFILE = None,
    plain_http: PLAIN_HTTP = False,
    hash_password: Annotated[
        bool,
        typer.Option(
            "--hash-password",
            callback=_ask_for_password,
            is_eager=True,
            help="Ask for a password, print its hash for `[page]`, and exit.",
        ),
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Check the file without watching.")] = False,
) -> None:
    """Watch several cameras for weeks in one process, with events, images and messages.

    The file has a table for each camera, with the options of `segue foreground`. `[defaults]` has the options
    of all cameras, and `{name}` is the name of the camera. All cameras share one network. A failed camera is
    restarted; the other cameras continue. Each event is a line of JSON on the standard output. Zones drawn on
    the page are saved in the file. Saving the file, or SIGHUP, changes the cameras immediately.

    Only this machine can open the page. Other machines (`--host`) need a user and password of `[page.users]`
    in the file, or a token: of `[page]`, of SEGUE_TOKEN, or a new token, which is printed.

    Examples:

        segue watch cameras.toml

        segue watch cameras.toml --output /srv/cameras --port 8080

        segue watch cameras.toml --port 8080 --host 0.0.0.0 --certfile cert.pem --keyfile key.pem
    """
    context = encryption(host, certfile, keyfile, plain_http=plain_http)
    saved = CameraFile(file, output)
    jobs, access_table = saved.read()
    access, new_token = access_table.for_host(host)
    if port is not None:
        check_page(port, host, jobs)
    if check:
        check_devices(jobs)
        for name, job in jobs.items():
            place = str(job.source.place)
            typer.echo(printable(f"{name}: {public_address(place) if is_address(place) else place}"))
        return
    with permanent_imports():  # late: the file is checked before
        from segue_watch.camera import Camera
        from segue_watch.cameras import CameraSet, care_for_removed
        from segue_watch.threads import network_pool, sharing_cores

    if port is not None:
        from segue_watch.web.page import CameraPage  # needs an extra

    pool = network_pool(len(jobs))
    lock = Lock()
    with interruptible(), sharing_cores(len(jobs)), Log(log_format) as log:

        def show(event: Event) -> None:
            log.event(json.dumps(asdict(event)))

        def make(name: str, job: ForegroundJob) -> Camera:
            return Camera(name, job, log.notice, show, pool)

        cameras = CameraSet([make(name, job) for name, job in jobs.items()], make, pool)
        cameras.page = access.address
        reload, watchdog = Reload(saved, cameras, log, lock), Watchdog()

        def save(name: str, change: Change) -> None:
            with lock:
                camera = cameras[name]
                camera.change(save_change(file, output, name, change, camera.check))

        def poll() -> None:
            reload.poll()
            watchdog.poll()

        served: AbstractContextManager[Any] = nullcontext()
        if port is not None:
            served = CameraPage(cameras, port, save, host=host, access=access, encryption=context)
        with served as page:
            if page is not None:
                cameras.on_frame = page.changed
                files = None if context is None or certfile is None else (context, certfile, keyfile)
                following = PageReload(page, host, port or 0, new_token, files)
                reload.prepare = following.prepare
                log.notice("", following.announcement(new_token))
            with cancel_on_signals(CancelToken()) as stop, reload.on_hangup():
                tell_systemd("READY=1")
                care_for_removed(output, jobs)
                cameras.watch(stop, poll)
                tell_systemd("STOPPING=1")
        for name in cameras.unfinished:
            log.warning(name, "has not ended in time; the next run tells of objects that are still there")
        for camera in cameras:
            state = camera.state()
            log.notice(camera.name, f"{state['frames']} frames, {state['events']} events")
    left, lost = (sum(getattr(each, name) for each in cameras) for name in ("undelivered", "num_unsaved"))
    if left:
        reasons = f"; {lost} of them had no room on the disk, and are lost" if lost else ""
        raise UndeliveredError(f"{left} events not delivered; the next run sends them{reasons}")
