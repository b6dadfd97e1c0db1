"""Configuration file of ``segue watch``: cameras by name, with the options of ``segue foreground``."""

from __future__ import annotations

import re
import socket
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from segue.cli.running import given_in_file, job_of_values
from segue.errors import SegueError, SeveralProblemsError
from segue.events.archive import EventArchive
from segue.events.receivers.mqtt import topic_of
from segue.events.targets import NotifyTarget
from segue.jobs.plan import check_needs
from segue.jobs.values import ForegroundJob
from segue.sinks.outputs import default_folder
from segue.utils.inputs import check_file, text_of
from segue.utils.redaction import redact
from segue.video.sources.addresses import is_address
from segue_watch.service import with_secrets
from segue_web.access.table import Access

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

Options = Mapping[str, Any]
"""Options of a camera by their names."""

Camera = str | int | Path | Options
"""A camera as passed by programs: a source, or its options."""

LARGEST = 1 << 20
"""Maximum size in bytes of a file of cameras."""


def read_file(path: Path, output: Path) -> tuple[dict[str, ForegroundJob], Access]:
    """Read the jobs of a file of cameras by name, and the access rules of its table ``[page]``.

    Args:
        path: TOML file.
        output: folder for tables of events and images.

    Raises:
        SegueError: it cannot be read, or something in it means nothing; the message names the camera.
    """
    return parse_file(read_text(path), path, output)


def read_text(path: Path) -> bytes:
    """Read a file of cameras; raises SegueError."""
    check_file(path, SegueError, LARGEST)
    try:
        return path.read_bytes()
    except OSError as error:
        raise SegueError(f"{path}: cannot be read ({error.strerror})") from None


def read_cameras(path: Path, output: Path) -> dict[str, ForegroundJob]:
    """Read the jobs of a file of cameras, see :func:`read_file`."""
    return read_file(path, output)[0]


def jobs_of(cameras: Mapping[str, Camera], defaults: Options, output: Path) -> dict[str, ForegroundJob]:
    """Create the jobs of cameras by name, as :func:`read_cameras` does from a file.

    Args:
        cameras: a source each, or options with a ``source``, by the names that the file has, also with ``_``.
        defaults: options of all cameras.
        output: folder for tables of events and images.

    Raises:
        SegueError: a camera means nothing; the message names it.
    """
    options_of = {
        name: each if isinstance(each, Mapping) else {"source": each} for name, each in cameras.items()
    }
    own_options = {name: _options(each) for name, each in options_of.items()}
    if not own_options:
        raise SegueError("there is no camera to watch")
    return _jobs(own_options, _options(defaults), "cameras", output)


def _options(options: Options) -> dict[str, Any]:
    """Convert options of a program to the form of a file."""

    def plain(value: Any) -> Any:
        if isinstance(value, Path):
            return str(value)
        return [plain(each) for each in value] if isinstance(value, (list, tuple)) else value

    return {name.replace("_", "-"): plain(value) for name, value in options.items()}


def parse_file(text: bytes, path: Path, output: Path) -> tuple[dict[str, ForegroundJob], Access]:
    """Parse the content of a file of cameras, see :func:`read_file`."""
    try:
        content = tomllib.loads(text_of(text))
    except (ValueError, RecursionError) as error:
        raise SegueError(f"{path}: no TOML ({error})") from None
    access, problems = Access(), list[str]()
    try:
        access = _access_of(content, path)
    except SegueError as error:
        problems.append(str(error))
    defaults, cameras = content.pop("defaults", {}), content.pop("cameras", {})
    if content or not isinstance(defaults, dict) or not isinstance(cameras, dict) or not cameras:
        raise SegueError(
            f"{path}: write [defaults], [page], and [cameras.NAME] for each camera; nothing else"
        )
    try:
        jobs = _jobs(cameras, defaults, str(path), output)
    except SeveralProblemsError as error:
        raise SeveralProblemsError([*problems, *error.problems]) from None
    if problems:
        raise SeveralProblemsError(problems)
    return jobs, access


def _access_of(content: dict[str, Any], path: Path) -> Access:
    """Take the access rules out of the content of a file."""
    values = content.pop("page", {})
    if not isinstance(values, dict):
        raise SegueError(f"{path}: [page] is a table")
    try:
        return Access.parse({key: for_camera(value, "") for key, value in values.items()})
    except SegueError as error:
        raise SegueError(redact(f"{path}: {error}")) from None


def _jobs(
    cameras: Mapping[str, Any], defaults: Mapping[str, Any], path: str, output: Path
) -> dict[str, ForegroundJob]:
    jobs, problems = {}, list[str]()
    for name, camera_options in cameras.items():
        if not _NAME.fullmatch(name):
            problems.append(f"{path}: camera {name!r}: a name has letters, digits, - and _")
            continue
        values = {"events": str(output / f"{name}.csv"), **defaults}
        values |= camera_options if isinstance(camera_options, dict) else {"source": None}
        if not isinstance(values.get("source"), (str, int)):
            problems.append(f"{path}: [cameras.{name}] needs a source")
            continue
        try:
            jobs[name] = _job_of(values, name)
        except SegueError as error:
            mistakes = _mistakes(values, name, str(error))
            problems += [redact(f"{path}: camera {name}: {each}") for each in mistakes]
    problems += _conflicts(jobs, path)
    if problems:
        raise SeveralProblemsError(dict.fromkeys(problems))
    return jobs


def _job_of(values: Mapping[str, Any], name: str) -> ForegroundJob:
    """Create the job of a camera; raises SegueError."""
    values = {**values, **_receivers(values)}
    expanded = {key: for_camera(value, name) for key, value in values.items()}
    job = job_of_values("foreground", given_in_file("foreground", expanded))
    check_needs([job])
    return cast(ForegroundJob, job)


def _mistakes(values: Mapping[str, Any], name: str, first: str) -> Iterator[str]:
    """Find all mistakes in the options of a camera, by dropping each invalid option."""

    def problem_of(options: Mapping[str, Any]) -> str:
        try:
            _job_of(options, name)
        except SegueError as error:
            return str(error)
        return ""

    problem = first
    while problem:
        yield problem
        # One value without which all is well; else an item of a list, before a whole option.
        rest = [
            (key not in problem, is_several or bool(left), is_whole, len(left), left, shorter)
            for key, is_whole, is_several, shorter in _without_parts(values)
            if (left := problem_of(shorter)) != problem
        ]
        if not rest:
            return
        *_, problem, values = min(rest, key=lambda each: each[:4])


def _without_parts(values: Mapping[str, Any]) -> Iterator[tuple[str, bool, bool, dict[str, Any]]]:
    """Remove an item of a list, or a whole option.

    Yields:
        Name of the option, whether it goes as a whole, whether that is several items, and what remains.
    """
    for key, value in values.items():
        if key == "source":
            continue
        is_several = isinstance(value, list) and len(value) > 1
        for place in range(len(value) if is_several else 0):
            yield key, False, False, {**values, key: value[:place] + value[place + 1 :]}
        yield key, True, is_several, {other: each for other, each in values.items() if other != key}


def _receivers(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert tables of the option ``notify`` to texts."""
    if "notify" not in values:
        return {}
    listed = values["notify"] if isinstance(values["notify"], list) else [values["notify"]]
    return {"notify": [NotifyTarget.text_of(each) if isinstance(each, dict) else each for each in listed]}


def _conflicts(jobs: Mapping[str, ForegroundJob], path: str) -> Iterator[str]:
    """Find cameras with the same output, port or topic."""
    users: dict[object, str] = {}
    for name, job in jobs.items():
        owners = {place: users.setdefault(_resolved(place), name) for place in _output_paths(name, job)}
        for place, other in owners.items():
            if other != name:  # one place says it
                yield (
                    f"{path}: cameras {other} and {name} would both write {place}; give each a place of its "
                    "own, such as one with {name}"
                )
                break
    ports: dict[tuple[str, int], str] = {}
    for name, job in jobs.items():
        listens = port_of(job)
        other = name if listens is None else ports.setdefault(listens, name)
        if listens is not None and other != name:
            yield (
                f"{path}: cameras {other} and {name} would both listen at port {listens[1]} of {listens[0]}; "
                "give each a port of its own"
            )
    topics: dict[tuple[str, int, str], str] = {}
    for name, job in jobs.items():
        for topic in (topic_of(NotifyTarget.parse(text).address) for text in job.notify):
            other = name if topic is None else topics.setdefault(topic, name)
            if other != name:
                yield (
                    f"{path}: cameras {other} and {name} have one topic, whose availability is that of one "
                    "camera; give each its own: mqtt://HOST/cameras/{name}"
                )


def _resolved(place: Path) -> Path:
    """Resolve a path; links to themselves stay, and fail later."""
    try:
        return place.resolve()
    except (OSError, RuntimeError):
        return place.absolute()


def port_of(job: ForegroundJob) -> tuple[str, int] | None:
    """Protocol and port on which a camera source listens; None if it connects itself."""
    place = str(job.source.place)
    if not is_address(place):
        return None
    parts = urlsplit(place)
    waits = parts.scheme == "udp" or "listen" in parse_qs(parts.query) or "mode=listener" in parts.query
    if not waits or parts.port is None:
        return None
    return "UDP" if parts.scheme in ("udp", "srt") else "TCP", parts.port


def check_devices(jobs: Mapping[str, ForegroundJob]) -> None:
    """Raise SegueError for jobs whose device is missing; imports PyTorch."""
    from segue.inference.running import choose_device

    problems = []
    for name, job in jobs.items():
        try:
            choose_device(job.device)
        except SegueError as error:
            problems.append(f"camera {name}: {error}")
    if problems:
        raise SeveralProblemsError(problems)


def check_page(port: int, host: str, jobs: Mapping[str, ForegroundJob]) -> None:
    """Raise an error if the port of the page is in use by a camera or program.

    Args:
        port: port of the page; 0 selects a free one.
        host: address on which the page listens.
        jobs: the cameras.

    Raises:
        SegueError: the port is taken.
    """
    check_port(port, jobs)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise SegueError(f"--port {port}: {error.strerror or error}; give another port") from None


def check_port(port: int, jobs: Mapping[str, ForegroundJob]) -> None:
    """Raise SegueError if a camera listens on the port of the page."""
    for name, job in jobs.items():
        if port and port_of(job) == ("TCP", port):
            raise SegueError(f"--port {port}: camera {name} listens there; give another port")


def _output_paths(name: str, job: ForegroundJob) -> Iterator[Path]:
    """Files and folders that a camera writes."""
    if job.events is not None:
        yield job.events
        yield job.snapshots or job.events.with_suffix("")
        yield EventArchive(job.events, None).store
    yield from filter(None, (job.explain, job.background))
    if job.outputs.formats:
        yield job.outputs.folder or default_folder(name)


def for_camera(value: Any, name: str) -> Any:
    """Insert the camera's name and secrets into all texts of a value."""
    if isinstance(value, dict):
        return {key: for_camera(item, name) for key, item in value.items()}
    if isinstance(value, list):
        return [for_camera(item, name) for item in value]
    return with_secrets(value.replace("{name}", name)) if isinstance(value, str) else value
