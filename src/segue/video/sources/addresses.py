"""Network addresses of sources, and which parts may be shown or stored."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import SplitResult, urlsplit

from segue.errors import SourceError
from segue.utils.inputs import path_advice
from segue.utils.redaction import MASK, redact

FOLLOW = "follow://"
"""Begins the address of a file that is still written, such as ``follow:///srv/now.ts``."""

ONVIF = "onvif://"
"""Scheme of cameras that are polled for single images by ONVIF."""

SCHEMES = frozenset(
    {"rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "tcp", "srt", "follow", "onvif"}
)
"""Schemes of addresses that are read as streams."""

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def is_address(text: str) -> bool:
    """Whether a string is a network address, not a path."""
    scheme, separator, _ = text.partition("://")
    return bool(separator) and scheme.lower() in SCHEMES


def is_url(text: str) -> bool:
    """Whether a string is an address of any kind, including object stores such as ``s3://``."""
    return _URL.match(text) is not None


def check_place(place: str) -> None:
    """Raise an error for an empty text, or an address that a single run cannot read."""
    if not place:
        raise SourceError("source: an empty text; give a path, an address or a camera number")
    if is_url(place) and not is_address(place):
        raise SourceError(_unread_address(place))
    if is_address(place):
        public_address(place)


def _unread_address(address: str) -> str:
    """Name a program for an unsupported address, such as one of an object store."""
    if advice := path_advice(address):
        return f"{public_address(address)}: {advice}"
    read = ", ".join(sorted(SCHEMES))
    return (
        f"{public_address(address)}: a run over one video reads files and {read}; `segue batch` reads object "
        "stores (extra cluster), or copy the video here"
    )


APPRISE = "apprise+"
"""Prefix of addresses of Apprise, in which host and path may be secrets."""


_LISTENING = frozenset({"udp", "tcp", "srt", "rtmp"})
"""Schemes of addresses with only a port, on which this machine waits for a sender."""

_PATH_SECRET = re.compile(
    r"(?<![a-z])((?:user|usr|username|login|password|passwd|pass|pwd|psw|token|secret|apikey|api_key|key|auth)=)"
    r"[^&/;?#]*",
    re.IGNORECASE,
)
"""A parameter of a path that says who asks, as in ``rtsp://host/user=admin&password=1234&channel=1``."""


def public_address(address: str) -> str:
    """Address without user name, password, query and secrets, for messages.

    Args:
        address: address of any kind.

    Returns:
        Scheme, host, port and path; a scheme and three dots where the path may be a part of the password.

    Raises:
        SourceError: it is no address, or its password has signs that end the name of a host.
    """
    if address.startswith(APPRISE):
        return f"{address.partition(':')[0]}://..."
    if address.lower().startswith(FOLLOW):
        return redact(address)
    parts = _split(address)
    if not parts.netloc and parts.scheme not in SCHEMES:
        return redact(f"{parts.scheme}://{parts.path}")  # such as file:///videos/a.mp4
    if _may_hide_password(address):  # the host may be a user, and the path a password
        return f"{parts.scheme}://..."
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    path = _PATH_SECRET.sub(rf"\g<1>{MASK}", redact(parts.path, min_length=1))
    return redact(f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{path}")


def _split(address: str) -> SplitResult:
    """Split an address; if host or port are unclear, the error does not show it."""
    public = f"{address.partition('://')[0]}://..."
    if _has_unquoted_delimiters(address):
        raise SourceError(
            f"{public}: is no address: its user or password has a sign that ends the name of a host; write # "
            "as %23, / as %2F, ? as %3F and @ as %40, or take ${CAM_PASSWORD} in a file of cameras"
        )
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, SplitResult("", "", "", "", "")
    is_local = not parts.netloc and parts.scheme not in SCHEMES and bool(parts.scheme)
    listens = parts.scheme in _LISTENING and port is not None
    if not host and not listens and not is_local:
        # The whole of it may hold a password where nobody expects one.
        raise SourceError(
            f"{public}: is no address; write it as rtsp://host:554/name, with a port up to 65535"
        )
    return parts


_HOST = r"(?:\[[0-9a-fA-F:.]+\]|\d{1,3}(?:\.\d{1,3}){3}|[^\s@/?#:]+(?=:\d))(?::\d{1,5})?(?=[/?#]|$)"
"""A name of a host that is none of a file: an address of numbers, or one with a port."""


def _has_unquoted_delimiters(address: str) -> bool:
    """Whether user or password contain an unquoted delimiter of the host."""
    _, _, rest = address.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    tail = rest[len(authority) :]
    head, separator, host = tail.rpartition("@")
    if not separator or "://" in head:  # an address inside of another one, as relays take it
        return False
    _, colon, port = authority.rpartition("@")[2].partition(":")
    is_port = not colon or port.isdecimal() or authority.endswith("]") or "[" in authority
    has_password = ":" in authority or ":" in head
    return has_password and (not is_port or "#" in head or re.match(_HOST, host) is not None)


def _may_hide_password(address: str) -> bool:
    """Whether host and path may be a user and a password: ``rtsp://me:12/34@host/1``."""
    _, _, rest = address.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    head, separator, _ = rest[len(authority) :].rpartition("@")
    return bool(separator) and ":" in f"{authority}{head}"


def stored_address(address: str) -> str:
    """Public part of an address, and a hash of the rest, which may identify the camera."""
    public = public_address(address)
    if address.startswith(APPRISE):
        return public
    parts = urlsplit(address)
    hidden = parts.query
    if not address.lower().startswith(FOLLOW) and (
        _may_hide_password(address) or _PATH_SECRET.search(parts.path)
    ):
        hidden = f"{parts.path}?{parts.query}"
    digest = hashlib.sha256(redact(hidden, min_length=1).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{public}?sha256={digest[:16]}" if hidden else public
