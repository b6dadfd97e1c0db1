"""``segue watch``: several cameras in one process, by a file that says which."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Annotated

import typer

from segue.cli.options import CERTFILE, KEYFILE, PLAIN_HTTP
from segue.errors import SegueError, UndeliveredError
from segue.events.table import Event
from segue.jobs.values import ForegroundJob
from segue.reports.terminal import interruptible
from segue.utils.access import encryption, load_certificate
from segue.utils.access import hash_password as make_hash
from segue.utils.cancel import CancelToken, cancel_on_signals
from segue.video.sources.addresses import is_address, public_address
from segue_watch.access import Access
from segue_watch.configuration import DrawnOption, check_page, read_file, save_drawn
from segue_watch.log import Log, LogFormat
from segue_watch.service import Watchdog, tell_systemd

if TYPE_CHECKING:  # PyTorch is imported when the file is checked
    from segue_watch.cameras import CameraSet


def _ask_for_password(asked: bool) -> None:
    """Print the hash of a password that a person types twice, and end."""
    if asked:
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
            help="Port of this machine for the page of all cameras, /health and /metrics.  [default: none]",
        ),
    ] = None,
    log_format: Annotated[
        LogFormat, typer.Option("--log", help="Notices and warnings: lines for people, or JSON, one a line.")
    ] = "lines",
    host: Annotated[
        str,
        typer.Option(
            help="Address of the page; 0.0.0.0 lets other machines look, with a password or token, by HTTPS."
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
            help="Ask for a password, print its hash for `[page]`, and end.",
        ),
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Check the file without watching.")] = False,
) -> None:
    """Watch several cameras for weeks in one process: events, images and messages of each.

    The file has a table for each camera, with the options of `segue foreground`; `[defaults]` holds
    options of all cameras, and `{name}` is the name of the camera. All cameras share one network. A camera
    that fails is restarted; the others go on. Each event is a line of JSON on the standard output. Zones
    drawn on the page are saved in the file. Saving the file, or SIGHUP, changes the cameras at once.

    The page is for this machine. From others (`--host`) it needs the user and password of `[page]` in the
    file, or a token: of `[page]`, of SEGUE_TOKEN, or a new one, which is printed.

    Examples:

        segue watch cameras.toml

        segue watch cameras.toml --output /srv/cameras --port 8080

        segue watch cameras.toml --port 8080 --host 0.0.0.0 --certfile cert.pem --keyfile key.pem
    """
    context = encryption(host, certfile, keyfile, plain_http=plain_http)
    jobs, given = read_file(file, output)
    access, new_token = given.beyond(host)
    if port is not None:
        check_page(port, host, jobs)
    if check:
        for name, job in jobs.items():
            place = str(job.source.place)
            typer.echo(f"{name}: {public_address(place) if is_address(place) else place}")
        return
    # Late: the file is checked before.
    from segue_watch.cameras import Camera, CameraSet, network_pool, sharing_cores
    from segue_watch.page import CameraPage

    pool = network_pool(len(jobs))
    lock = Lock()
    with interruptible(), sharing_cores(len(jobs)), Log(log_format) as log:

        def show(event: Event) -> None:
            log.event(json.dumps(asdict(event)))

        def make(name: str, job: ForegroundJob) -> Camera:
            return Camera(name, job, log.notice, show, pool)

        cameras = CameraSet([make(name, job) for name, job in jobs.items()], make)
        reload, watchdog = Reload(file, output, cameras, log, lock), Watchdog()

        def save(name: str, option: DrawnOption, texts: list[str]) -> None:
            with lock:
                camera = cameras[name]
                known = camera.drawn(option)
                camera.change(save_drawn(file, output, name, option, texts, known, camera.check))

        def look() -> None:
            reload.look()
            watchdog.look()

        served: AbstractContextManager[CameraPage | None] = nullcontext()
        if port is not None:
            served = CameraPage(cameras, port, save, host=host, access=access, encryption=context)
        with served as page:
            if page is not None:
                token = f"?token={new_token}" if new_token else ""
                log.notice("", f"cameras: {page.address}{token}")

                def again(given: Access) -> None:
                    """Take other users, and a certificate that was renewed."""
                    page.visitors.access = given.beyond(host)[0] if not new_token else access
                    if context is not None and certfile is not None:
                        load_certificate(context, certfile, keyfile)

                reload.further = again
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

    Attributes:
        further: called when the cameras have changed, with who may look at the page now.
    """

    def __init__(self, path: Path, output: Path, cameras: CameraSet, log: Log, lock: Lock) -> None:
        self._path, self._output, self._cameras, self._log, self._lock = path, output, cameras, log, lock
        self.further: Callable[[Access], object] = lambda _: None
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
                jobs, access = read_file(self._path, self._output)
                done = self._cameras.update(jobs)
            self.further(access)
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
