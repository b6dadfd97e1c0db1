"""Single images of cameras by ONVIF: GetSnapshotUri for the address, HTTP for the image."""

from __future__ import annotations

import base64
import hashlib
import os
import urllib.request
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from segue.errors import LoginRefusedError, SourceError

MAX_ANSWER = 1 << 20
"""Bytes of an answer about a camera at most."""

MAX_IMAGE = 1 << 26
"""Bytes of an image at most."""

MAX_SECONDS = 4.0
"""Timeout of a request in seconds, which is also the longest wait when a run is stopped."""

_DEVICE = "http://www.onvif.org/ver10/device/wsdl"
_MEDIA = "http://www.onvif.org/ver10/media/wsdl"
_SECURITY = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
_ENVELOPE = (
    '<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope">'
    "<s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
)
_LOGIN = (
    f'<w:Security xmlns:w="{_SECURITY}-wssecurity-secext-1.0.xsd" '
    f'xmlns:u="{_SECURITY}-wssecurity-utility-1.0.xsd"><w:UsernameToken><w:Username>{{user}}</w:Username>'
    f'<w:Password Type="{_SECURITY}-username-token-profile-1.0#PasswordDigest">{{digest}}</w:Password>'
    f'<w:Nonce EncodingType="{_SECURITY}-soap-message-security-1.0#Base64Binary">{{nonce}}</w:Nonce>'
    "<u:Created>{created}</u:Created></w:UsernameToken></w:Security>"
)


class OnvifCamera:
    """A camera that is polled for single images.

    Args:
        address: ``onvif://USER:PASSWORD@HOST:PORT``; a path other than ``/onvif/device_service`` may
            follow, and ``?profile=TOKEN`` names a profile of the camera; without, the first one counts.
        where: its name in errors.
        timeout: seconds for each answer, at most :data:`MAX_SECONDS`.
    """

    def __init__(self, address: str, where: str, timeout: float) -> None:
        parts = urlsplit(address)
        self._where, self._timeout = where, min(timeout, MAX_SECONDS)
        self._host = parts.netloc.rpartition("@")[2]
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        path = parts.path if parts.path.strip("/") else "/onvif/device_service"
        self._device = urlunsplit(("http", self._host, path, "", ""))
        self._profile = parse_qs(parts.query).get("profile", [""])[0]
        self._snapshot = ""
        self._passwords = passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPDigestAuthHandler(passwords), urllib.request.HTTPBasicAuthHandler(passwords)
        )

    def image(self) -> bytes:
        """Fetch the current image.

        Returns:
            It, as the camera encodes it.

        Raises:
            SourceError: the camera does not answer, refuses the password, or has no images.
        """
        if not self._snapshot:
            self._snapshot = self._find()
            self._passwords.add_password(None, self._snapshot, self._user, self._password)
        return self._fetch(urllib.request.Request(self._snapshot), MAX_IMAGE)

    def _find(self) -> str:
        """Request the address of the images."""
        clock = self._ask(self._device, f'<GetSystemDateAndTime xmlns="{_DEVICE}"/>')
        ahead = _time_of(clock) - datetime.now(UTC)
        body = f'<GetCapabilities xmlns="{_DEVICE}"><Category>Media</Category></GetCapabilities>'
        media = self._reachable(_text(self._ask(self._device, body, ahead), "Media", "XAddr"))
        profile = self._profile
        if not profile:
            profiles = self._ask(media, f'<GetProfiles xmlns="{_MEDIA}"/>', ahead)
            profile = next((each.get("token", "") for each in profiles.iterfind(".//{*}Profiles")), "")
        token = f"<ProfileToken>{escape(profile)}</ProfileToken>"
        body = f'<GetSnapshotUri xmlns="{_MEDIA}">{token}</GetSnapshotUri>'
        place = _text(self._ask(media, body, ahead), "MediaUri", "Uri")
        if not place.startswith(("http://", "https://")):
            raise SourceError(f"{self._where}: the camera has no single images; take its rtsp:// address")
        return self._reachable(place)

    def _ask(self, address: str, body: str, ahead: timedelta | None = None) -> ElementTree.Element:
        """Call a service of the camera, with the password once its clock is known."""
        if not address:
            raise SourceError(f"{self._where}: the camera has no service of media")
        header = self._login(ahead) if ahead is not None and self._user else ""
        text = _ENVELOPE.format(header=header, body=body).encode()
        kind = {"Content-Type": "application/soap+xml; charset=utf-8"}
        answer = self._fetch(urllib.request.Request(address, text, kind), MAX_ANSWER)
        try:
            return ElementTree.fromstring(answer)
        except ElementTree.ParseError as error:
            raise SourceError(f"{self._where}: answers with no XML ({error})") from None

    def _login(self, ahead: timedelta) -> str:
        """Name and password digest (WS-UsernameToken), at the camera's time."""
        nonce, created = os.urandom(16), (datetime.now(UTC) + ahead).strftime("%Y-%m-%dT%H:%M:%SZ")
        digest = hashlib.sha1(nonce + created.encode() + self._password.encode()).digest()
        coded = (base64.b64encode(each).decode() for each in (digest, nonce))
        return _LOGIN.format(
            user=escape(self._user), **dict(zip(("digest", "nonce"), coded, strict=True)), created=created
        )

    def _fetch(self, request: urllib.request.Request, max_bytes: int) -> bytes:
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                data = bytes(answer.read(max_bytes + 1))
        except HTTPError as error:
            with error:
                refused = error.code in (401, 403) or b"NotAuthorized" in error.read(MAX_ANSWER)
            if refused:
                raise LoginRefusedError(f"{self._where}: the camera refuses user and password") from None
            raise SourceError(f"{self._where}: {error.code} {error.reason}") from None
        except (OSError, HTTPException, ValueError) as error:
            reason = str(getattr(error, "reason", None) or error or type(error).__name__)
            raise SourceError(f"{self._where}: cannot be opened ({reason})") from None
        if len(data) > max_bytes:
            raise SourceError(f"{self._where}: answers with more than {max_bytes >> 20} MB")
        return data

    def _reachable(self, place: str) -> str:
        """Replace the host in an address of the camera by the configured one."""
        # Behind a router a camera may not know its own address; nor does a password go elsewhere.
        parts = urlsplit(place)
        host, answered_host = urlsplit(f"//{self._host}").hostname or "", parts.hostname
        if not place or answered_host == host:
            return place
        host_text = f"[{host}]" if ":" in host else host
        return urlunsplit(parts._replace(netloc=f"{host_text}:{parts.port}" if parts.port else self._host))


def _text(answer: ElementTree.Element, *path: str) -> str:
    """Text of a nested element, by names without namespaces; empty if missing."""
    return (answer.findtext(".//" + "/".join(f"{{*}}{name}" for name in path)) or "").strip()


def _time_of(answer: ElementTree.Element) -> datetime:
    """Time of a camera, by default of this machine."""
    names = "Date/Year", "Date/Month", "Date/Day", "Time/Hour", "Time/Minute", "Time/Second"
    try:
        numbers = [int(_text(answer, "UTCDateTime", *name.split("/"))) for name in names]
        year, month, day, hour, minute, second = numbers
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return datetime.now(UTC)
