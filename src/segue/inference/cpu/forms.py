"""Forms of convolutions on a CPU, from a table of break-even points.

The table in the package is written by ``python -m benchmarks.speed.forms --write``, one of this machine by
``segue doctor --tune``. Nothing else times anything, so that the same input gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch

from segue.errors import CheckpointError, SinkError
from segue.inference.cpu.features import InstructionSet, instruction_set
from segue.utils.cache import cache_folder, cached_file, warn_of_cache
from segue.utils.files import prepare
from segue.utils.inputs import parse_json
from segue.utils.notices import warn_caller
from segue.utils.system import processor_family

PACKAGED = Path(__file__).with_name("forms.json")
TUNED = "forms.json"
"""File of the cache folder with a table of this machine."""

NOTED = "forms-noted.txt"
"""File of the cache folder that says that a person was told of a processor without a table."""


@dataclass(frozen=True, slots=True)
class Forms:
    """Choice of the form of each layer.

    Attributes:
        instruction_set: instruction set used by PyTorch and oneDNN.
        threads: among which Winograd's algorithm divides the work.
        winograd: by number of channels, the smaller one of input and output, the least number of positions
            from which a plain 3x3 convolution takes Winograd's algorithm; ascending.
    """

    instruction_set: InstructionSet
    threads: int
    winograd: tuple[tuple[int, int], ...]

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that differ if two runs use different forms."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:16]

    def takes_winograd(self, channels: int, positions: int) -> bool:
        """Whether a layer uses Winograd's algorithm for this many channels and positions."""
        minimum = None
        for wide, from_positions in self.winograd:
            if wide <= channels:
                minimum = from_positions
        return minimum is not None and positions >= minimum

    def as_json(self) -> dict[str, Any]:
        """Convert to JSON values for :meth:`of_json`; empty if all layers are direct."""
        values = {**asdict(self), "winograd": [list(pair) for pair in self.winograd]}
        return {} if self == DIRECT else values

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> Forms:
        """Parse JSON values; ValueError if invalid."""
        pairs = tuple((int(wide), int(minimum)) for wide, minimum in values["winograd"])
        return cls(values["instruction_set"], int(values["threads"]), pairs)


DIRECT = Forms("other", 1, ())
"""Forms in which every layer uses direct convolution."""

_RECORDED: ContextVar[Forms | None] = ContextVar("recorded forms", default=None)


def family_row(instructions: InstructionSet, family: str | None = None) -> str:
    """Name of the table rows of a processor family, by default of this one."""
    return f"{instructions} {processor_family() if family is None else family}"


def current() -> Forms:
    """Forms of newly prepared networks: recorded ones, or those of this machine and thread."""
    return _RECORDED.get() or of_machine(instruction_set(), torch.get_num_threads())


def recorded_forms() -> Forms | None:
    """Forms of an earlier run, inside :func:`recorded`."""
    return _RECORDED.get()


@contextmanager
def recorded(forms: Forms | None) -> Iterator[None]:
    """Use the forms of an earlier run for networks prepared inside; None changes nothing."""
    token = _RECORDED.set(_RECORDED.get() if forms is None else forms)
    try:
        yield
    finally:
        _RECORDED.reset(token)


def tuned_file() -> Path:
    """Path of the table of this machine, written by ``segue doctor --tune``."""
    return cache_folder() / TUNED


def of_machine(instructions: InstructionSet, threads: int, family: str | None = None) -> Forms:
    """Forms for an instruction set and a processor family, by default this one."""
    tables = _tuned_table(), _read(PACKAGED, 0)
    names = family_row(instructions, family), instructions
    rows = next((table[name] for table in tables for name in names if name in table), {})
    fitting = [count for count in rows if count <= threads]
    return Forms(instructions, threads, rows[max(fitting)] if fitting else ())


class ProcessorWarning(UserWarning):
    """No measurements exist for the processor of this machine."""


def is_measured(instructions: InstructionSet, family: str) -> bool:
    """Whether a table has measurements of a processor family or this machine."""
    if instructions in _tuned_table():
        return True
    rows = read_rows(PACKAGED)
    return family_row(instructions, family) in rows or family in rows[instructions].get("families", ())


@cache
def note_new_processor(family: str | None = None) -> None:
    """Warn once if no table has this processor family, by default this machine's."""
    family, instructions = processor_family() if family is None else family, instruction_set()
    if instructions == "other" or is_measured(instructions, family) or cached_file(NOTED) is not None:
        return
    warn_caller(
        f"layers were not measured on this processor ({family or 'unknown'}, {instructions}); on an idle "
        "machine `segue doctor --tune` does it in about a minute and may make networks faster",
        ProcessorWarning,
    )
    with suppress(OSError, SinkError):  # it is said again by the next process
        prepare(cache_folder() / NOTED)
        (cache_folder() / NOTED).write_text(f"{family}\n", encoding="utf-8")


def _tuned_table() -> Table:
    """Table of this machine; empty, with one warning, if it cannot be read."""
    path = cached_file(TUNED)
    if path is None:
        return {}
    try:
        return _read(path, path.stat().st_mtime_ns)
    except (OSError, CheckpointError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no table of forms"
        warn_of_cache(
            f"{path}: cannot be read ({why}); the table of the package counts; segue doctor --tune measures "
            "this one anew"
        )
        return {}


Table = dict[str, dict[int, tuple[tuple[int, int], ...]]]
"""Values of :attr:`Forms.winograd` by name and number of threads. A name is an instruction set, optionally
with a family of processors, such as ``AVX512 AuthenticAMD 25``; all others take the rows without one."""


@lru_cache(maxsize=8)
def _read(path: Path, changed: int) -> Table:
    return _table_of(read_rows(path))


def read_rows(path: Path) -> dict[str, Any]:
    """Read the rows of a table of forms.

    Args:
        path: JSON file.

    Returns:
        Its JSON values, by the name of each row.

    Raises:
        OSError: the file cannot be read.
        CheckpointError: it is no such table.
    """
    try:
        rows: dict[str, Any] = parse_json(path.read_text("utf-8"))
        _table_of(rows)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise CheckpointError(f"{path}: not a table of forms") from None
    return rows


def _table_of(rows: Mapping[str, Any]) -> Table:
    return {
        name: {
            int(threads): tuple((int(wide), int(minimum)) for wide, minimum in pairs)
            for threads, pairs in values["winograd"].items()
        }
        for name, values in rows.items()
    }
