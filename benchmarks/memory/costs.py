"""How time and memory grow with image size, objects and memory frames: tables, and an image of them.

Example::

    python -m benchmarks.memory.costs                                    # the three tables
    python -m benchmarks.memory.costs --models stcn-lite,cutie --axes size,objects
    python -m benchmarks.memory.costs --plot docs/images/costs.svg  # needs the extra notebooks (matplotlib)
    python -m benchmarks.memory.costs --keep runs/costs.jsonl  # goes on where it was interrupted

Starts from a video of 480x854 pixels with one object and changes one thing at a time. Each case runs in a
process of its own on one thread; seconds are those of the processor, memory is the largest resident size of
the process. A case that is likely to take longer than ``--limit`` seconds, going by the one before, is not
tried: its cell says so.

``--keep`` writes each cost into a file as it comes. A run after an interruption takes what was
measured on the same machine at the same commit, and says how much that is; a run that ends removes the file.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from threading import Lock

from benchmarks.bench import Origin
from benchmarks.lib.machine import describe, names_of
from benchmarks.lib.one_network import Case, Cost, cost
from segue.registry import MODELS
from segue.utils.allocation import prepare_process

REAL_TIME = 25
"""Frames a second of a video."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that changes.

    Attributes:
        title: heading of the table.
        change: the case with another value.
        values: in ascending cost.
        label: a value as the head of a column.
        tracking: only networks for tracking know it.
    """

    title: str
    change: Callable[[Case, int], Case]
    values: tuple[int, ...]
    label: Callable[[int], str]
    tracking: bool = True


def _sized(case: Case, height: int) -> Case:
    return replace(case, height=height, width=round(height * 16 / 9))


AXES = {
    "size": Axis("Image size", _sized, (120, 240, 480, 720, 1080, 2160), "{}p".format, tracking=False),
    "objects": Axis("Objects", lambda case, n: replace(case, objects=n), (1, 3, 10), "{}".format),
    "memory": Axis(  # a small image: twenty frames go through the network before the first that is timed
        "Memory frames at 240p",
        lambda case, n: replace(_sized(case, 240), memory=n),
        (1, 5, 20),
        "{}".format,
    ),
    "largest": Axis(
        "Ten objects", lambda case, n: replace(_sized(case, n), objects=10), (480, 1080, 2160), "{}p".format
    ),
}
MODELS_SHOWN = (
    "stcn-lite",
    "stcn",
    "stm",
    "xmem",
    "cutie-small",
    "cutie",
    "sam2-tiny",
    "mustan-lite",
    "mustan2",
    "msstsvis-lite",
    "seqformer-r50",
    "msstsvis-r50",
)


class Kept:
    """Costs that are in a file as soon as they are measured, for a run that goes on after an interruption.

    Args:
        path: the file, a JSON value a line; None keeps nothing.
        machine, commit: where costs are measured; those of another machine or commit, and of files that
            differ from their commit, are measured again. No commit where nothing is kept.
    """

    def __init__(self, path: Path | None, machine: str, commit: Origin | None) -> None:
        self._path, self._lock, self._origin = path, Lock(), f"{machine}, {commit}"
        self._known: dict[str, Cost | None] = {}
        self.reused = 0
        if path is not None and path.exists() and commit is not None and not commit.changed:
            self._known = dict(self._read(path))

    def _read(self, path: Path) -> Iterable[tuple[str, Cost | None]]:
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                origin, case, found = json.loads(line)
            except ValueError:  # the run ended while it wrote this line
                continue
            if origin == self._origin:
                yield json.dumps(case), found and Cost(**found)

    def cost(self, case: Case, limit: float) -> Cost | None:
        """The cost of a case, see :func:`one_network.cost`: as it was measured before, or now."""
        key = [asdict(case), limit]  # whether a case takes too long depends on the limit
        with self._lock:
            if json.dumps(key) in self._known:
                self.reused += 1
                return self._known[json.dumps(key)]
        found = cost(case, limit)
        if self._path is not None:
            line = json.dumps([self._origin, key, found and asdict(found)])
            with self._lock, self._path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        return found

    def end(self) -> None:
        """Remove the file: all is printed."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def row(axis: Axis, name: str, limit: float, kept: Kept) -> list[Cost | None]:
    """The costs of a network along an axis; None from where a case takes, or would take, too long."""
    found: list[Cost | None] = []
    for value in axis.values:
        before = found[-1] if found else Cost(0, 0)
        if before is None or before.seconds * 8 > limit:  # the next value costs about four times as much
            found.append(None)
        else:
            found.append(kept.cost(axis.change(Case(name), value), limit))
            said = found[-1] or f"not done in {limit:g} s"
            print(f"{axis.title}, {axis.label(value)}, {name}: {said}", file=sys.stderr, flush=True)
    return found


def real_time_up_to(axis: Axis, costs: Sequence[Cost | None]) -> str:
    """The largest short side with 25 frames a second, between two measured ones along a power law."""
    sides = [(value, found.seconds) for value, found in zip(axis.values, costs, strict=True) if found]
    budget = 1 / REAL_TIME
    if not sides or sides[0][1] > budget:
        return f"below {axis.label(axis.values[0])}"
    for (low, fast), (high, slow) in pairwise(sides):
        if slow > budget:
            slope = math.log(slow / fast) / math.log(high / low)
            return f"{low * (budget / fast) ** (1 / slope):.0f}p"
    return f"{sides[-1][0]}p at least"


def table(key: str, names: Sequence[str], costs: Sequence[Sequence[Cost | None]]) -> str:
    """The table of an axis in Markdown."""
    axis = AXES[key]
    head = ["network", *map(axis.label, axis.values)]
    if key == "size":
        head.append(f"{REAL_TIME} frames a second up to")
    lines = [f"**{axis.title}**", "", f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for name, found in zip(names, costs, strict=True):
        cells = [name, *(str(item) if item else "too long" for item in found)]
        if key == "size":
            cells.append(real_time_up_to(axis, found))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(path: Path, tables: dict[str, tuple[Sequence[str], Sequence[Sequence[Cost | None]]]]) -> None:
    """Time and memory along each axis, one line for each network."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(tables), 7), layout="constrained")
    panels = figure.subplots(2, len(tables), squeeze=False)
    for column, (key, (names, costs)) in enumerate(tables.items()):
        axis = AXES[key]
        for line, (panel, unit) in enumerate(
            zip(panels[:, column], ("CPU seconds a frame", "MiB"), strict=True)
        ):
            for name, found in zip(names, costs, strict=True):
                points = [(v, c) for v, c in zip(axis.values, found, strict=True) if c]
                heights = [c.mebibytes if line else c.seconds for _, c in points]
                panel.plot([v for v, _ in points], heights, marker=".", label=name)
            panel.set(xscale="log", yscale="log", title=axis.title, ylabel=unit)
            panel.set_xticks(axis.values, map(axis.label, axis.values))
            panel.minorticks_off()
        panels[0, column].axhline(1 / REAL_TIME, color="grey", linestyle=":", linewidth=1)
    panels[0, 0].legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None})


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    prepare_process()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [entry.name for entry in MODELS]
    parser.add_argument("--models", type=names_of(known), default=MODELS_SHOWN, help="networks, by commas")
    parser.add_argument("--axes", type=names_of(AXES), default=tuple(AXES), help=f"of {','.join(AXES)}")
    parser.add_argument("--limit", type=float, default=120, help="seconds of a case (default: 120)")
    parser.add_argument(
        "--keep", type=Path, help="file of costs for a run that goes on after an interruption"
    )
    parser.add_argument("--plot", type=Path, help="write an image (SVG, PNG)")
    options = parser.parse_args(arguments)
    machine = describe(1)
    if options.keep:
        options.keep.parent.mkdir(parents=True, exist_ok=True)
    kept = Kept(options.keep, machine, Origin.here() if options.keep else None)
    print(f"Measured on {machine}; by default one object in a frame of 480x854 pixels.")
    tables: dict[str, tuple[Sequence[str], Sequence[Sequence[Cost | None]]]] = {}
    for key in options.axes:
        axis = AXES[key]
        names = [n for n in options.models if not axis.tracking or MODELS.find(n).task == "track"]
        costs = _rows(axis, names, options.limit, kept)
        tables[key] = names, costs
        print(f"\n{table(key, names, costs)}", flush=True)
    if options.plot:
        plot(options.plot, tables)
    if kept.reused:
        print(f"\n{kept.reused} of the costs are from an earlier run at this commit, which was interrupted.")
    kept.end()
    return 0


def _rows(axis: Axis, names: Iterable[str], limit: float, kept: Kept) -> list[list[Cost | None]]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each waits for processes of one thread
        return list(pool.map(lambda name: row(axis, name, limit, kept), names))


if __name__ == "__main__":
    sys.exit(main())
