"""Passwords and tokens: weak ones are refused, and only hashes are stored.

Passwords are hashed by scrypt of the standard library, which is that of OpenSSL, with the costs that OWASP
recommends: a further package (argon2-cffi, bcrypt) would bring compiled code for four lines of ours.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from contextlib import suppress

from segue.errors import SegueError

TOKEN = "SEGUE_TOKEN"
"""Variable of the environment that may hold a token."""

_KINDS = {
    "scrypt5": {"n": 1 << 14, "r": 8, "p": 5},  # the costs that OWASP recommends with 16 MiB of memory
    "scrypt": {"n": 1 << 14, "r": 8, "p": 1},  # earlier hashes, which stay valid
}
_KIND = "scrypt5"
_SALT, _KEY = 16, 32  # bytes


def hash_password(password: str) -> str:
    """Hash a password by scrypt with a new salt.

    Args:
        password: typed password.

    Returns:
        ``scrypt5:SALT:KEY``, each in URL-safe Base64.
    """
    salt = secrets.token_bytes(_SALT)
    key = _hash(_KIND, password, salt)
    return ":".join([_KIND, *(base64.urlsafe_b64encode(part).decode() for part in (salt, key))])


def is_password(password: str, hashed: str | None) -> bool:
    """Whether a password matches a hash of :func:`hash_password`; takes a tenth of a second.

    None has no password, and takes as long, so that the time reveals no user names.

    Raises:
        SegueError: the text is none of it.
    """
    kind, salt, key = (_KIND, bytes(_SALT), b"") if hashed is None else _parts(hashed)
    return hmac.compare_digest(key, _hash(kind, password, salt))


def _hash(kind: str, password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(errors="replace"), salt=salt, dklen=_KEY, **_KINDS[kind])


def _parts(hashed: str) -> tuple[str, bytes, bytes]:
    """Kind, salt and key of a hash."""
    kind, *parts = hashed.split(":")
    with suppress(binascii.Error, ValueError):
        salt, key = (base64.urlsafe_b64decode(part) for part in parts)
        if kind in _KINDS and (len(salt), len(key)) == (_SALT, _KEY):
            return kind, salt, key
    raise SegueError(f"password: is no hash by `segue watch --hash-password`; it begins with {_KIND}:")


def check_hash(hashed: str) -> None:
    """Raise SegueError unless a text is a hash of :func:`hash_password`."""
    _parts(hashed)


def is_same_secret(value: str, expected: str) -> bool:
    """Compare two texts in constant time."""
    return secrets.compare_digest(value.encode(errors="replace"), expected.encode())


MIN_TOKEN = 16
"""Characters of the shortest token that is taken; shorter ones can be guessed."""


def check_token(name: str, token: str) -> None:
    """Raise SegueError for a token that is easy to guess."""
    if len(token) < MIN_TOKEN:
        raise SegueError(f"{name} is too short; give at least {MIN_TOKEN} characters")


def own_token() -> tuple[str, bool]:
    """Token of SEGUE_TOKEN, or a new one, and whether it is new and must be printed.

    Raises:
        SegueError: that of SEGUE_TOKEN can be guessed.
    """
    token = os.environ.get(TOKEN, "")
    if token:
        check_token(TOKEN, token)
    return token or secrets.token_urlsafe(24), not token
