"""Notify systemd (``Type=notify``), and insert secrets into the file of cameras."""

from __future__ import annotations

import os
import re
import socket
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from segue.errors import SegueError
from segue.utils.redaction import add_secret

LARGEST_SECRET = 1 << 16
"""Maximum size in bytes of a secret's file."""

_SECRET = re.compile(r"\$\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


def tell_systemd(state: str) -> None:
    """Send a state such as ``READY=1`` to systemd, if it runs this process."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address or not hasattr(socket, "AF_UNIX"):
        return
    address = f"\0{address[1:]}" if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(state.encode(), address)


class Watchdog:
    """Notifies systemd at twice the required rate (``WatchdogSec=``)."""

    def __init__(self) -> None:
        seconds = os.environ.get("WATCHDOG_USEC", "")
        self._every = int(seconds) / 2e6 if seconds.isdecimal() else float("inf")
        self._next = time.monotonic()

    def poll(self) -> None:
        """Notify systemd if it is time."""
        if self._every < float("inf") and time.monotonic() >= self._next:
            self._next = time.monotonic() + self._every
            tell_systemd("WATCHDOG=1")


def with_secrets(text: str) -> str:
    """Replace ``${NAME}`` in a text: quoted in addresses, masked in messages.

    A secret is the variable NAME of the environment, or the content of the file that NAME_FILE names, or of
    the file NAME among the credentials of systemd.
    """
    is_address = "://" in text

    def value(match: re.Match[str]) -> str:
        secret = _secret(match[1])
        add_secret(secret)
        return quote(secret, safe="") if is_address else secret

    return _SECRET.sub(value, text)


def _secret(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise SegueError(f"${{{name}}}: a secret has a name of letters, digits and _")
    if name in os.environ:
        return os.environ[name]
    places = [Path(os.environ[f"{name}_FILE"])] if f"{name}_FILE" in os.environ else []
    if "CREDENTIALS_DIRECTORY" in os.environ:
        places.append(Path(os.environ["CREDENTIALS_DIRECTORY"]) / name)
    for place in places:
        try:
            with place.open("rb") as stream:
                return stream.read(LARGEST_SECRET).decode().rstrip("\r\n")
        except (OSError, ValueError):
            continue
    raise SegueError(
        f"${{{name}}}: is not set; set it in the environment, or {name}_FILE to a file that holds it"
    )
