"""Persistent address of a page: port and secret, in files readable by their owner only."""

from __future__ import annotations

import hmac
import html
import json
import os
import re
import secrets
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import NamedTuple

from segue.errors import SegueError
from segue.utils.files import writing
from segue_web.access.addresses import LOOPBACK

FILE = "page.address"

REDIRECT = "page.html"

_REDIRECTION = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={address}">
<title>segue</title>
</head>
<body><p><a href="{address}">The page of segue</a></p></body>
</html>
"""

BACKLOG = 128
"""Maximum number of queued connections; with fewer, many simultaneous clients wait for a second."""

MAX_ADDRESS_BYTES = 1000
"""Bytes of such a file that are read."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")


class Address(NamedTuple):
    """Port on 127.0.0.1 and secret of a page."""

    port: int
    token: str


def listening(host: str, port: int) -> socket.socket:
    """Open a listening socket; early connections wait for the server."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        place = f"port {port}" if host in LOOPBACK else f"{host}, port {port},"
        reason = error.strerror or str(error)
        raise SegueError(f"{place} cannot be used ({reason}); give another with --port") from None


def listen(port: int, folder: Path | None) -> tuple[socket.socket, Address]:
    """Listen at the stored address of a folder, or at a new one, which is stored.

    A secret goes with its port: who listens at another port could have been sent it by an open page.
    """
    stored = None if folder is None else read_address(folder)
    if stored is not None and port in (0, stored.port):
        with suppress(OSError):  # another program has the port
            return socket.create_server(("127.0.0.1", stored.port)), stored
    listener = listening("127.0.0.1", port)
    address = Address(listener.getsockname()[1], secrets.token_urlsafe(24))
    if folder is not None:
        write_address(folder, address)
    return listener, address


def read_address(folder: Path) -> Address | None:
    """Read the address of a folder; None if it is missing or not private."""
    try:
        flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe is not waited for
        with os.fdopen(os.open(folder / FILE, os.O_RDONLY | flags), "rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                return None
            if os.name == "posix" and (about.st_uid != os.getuid() or stat.S_IMODE(about.st_mode) & 0o077):
                return None
            stored = json.loads(file.read(MAX_ADDRESS_BYTES))
        # A copied folder gets an address of its own: the owner of the original knows this one.
        valid = stored["folder"] == _identity(folder) and _TOKEN.fullmatch(stored["token"])
        port = stored["port"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Address(port, stored["token"]) if valid and type(port) is int and 0 < port < 65536 else None


def write_address(folder: Path, address: Address) -> None:
    """Store the address of a folder in a private file."""
    path = folder / FILE
    text = json.dumps({"folder": _identity(folder), **address._asdict()})
    with writing(path):
        _write_private(path, text)


@contextmanager
def redirect_file(address: str, folder: Path | None) -> Iterator[Path]:
    """Write a private page that redirects to an address; command lines are visible to all users."""
    with ExitStack() as stack:
        # A browser in a sandbox may read the folder of a project, and perhaps not a temporary one.
        with writing(Path(folder or gettempdir())):
            place = folder or Path(stack.enter_context(TemporaryDirectory(prefix="segue-page-")))
            path = place / REDIRECT
            _write_private(path, _REDIRECTION.format(address=html.escape(address)))
        stack.callback(path.unlink, missing_ok=True)
        yield path


def _write_private(path: Path, text: str) -> None:
    """Write a file readable by its owner only, replacing any file or link."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _identity(folder: Path) -> list[int]:
    """Device and inode of a folder, which a copy does not share."""
    about = folder.stat()
    return [about.st_dev, about.st_ino]


def proof(token: str, challenge: str) -> str:
    """Proof that we know a page's secret, so that it is not sent to another program at this port."""
    return hmac.digest(token.encode(), challenge.encode(), "sha256").hex()
