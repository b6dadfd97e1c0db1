"""Validate untrusted files, texts and arguments."""

from __future__ import annotations

import codecs
import glob
import hashlib
import json
import math
import numbers
import os
import re
import stat
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote

from segue.errors import ArgumentError, SegueError
from segue.utils.redaction import redact


def check_file(path: Path, error: type[SegueError], largest: int | None = None) -> None:
    """Raise ``error`` unless a path is a regular file of at most ``largest`` bytes."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise error(f"{path}: {path_advice(os.fspath(path)) or 'no such file'}") from None
    except (OSError, ValueError) as reason:
        raise error(f"{path}: cannot be read ({getattr(reason, 'strerror', None) or reason})") from None
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device"
        raise error(f"{path}: is {what}, not a file")
    if largest is not None and status.st_size > largest:
        raise error(f"{path}: has {status.st_size} bytes; at most {largest} are taken")
    if status.st_size < _MAX_POINTER_LENGTH:
        try:
            start = path.read_bytes()
        except OSError:  # reported when the file is read
            return
        if is_pointer(start):
            raise error(f"{path}: {POINTER}")


_POINTER_START = b"version https://git-lfs.github.com/spec/"
_MAX_POINTER_LENGTH = 1024

POINTER = "is a pointer of Git LFS, not the file itself; run `git lfs pull` in its repository"
"""Message about a file for which :func:`is_pointer` is true."""


def is_pointer(start: bytes) -> bool:
    """Whether the start of a file is of a Git LFS pointer."""
    return start.startswith(_POINTER_START)


def user_path(path: str | os.PathLike[str]) -> Path:
    """Expand ``~`` in a path of a user, unless a file has that name.

    Raises:
        ArgumentError: it is no path, or empty, which would mean the working directory.
    """
    if isinstance(path, str) and not path:
        raise ArgumentError("the path is empty")
    try:
        plain = Path(path)
    except TypeError:
        raise ArgumentError(f"{kind_of(path)} is no path; give a string or a pathlib.Path") from None
    if not plain.parts or not plain.parts[0].startswith("~") or exists(plain):
        return plain
    try:
        return plain.expanduser()
    except RuntimeError:  # no such user
        return plain


def absolute_path(path: Path) -> Path:
    """Absolute path without ``.`` and ``..``, which has a name and a parent; links stay."""
    return Path(os.path.abspath(path))  # noqa: PTH100  that of Path keeps ".."


def exists(path: Path) -> bool:
    """Whether a path exists; False for invalid names."""
    return os.path.exists(path)  # noqa: PTH110  that of Path raises for them


def missing_message(path: str | os.PathLike[str]) -> str:
    """Message about a missing path, with advice for addresses and FFmpeg patterns."""
    if advice := path_advice(os.fspath(path)):
        return f"{path}: {advice}"
    pattern = re.sub(r"%0?[0-9]*d|#{2,}|\$F[0-9]?", "*", os.fspath(path))
    hint = f"; for numbered images give the pattern {pattern!r}" if pattern != os.fspath(path) else ""
    return f"{path}: no such file or folder{hint}"


def path_advice(text: str) -> str:
    """Advice for a file address, as file managers copy it; empty for other texts."""
    match = re.fullmatch(r"file:/+(?:localhost/)?(.*)", text, re.IGNORECASE | re.DOTALL)
    if match is None:
        return ""
    path = unquote(match[1])
    path = path if re.match("[A-Za-z]:", path) else f"/{path}"
    return f"give the path alone, without file://{f': {path}' if exists(Path(path)) else ''}"


def matching_paths(pattern: str) -> list[str]:
    """Paths that match a glob pattern; existing leading folders are taken literally."""
    parts = user_path(pattern).parts
    count = next((n for n in range(len(parts), 0, -1) if Path(*parts[:n]).is_dir()), 0)
    # Else the brackets in the name of such a folder would be a choice of letters.
    return glob.glob(os.path.join(*map(glob.escape, parts[:count]), *parts[count:]), recursive=True)  # noqa: PTH118, PTH207


def sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def whole_number(text: str, largest: int = 2**31 - 1) -> int | None:
    """Parse decimal digits up to ``largest``; None for any other text."""
    if not (text.isascii() and text.isdecimal()) or len(text.lstrip("0")) > len(str(largest)):
        return None
    number = int(text[-len(str(largest)) :])
    return number if number <= largest else None


def check_choice(name: str, value: object, choices: object, error: type[Exception]) -> None:
    """Raise an error unless a value is among those of a ``Literal``."""
    allowed = get_args(choices)
    if value not in allowed:
        raise error(f"{name} is {value!r}; it must be one of {', '.join(allowed)}")


def check_number(
    name: str,
    value: object,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    whole: bool = False,
    error: type[SegueError] = ArgumentError,
) -> None:
    """Raise an error unless an argument is a finite number in a range."""
    kind = "a whole number" if whole else "a number"
    fits = isinstance(value, numbers.Integral if whole else numbers.Real)  # those of NumPy are, too
    if not fits or isinstance(value, bool) or not math.isfinite(value):  # type: ignore[arg-type]
        text = f"{value!r}" if isinstance(value, (str, float, bool)) else kind_of(value)
        raise error(f"{name} is {text}, but must be {kind}")
    if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):  # type: ignore[operator]
        bounds = f"at least {minimum:g}" if maximum is None else f"from {minimum or 0:g} to {maximum:g}"
        raise error(f"{name} is {value}, but must be {bounds}")


def type_name(value: object) -> str:
    """Qualified name of the class of a value."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def kind_of(value: object) -> str:
    """Describe a value in messages: its type, and the layout of arrays, tensors and PIL images."""
    name = type(value).__name__
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None:
        what = "tensor" if hasattr(value, "detach") else "array"
        return f"{str(dtype).removeprefix('torch.')} {what} of shape {tuple(shape)}"
    if hasattr(value, "getbands") and hasattr(value, "size"):
        return f"PIL image of {value.size[0]}x{value.size[1]} pixels, mode {value.mode}"  # type: ignore[attr-defined]
    if isinstance(value, (list, tuple, dict, set, frozenset)):
        return f"{name} of {len(value)}"
    return name


def first_line(error: BaseException) -> str:
    """First line of an error, or its class if it is empty."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def printable(text: str) -> str:
    """Escape line breaks and terminal commands in a text.

    Secrets are masked (:mod:`segue.utils.redaction`).
    """
    return "".join(
        sign if sign.isprintable() or sign == "\u00a0" else sign.encode("unicode_escape").decode()
        for sign in redact(text)
    )


def parse_json(text: str) -> Any:
    """Parse an untrusted JSON text."""
    try:
        return _JSON.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def is_number(value: object) -> bool:
    """Whether a JSON value is a finite number."""
    return type(value) in (int, float) and abs(value) < 2.0**63  # type: ignore[arg-type]


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


_JSON = json.JSONDecoder(parse_constant=_refuse)


def encoding_of(head: bytes) -> str:
    """Detect the encoding of a text file by its first bytes: UTF-16 as on Windows, else UTF-8."""
    return "utf-16" if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def text_of(data: bytes) -> str:
    """Decode a text file of a user; raises UnicodeDecodeError."""
    return data.decode(encoding_of(data)).replace("\r\n", "\n").replace("\r", "\n")
