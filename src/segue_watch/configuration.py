"""The file of ``segue watch``: cameras by their names, each with the options of ``segue foreground``."""

from __future__ import annotations

import re
import socket
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import parse_qs, urlsplit

from segue.cli.running import given_in_file, job_of_given
from segue.errors import SegueError
from segue.events.messages.notify import topic_of
from segue.events.zones import Zone
from segue.jobs.plan import check_needs
from segue.jobs.values import ForegroundJob
from segue.sinks.outputs import default_folder
from segue.utils.files import rewrite
from segue.utils.inputs import check_file
from segue.video.sources.addresses import is_address
from segue_watch.access import Access
from segue_watch.service import with_secrets

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

Options = Mapping[str, Any]
"""Options of a camera by their names."""

Camera = str | int | Path | Options
"""A camera as programs give it: a source, or its options."""

LARGEST = 1 << 20
"""Bytes of the largest file of cameras."""


def read_file(path: Path, output: Path) -> tuple[dict[str, ForegroundJob], Access]:
    """The jobs of a file of cameras, by their names, and who may look at the page, by its table ``[page]``.

    Args:
        path: TOML file.
        output: folder for tables of events and images.

    Raises:
        SegueError: it cannot be read, or something in it means nothing; the message names the camera.
    """
    check_file(path, SegueError, LARGEST)
    return _read(path.read_bytes(), path, output)


def read_cameras(path: Path, output: Path) -> dict[str, ForegroundJob]:
    """The jobs of a file of cameras, as :func:`read_file` gives them."""
    return read_file(path, output)[0]


DrawnOption = Literal["zone", "ignore", "min-height"]
"""Options that people draw in an image."""


def save_drawn(
    path: Path,
    output: Path,
    name: str,
    option: DrawnOption,
    texts: Sequence[str],
    known: Sequence[str] = (),
    check: Callable[[ForegroundJob], object] = lambda _: None,
) -> ForegroundJob:
    """Change what is drawn for a camera in a file of cameras; all else stays, also what was written by hand.

    Args:
        path: TOML file, which is read again.
        output: as for :func:`read_cameras`.
        name: camera in it.
        option: what is changed.
        texts: as `--zone`, `--ignore` and `--min-height` take them.
        known: zones or regions that were there when somebody began to change them; those of the file that are
            not among these stay. Least heights replace all that were there.
        check: refuses a job by SegueError.

    Returns:
        The job of the camera, with these.

    Raises:
        SegueError: a text means nothing, or an option of the camera needs one that is gone; the file stays.
    """
    import tomlkit  # late: few runs need it

    check_file(path, SegueError, LARGEST)
    data = path.read_bytes()
    jobs, _ = _read(data, path, output)
    if name not in jobs:
        raise SegueError(f"{path}: has no camera {name} any more")
    text = data.decode()
    content: Any = tomlkit.parse(text)
    table = content["cameras"][name]
    there = table.get(option, content.get("defaults", {}).get(option, []))
    listed = table.get(option)
    if option == "min-height" or not isinstance(listed, list):  # one alone, or those of all cameras
        listed = tomlkit.array()
        if option != "min-height":
            listed.extend([there] if isinstance(there, str) else there)
        table[option] = listed.multiline(len(listed) + len(texts) > 1 and option != "min-height")
    if option == "min-height":
        listed.extend(texts)
    else:
        _change_regions(listed, texts, known, name)
    new = tomlkit.dumps(content)
    if "\r\n" in text and not re.search(r"(?<!\r)\n", text):
        new = re.sub(r"(?<!\r)\n", "\r\n", new)
    job = _read(new.encode(), path, output)[0][name]
    check(job)
    rewrite(path, new.encode())
    return job


def _change_regions(listed: Any, texts: Sequence[str], known: Sequence[str], name: str) -> None:
    """Change a list of zones in place; those that are neither known nor changed stay as they are written."""
    before = {zone.name: zone for zone in map(Zone.parse, known)}
    wanted = {zone.name: text for text, zone in zip(texts, map(Zone.parse, texts), strict=True)}
    changed = {zone: text for zone, text in wanted.items() if before.get(zone) != Zone.parse(text)}
    for place in reversed(range(len(listed))):
        zone = Zone.parse(_for_camera(str(listed[place]), name)).name
        if zone in changed:
            listed[place] = changed.pop(zone)
        elif zone in before and zone not in wanted:
            del listed[place]
    listed.extend(changed.values())


def jobs_of(cameras: Mapping[str, Camera], defaults: Options, output: Path) -> dict[str, ForegroundJob]:
    """The jobs of cameras by their names, as :func:`read_cameras` has those of a file.

    Args:
        cameras: a source each, or options with a ``source``, by the names that the file has, also with ``_``.
        defaults: options of all cameras.
        output: folder for tables of events and images.

    Raises:
        SegueError: a camera means nothing; the message names it.
    """
    given = {name: each if isinstance(each, Mapping) else {"source": each} for name, each in cameras.items()}
    own = {name: _options(each) for name, each in given.items()}
    if not own:
        raise SegueError("there is no camera to watch")
    return _jobs(own, _options(defaults), "cameras", output)


def _options(given: Options) -> dict[str, Any]:
    """Options of a program as a file has them."""

    def plain(value: Any) -> Any:
        if isinstance(value, Path):
            return str(value)
        return [plain(each) for each in value] if isinstance(value, (list, tuple)) else value

    return {name.replace("_", "-"): plain(value) for name, value in given.items()}


def _read(text: bytes, path: Path, output: Path) -> tuple[dict[str, ForegroundJob], Access]:
    try:
        content = tomllib.loads(text.decode())
    except ValueError as error:
        raise SegueError(f"{path}: no TOML ({error})") from None
    access = _access_of(content, path)
    defaults, cameras = content.pop("defaults", {}), content.pop("cameras", {})
    if content or not isinstance(defaults, dict) or not isinstance(cameras, dict) or not cameras:
        raise SegueError(
            f"{path}: write [defaults], [page], and [cameras.NAME] for each camera; nothing else"
        )
    return _jobs(cameras, defaults, str(path), output), access


def _access_of(content: dict[str, Any], path: Path) -> Access:
    """Who may look, of the content of a file, from which it is taken."""
    given = content.pop("page", {})
    if not isinstance(given, dict):
        raise SegueError(f"{path}: [page] is a table")
    try:
        return Access.parse({key: _for_camera(value, "") for key, value in given.items()})
    except SegueError as error:
        raise SegueError(f"{path}: {error}") from None


def _jobs(
    cameras: Mapping[str, Any], defaults: Mapping[str, Any], path: str, output: Path
) -> dict[str, ForegroundJob]:
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


def _check_apart(jobs: Mapping[str, ForegroundJob], path: str) -> None:
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
    ports: dict[tuple[str, int], str] = {}
    for name, job in jobs.items():
        listens = port_of(job)
        other = name if listens is None else ports.setdefault(listens, name)
        if listens is not None and other != name:
            raise SegueError(
                f"{path}: cameras {other} and {name} would both listen at port {listens[1]} of {listens[0]}; "
                "give each a port of its own"
            )
    topics = {name: topic_of(job.notify) for name, job in jobs.items() if job.notify is not None}
    for name, topic in topics.items():
        others = [other for other in topics if other != name and topics[other] == topic]
        if topic is not None and others and jobs[name].home_assistant:
            raise SegueError(
                f"{path}: cameras {name} and {others[0]} have one topic, and home-assistant needs one for "
                "each; give mqtt://HOST/cameras/{name}"
            )


def port_of(job: ForegroundJob) -> tuple[str, int] | None:
    """Protocol and port at which a camera source listens for a sender; None where it connects itself."""
    place = str(job.source.place)
    if not is_address(place):
        return None
    parts = urlsplit(place)
    waits = parts.scheme == "udp" or "listen" in parse_qs(parts.query) or "mode=listener" in parts.query
    if not waits or parts.port is None:
        return None
    return "UDP" if parts.scheme in ("udp", "srt") else "TCP", parts.port


def check_page(port: int, host: str, jobs: Mapping[str, ForegroundJob]) -> None:
    """Refuse a port for the page that a camera or another program has.

    Args:
        port: that of the page; 0 takes a free one.
        host: where the page listens.
        jobs: the cameras.

    Raises:
        SegueError: the port is taken.
    """
    for name, job in jobs.items():
        if port and port_of(job) == ("TCP", port):
            raise SegueError(f"--port {port}: camera {name} listens there; give another port")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise SegueError(f"--port {port}: {error.strerror or error}; give another port") from None


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
