"""Network addresses of sources, and what of them may be shown or stored; imports no decoder."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import urlsplit

from segue.errors import SourceError
from segue.utils.inputs import path_advice

FOLLOW = "follow://"
"""Begins the address of a file that is still written, such as ``follow:///srv/now.ts``."""

ONVIF = "onvif://"
"""Begins the address of a camera that is asked for single images by ONVIF."""

SCHEMES = frozenset(
    {"rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "tcp", "srt", "follow", "onvif"}
)
"""Schemes of addresses that are read as streams."""

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def is_address(text: str) -> bool:
    """Whether a string is a network address and no path."""
    scheme, separator, _ = text.partition("://")
    return bool(separator) and scheme.lower() in SCHEMES


def is_url(text: str) -> bool:
    """Whether a string is an address of any kind, also of an object store such as ``s3://``."""
    return _URL.match(text) is not None


def check_place(place: str) -> None:
    """Refuse an empty text, and an address that no single run reads."""
    if not place:
        raise SourceError("source: an empty text; give a path, an address or a camera number")
    if is_url(place) and not is_address(place):
        raise SourceError(_unread_address(place))


def _unread_address(address: str) -> str:
    """Say what reads an address that no single run reads, such as one of an object store."""
    if advice := path_advice(address):
        return f"{public_address(address)}: {advice}"
    read = ", ".join(sorted(SCHEMES))
    return (
        f"{public_address(address)}: a run over one video reads files and {read}; `segue batch` reads object "
        "stores (extra cluster), or copy the video here"
    )


APPRISE = "apprise+"
"""In front of addresses of Apprise, in which host and path may be secrets."""


def public_address(address: str) -> str:
    """The address without user name, password and query, fit for messages."""
    if address.startswith(APPRISE):
        return f"{address.partition(':')[0]}://..."
    if address.lower().startswith(FOLLOW):
        return address
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
        if not parts.netloc and parts.scheme not in SCHEMES and is_url(address):
            return f"{parts.scheme}://{parts.path}"  # such as file:///videos/a.mp4
    except ValueError:
        host, port = None, None
    if not host:
        # The whole of it may hold a password where nobody expects one.
        raise SourceError(
            f"{address.partition('://')[0]}://...: is no address; write it as rtsp://host:554/name, with a "
            "port up to 65535"
        )
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"


def stored_address(address: str) -> str:
    """The public part of an address, and a hash of its query, which may name the camera and hold a key."""
    public = public_address(address)
    if address.startswith(APPRISE):
        return public
    query = urlsplit(address).query
    digest = hashlib.sha256(query.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{public}?sha256={digest[:16]}" if query else public
