"""Who may ask a server of segue: hashed passwords, tokens, and what a server beyond this machine needs."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import os
import secrets
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from segue.errors import SegueError

LOOPBACK = ("127.0.0.1", "localhost")
"""Names of this machine; with others a foreign address could point here (DNS rebinding)."""

TOKEN = "SEGUE_TOKEN"
"""Variable of the environment that may hold a token."""

_SCRYPT = {"n": 1 << 14, "r": 8, "p": 1}
_SALT, _KEY = 16, 32  # bytes


def hash_password(password: str) -> str:
    """A text from which nobody reads a password, by scrypt with a new salt.

    Args:
        password: what a person types.

    Returns:
        ``scrypt:SALT:KEY``, each in URL-safe Base64.
    """
    salt = secrets.token_bytes(_SALT)
    key = hashlib.scrypt(password.encode(), salt=salt, dklen=_KEY, **_SCRYPT)
    return ":".join(["scrypt", *(base64.urlsafe_b64encode(part).decode() for part in (salt, key))])


def is_password(password: str, hashed: str) -> bool:
    """Whether a password is the one of a text by :func:`hash_password`; takes tens of milliseconds.

    Raises:
        SegueError: the text is none of it.
    """
    salt, key = _parts(hashed)
    return hmac.compare_digest(key, hashlib.scrypt(password.encode(), salt=salt, dklen=_KEY, **_SCRYPT))


def _parts(hashed: str) -> tuple[bytes, bytes]:
    """Salt and key of a hashed password."""
    kind, *parts = hashed.split(":")
    with suppress(binascii.Error, ValueError):
        salt, key = (base64.urlsafe_b64decode(part) for part in parts)
        if kind == "scrypt" and (len(salt), len(key)) == (_SALT, _KEY):
            return salt, key
    raise SegueError("password: is no hash by `segue watch --hash-password`; it begins with scrypt:")


def check_hash(hashed: str) -> None:
    """Refuse a text that :func:`hash_password` has not made; SegueError if so."""
    _parts(hashed)


def user_and_password(header: str) -> tuple[str, str]:
    """User and password of a header ``Authorization``, of a bearer with an empty user; else empty."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return "", value
    if scheme.lower() == "basic":
        with suppress(ValueError):
            user, _, password = base64.b64decode(value).decode().partition(":")
            return user, password
    return "", ""


def tokens_of(headers: Mapping[str, str]) -> list[str]:
    """The tokens of a request: in ``Token``, as a bearer, or as a password of any user."""
    password = user_and_password(headers.get("authorization") or "")[1]
    return [each for each in (headers.get("token") or "", password) if each]


def same(value: str, expected: str) -> bool:
    """Whether two texts are the same, in a time that does not tell how much of them is."""
    return secrets.compare_digest(value.encode(errors="replace"), expected.encode())


MIN_TOKEN = 16
"""Characters of the shortest token that is taken; shorter ones can be guessed."""


def check_token(name: str, token: str) -> None:
    """Refuse a token that can be guessed; SegueError if so."""
    if len(token) < MIN_TOKEN:
        raise SegueError(f"{name} is too short; give at least {MIN_TOKEN} characters")


def own_token() -> tuple[str, bool]:
    """The token of SEGUE_TOKEN, or a new one; and whether it is new, so that it must be printed.

    Raises:
        SegueError: that of SEGUE_TOKEN can be guessed.
    """
    token = os.environ.get(TOKEN, "")
    if token:
        check_token(TOKEN, token)
    return token or secrets.token_urlsafe(24), not token


MAX_TRIES, TRY_SECONDS = 10, 60.0
"""Wrong passwords and tokens that somebody may send in so many seconds."""

MAX_SENDERS = 1000
"""Senders whose wrong passwords and tokens are counted."""


class _Try(NamedTuple):
    """A password or token that was sent, and when; wrong, or still being checked."""

    time: float
    is_wrong: bool = False


class Tries:
    """Counts wrong passwords and tokens by sender; one that is sent again is counted once.

    Args:
        limit: wrong ones that a sender may send.
        seconds: time in which they count.
    """

    def __init__(self, limit: int = MAX_TRIES, seconds: float = TRY_SECONDS) -> None:
        self.limit, self.seconds = limit, seconds
        self._lock = threading.Lock()
        self._key = secrets.token_bytes(32)
        self._tries: OrderedDict[str, dict[bytes, _Try]] = OrderedDict()

    def begin(self, sender: str, secret: str) -> Literal["new", "wrong", "refused"]:
        """Count a password or token before anybody sees whether it is right.

        Args:
            sender: who sends it.
            secret: what is sent.

        Returns:
            ``new`` where it is to be checked, and :meth:`end` to be called; ``wrong`` where it was wrong a
            moment ago; ``refused`` where too many were wrong.
        """
        digest, now = self._digest(secret), time.monotonic()
        with self._lock:
            tries = self._tries.setdefault(sender, {})
            self._tries.move_to_end(sender)
            for each in [each for each, one in tries.items() if one.time <= now - self.seconds]:
                del tries[each]
            while len(self._tries) > MAX_SENDERS:
                self._tries.popitem(last=False)
            if (one := tries.get(digest)) is not None:
                return "wrong" if one.is_wrong else "new"  # else another thread is just checking it
            if len(tries) >= self.limit:
                return "refused"
            tries[digest] = _Try(now)
            return "new"

    def end(self, sender: str, secret: str, *, right: bool) -> None:
        """Note what came of a password or token; one that was right counts no more."""
        digest = self._digest(secret)
        with self._lock:
            tries = self._tries.get(sender, {})
            if right:
                tries.pop(digest, None)
            elif digest in tries:
                tries[digest] = _Try(tries[digest].time, is_wrong=True)

    def _digest(self, secret: str) -> bytes:
        return hashlib.blake2b(secret.encode(errors="replace"), key=self._key, digest_size=16).digest()


def sender_of(address: str) -> str:
    """Who sends from an address: itself, or of IPv6 its network, in which one computer has many addresses."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)


MAX_HOPS = 20
"""Proxies behind one another that are looked at."""


def client_address(peer: str, forwarded: str, proxies: Iterable[str]) -> str:
    """The address of a client, which trusted proxies name.

    Args:
        peer: address of the connection.
        forwarded: headers ``X-Forwarded-For``, joined by commas.
        proxies: addresses and networks of proxies that are trusted.

    Returns:
        The last address that no trusted proxy has; ``peer`` where that is none.
    """
    networks = [ipaddress.ip_network(each, strict=False) for each in proxies]
    address = peer
    for hop in reversed(forwarded.split(",")[-MAX_HOPS:]):
        if not any(_is_in(address, network) for network in networks):
            break
        try:
            address = str(ipaddress.ip_address(_without_port(hop.strip())))
        except ValueError:
            break
    return address


def check_network(text: str) -> None:
    """Refuse a text that is neither an address nor a network; SegueError if so."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise SegueError(
            f"{text!r}: give an address, such as 10.0.0.2, or a network, 10.0.0.0/8 ({error})"
        ) from None


def _is_in(address: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    with suppress(ValueError):
        parsed = ipaddress.ip_address(address)
        mapped = getattr(parsed, "ipv4_mapped", None)
        return (mapped or parsed) in network
    return False


def _without_port(text: str) -> str:
    """An address of ``X-Forwarded-For``, where some proxies write the port of the client, too."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def encryption(
    host: str, certfile: Path | None, keyfile: Path | None, *, plain_http: bool
) -> ssl.SSLContext | None:
    """How a server encrypts; None where it does not.

    Args:
        host: where it listens.
        certfile: certificate in PEM, with those that it depends on.
        keyfile: its key; None where that is in the same file.
        plain_http: whether it is meant to use HTTP beyond this machine, as behind a proxy that encrypts.

    Raises:
        SegueError: it would be reached from elsewhere without encryption, the options exclude each other, or
            the certificate cannot be used.
    """
    if keyfile is not None and certfile is None:
        raise SegueError("--keyfile is the key of a certificate; give --certfile")
    if certfile is not None and plain_http:
        raise SegueError("--certfile is for HTTPS, --plain-http for none; give one of them")
    if host not in LOOPBACK and certfile is None and not plain_http:
        raise SegueError(
            f"--host {host}: passwords, tokens and images would cross the network unencrypted; give "
            "--certfile and --keyfile, or --plain-http if a proxy encrypts them or everybody there may read "
            "them"
        )
    return None if certfile is None else certificate(certfile, keyfile)


def certificate(certfile: Path, keyfile: Path | None) -> ssl.SSLContext:
    """Encryption with a certificate; one that cannot be used is an error now."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_certificate(context, certfile, keyfile)
    return context


def load_certificate(context: ssl.SSLContext, certfile: Path, keyfile: Path | None) -> None:
    """Let connections from now on have a certificate, as one that was renewed."""
    try:
        # A key with a passphrase would be asked for at the terminal, twice.
        context.load_cert_chain(certfile, keyfile, password="")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise SegueError(
            f"--certfile {certfile}: no certificate with its key, in PEM without passphrase ({reason})"
        ) from None
