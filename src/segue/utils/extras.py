"""Optional dependencies."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from segue.errors import MissingExtraError

EXTRAS = {
    "train": ("lightning-fabric", "tensorboard"),
    "synth": ("moderngl",),
    "hf": ("huggingface-hub", "torchvision", "transformers"),
    "web": ("starlette", "uvicorn", "websockets"),
    "matting": ("pymatting",),
    "exr": ("OpenEXR",),
    "dicom": ("pydicom",),
}
"""Packages of the extras of ``pyproject.toml`` that a command needs to start."""


def missing_packages(extra: str) -> str | None:
    """Missing packages of an extra, and the command that installs them."""
    missing = missing_among(EXTRAS[extra])
    return f"{', '.join(missing)}: {install_command(extra)}" if missing else None


def missing_among(packages: Iterable[str]) -> tuple[str, ...]:
    """Packages that are not installed."""
    return tuple(package for package in packages if find_spec(package.replace("-", "_")) is None)


@contextmanager
def requires_extra(extra: str) -> Iterator[None]:
    """Add the install command of an extra to import errors inside the block."""
    try:
        yield
    except ImportError as error:
        if (missing := missing_packages(extra)) is None:
            raise
        raise MissingExtraError(f"this part of segue needs {missing}") from error


def install_command(extra: str) -> str:
    """Command that adds an extra, from the source in ``direct_url.json``."""
    return f"pip install {_requirement(extra, _direct_url())}"


def _direct_url() -> str | None:
    try:
        return distribution("segue").read_text("direct_url.json")
    except PackageNotFoundError:  # run from the source tree, through PYTHONPATH
        return None


def _requirement(extra: str, record: str | None) -> str:
    requirement = f"segue[{extra}]"
    if record is None:
        return shlex.quote(requirement)
    origin = json.loads(record)
    address = str(origin["url"])
    if "dir_info" in origin:
        folder = url2pathname(unquote(urlsplit(address).path))
        editable = "--editable " if origin["dir_info"].get("editable") else ""
        return f"{editable}{shlex.quote(f'{folder}[{extra}]')}"
    if "vcs_info" in origin:
        version = origin["vcs_info"]
        address = f"{version['vcs']}+{address}@{version.get('requested_revision') or version['commit_id']}"
    return shlex.quote(f"{requirement} @ {address}")
