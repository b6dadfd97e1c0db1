"""Facts about a machine for bug reports, and a self-test on the bundled video."""

from __future__ import annotations

import importlib.metadata
import itertools
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping

import segue
from segue.utils.cache import ASSETS, cache_folder, cached_file
from segue.utils.extras import EXTRAS, install_command
from segue.utils.inputs import exists, first_line

# Where PyTorch or OpenCV cannot be imported, this is asked for: each part imports what it needs.

TEST_FRAMES = 5
BOXES = {1: (46, 0, 184, 111), 2: (273, 159, 423, 211), 3: (242, 29, 282, 86)}
"""Boxes of the objects of the bundled video on the last of these frames, (x0, y0, x1, y1), pixels."""

TOLERANCE = 8  # pixels by which a box may differ


def facts() -> Iterator[tuple[str, str]]:
    """Names and values to print, nothing private but the cache folder; failures are printed too."""
    yield "segue", segue.__version__
    yield "python", f"{platform.python_version()} ({sys.executable})"
    yield "system", platform.platform()
    for name, part in _PARTS.items():
        try:
            yield from part()
        except Exception as error:  # whatever is broken on this machine
            yield name, f"not known ({type(error).__name__}: {first_line(error)})"


Facts = Iterator[tuple[str, str]]


def _packages() -> Facts:
    versions = requirements()
    for package in sorted(versions, key=str.lower):
        yield package, versions[package]


def _processor() -> Facts:
    import torch

    from segue.utils.system import processor

    yield "processor", f"{processor()}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"
    yield "threads", str(torch.get_num_threads())


def _graphics() -> Facts:
    import torch

    for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(i)
        yield (
            f"cuda:{i}",
            f"{properties.name}, {properties.total_memory >> 20} MiB, CUDA {torch.version.cuda}",
        )


def _device() -> Facts:
    from segue.inference.cpu.features import has_int8
    from segue.inference.running import choose_device, has_bfloat16, has_float16

    device = choose_device(None)
    integers = f", 8-bit integers {_yes(has_int8())}" if device.type == "cpu" else ""
    half = "" if device.type == "cpu" else f", float16 {_yes(has_float16(device))}"
    yield "default device", f"{device}, bfloat16 {_yes(has_bfloat16(device))}{half}{integers}"


def _layers() -> Facts:
    from segue.inference.cpu.features import can_fuse
    from segue.inference.cpu.forms import TUNED, current

    yield "fused layers", _yes(can_fuse())
    forms, tuned = current(), cached_file(TUNED)
    table = "table of the package" if tuned is None else str(tuned)
    yield "forms of layers", f"{forms.digest}, {forms.instruction_set}, {table}"


def summary() -> str:
    """One line: whether segue can run here, and missing extras."""
    broken = [name for name, value in facts() if value.startswith(("not known", "not installed"))]
    missing = [name for name, packages in extras().items() if not all(map(_version, packages))]
    state = f"problems: {', '.join(broken)}" if broken else "everything that segue needs is there"
    return f"{state}; extras not installed: {', '.join(missing) or 'none'}"


def _codecs() -> Facts:
    from segue.video.decoding.decode import known_codecs

    yield "decodes", ", ".join(known_codecs()) or "none of the usual codecs"


def _opencv() -> Facts:
    import cv2

    yield "opencv", re.sub(r"\s+", " ", cv2.__version__)


def _extras() -> Facts:
    for extra, packages in extras().items():
        versions = {package: _version(package) for package in packages}
        packages_text = ", ".join(
            f"{package} {version or 'not installed'}" for package, version in versions.items()
        )
        yield (
            f"extra {extra}",
            packages_text if all(versions.values()) else f"{packages_text}: {install_command(extra)}",
        )


def _folder() -> Facts:
    folder = cache_folder()
    existing = next(place for place in (folder, *folder.parents) if exists(place))
    free = f"{shutil.disk_usage(existing).free >> 20} MiB free"
    writable = os.access(existing, os.W_OK | os.X_OK)
    yield "cache folder", f"{folder}, {free if writable else 'cannot be written; SEGUE_HOME names another'}"


_PARTS: Mapping[str, Callable[[], Facts]] = {
    "packages": _packages,
    "processor": _processor,
    "cuda": _graphics,
    "default device": _device,
    "layers": _layers,
    "decodes": _codecs,
    "opencv": _opencv,
    "extras": _extras,
    "cache folder": _folder,
}
"""Parts of the output by name; the name is shown if a part fails."""


def requirements() -> dict[str, str]:
    """Required packages with their versions."""
    lines = importlib.metadata.requires("segue") or ()
    names = [_name(line) for line in lines if "extra ==" not in line]
    return {name: _version(name) or "not installed" for name in names}


def extras() -> dict[str, list[str]]:
    """Packages of each extra for users, from metadata or :data:`EXTRAS`."""
    try:
        lines = importlib.metadata.requires("segue") or ()
    except importlib.metadata.PackageNotFoundError:  # run from its sources
        return {extra: list(packages) for extra, packages in EXTRAS.items()}
    packages: dict[str, list[str]] = {}
    for line in lines:
        for extra in re.findall(r"""extra == ['"]([\w-]+)['"]""", line):
            packages.setdefault(extra, []).append(_name(line))
    return packages


def self_test(device: str | None = None) -> str:
    """Track the objects of the bundled video for some frames, and check their boxes."""
    from segue.masks.files import read_index_mask

    first = read_index_mask(ASSETS / "sample" / "first.png")
    start = time.perf_counter()
    with segue.track(ASSETS / "sample" / "video.mp4", {0: first}, device=device) as results:
        *_, last = itertools.islice(results, TEST_FRAMES)
    seconds = time.perf_counter() - start
    boxes = {item.id: item.box for item in last.objects if item.box is not None}
    if boxes.keys() != BOXES.keys():
        raise RuntimeError(f"objects {sorted(boxes)} are seen in the bundled video, not {sorted(BOXES)}")
    off = max(abs(a - b) for i, box in boxes.items() for a, b in zip(box, BOXES[i], strict=True))
    line = f"{TEST_FRAMES} frames in {seconds:.1f} s, boxes within {off:g} pixels"
    if off > TOLERANCE:
        raise RuntimeError(f"objects of the bundled video are followed wrongly here: {line}")
    return line


def _name(requirement: str) -> str:
    return re.split(r"[\s<>=!~;\[]", requirement, maxsplit=1)[0]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _yes(value: bool) -> str:
    return "yes" if value else "no"
