"""Who may ask a server of segue: hashed passwords, tokens, and what a server beyond this machine needs."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import ssl
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

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


def brings_token(headers: Mapping[str, str], token: str) -> bool:
    """Whether a request has the token: in ``Token``, as a bearer, or as a password of any user."""
    given = headers.get("authorization") or ""
    return any(same(each, token) for each in (headers.get("token") or "", user_and_password(given)[1]))


def same(given: str, wanted: str) -> bool:
    """Whether two texts are the same, in a time that does not tell how much of them is."""
    return secrets.compare_digest(given.encode(errors="replace"), wanted.encode())


def own_token() -> tuple[str, bool]:
    """The token of SEGUE_TOKEN, or a new one; and whether it is new, so that it must be printed."""
    given = os.environ.get(TOKEN, "")
    return given or secrets.token_urlsafe(24), not given


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
