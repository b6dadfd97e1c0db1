"""The table of all networks in docs/models.md: what each is, and the CPU time and memory of a frame here.

Example::

    python -m benchmarks.speed.zoo                          # prints the table
    python -m benchmarks.speed.zoo --write docs/models.md  # replaces the table of the page
    python -m benchmarks.speed.zoo --only sam2-large,stm --limit 900 --write docs/models.md

Names, sizes, terms, prompts and export come from the registry; published figures from the pages of the
networks. How each network is measured, on a video of 480x854 pixels with one object or ten: one_network.py.
Networks that need optical flow are not measured.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import torch

from benchmarks.bench import between, written
from benchmarks.lib.machine import describe
from benchmarks.lib.one_network import Case, cost
from segue.registry import MODELS, Entry
from segue.utils.files import write_complete

TASKS = {
    "track": "track",
    "foreground": "find what moves",
    "instances": "find, name, track",
    "prompt": "masks of clicks and boxes",
    "detect": "find in images",
}
MEASURED = ("track", "foreground", "instances")
LIMIT = 60.0
"""Seconds of a clock after which a network is given up; two frames must be done by then."""
DOCS = Path(__file__).resolve().parents[2] / "docs"
SECTION = "zoo"
"""Name of the markers between which the table stands, see ``bench.py``."""

PUBLISHED = {
    "stcn": "DAVIS 2017 val J&F 85.3 (release)",
    "stm": "DAVIS 2017 val J 79.2 (paper)",
    "xmem": "DAVIS 2017 val J&F 86.2 (release)",
    "cutie": "DAVIS 2017 val J&F 87.9 (as the SAM 2 paper tests it)",
    "sam2-tiny": "SA-V test J&F 76.5 (release)",
    "sam2-small": "SA-V test J&F 76.6 (release)",
    "sam2-base+": "SA-V test J&F 78.2 (release)",
    "sam2-large": "SA-V test J&F 79.5 (release)",
    "edgetam": "SA-V test J&F 71.7 (release)",
    "mustan2": "SBI2015 F 0.7933 (paper)",
    "fgsegnet": "SBI2015 F 0.7595 (MUSTAN paper)",
    "seqformer-r50": "YouTube-VIS 2019 val AP 47.4 (release)",
    "seqformer-r101": "YouTube-VIS 2019 val AP 49.0 (release)",
    "seqformer-x101": "YouTube-VIS 2019 val AP 51.2 (release)",
    "seqformer-swin-l": "YouTube-VIS 2019 val AP 59.3 (release)",
    "msstsvis-r50": "YouTube-VIS 2019 val AP 50.1 (paper)",
    "msstsvis-r101": "YouTube-VIS 2019 val AP 51.1 (paper)",
    "msstsvis-swin-l": "YouTube-VIS 2019 val AP 61.0 (paper)",
}
"""Figures of the authors, with their source; ours stand on the pages of our networks."""


def listed() -> Iterator[Entry]:
    """The networks of the table: those with weights, without those of other libraries."""
    for entry in MODELS:
        if entry.task in TASKS and entry.signature is not None and not entry.packages:
            yield entry


def page(name: str) -> str | None:
    """The page of a network, relative to docs/: the longest page name that its name begins with."""
    family = {"stam": "hofam"}
    wanted = next((of for start, of in family.items() if name.startswith(start)), name)
    pages = sorted((path.stem for path in (DOCS / "systems").glob("*.md")), key=len, reverse=True)
    return next((f"systems/{stem}.md" for stem in pages if wanted.startswith(stem)), None)


def measured(entry: Entry, objects: int, limit: float) -> str:
    """Time and memory of a network, as a cell of the table."""
    try:
        found = cost(Case(entry.name, objects=objects), limit)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return ""
    return str(found) if found else f"not done in {limit:.0f} s"


def row(entry: Entry, limit: float | None) -> list[str]:
    """The cells of one network, without time and memory where there is no ``limit``."""
    with torch.device("meta"):
        network = entry.build()
    count = sum(value.numel() for value in network.parameters())
    size = (
        len((resources.files("segue") / "assets" / entry.bundled).read_bytes())
        if entry.bundled
        else 4 * count
    )
    return [
        f"[{entry.name}]({page(entry.name)})" if page(entry.name) else f"`{entry.name}`",
        TASKS[entry.task],
        f"{count / 1e6:.1f} M",
        f"{size / 1e6:.1f} MB, {'in the package' if entry.bundled else 'yours'}",
        entry.licence or "that of your training",
        PUBLISHED.get(entry.name, ""),
        {"track": ", ".join(sorted(entry.prompts)), "prompt": "box, point"}.get(entry.task, ""),
        "ONNX" if getattr(network, "graphs", None) else "",
        measured(entry, 1, limit) if limit and entry.task in MEASURED and not entry.needs_flow else "",
        measured(entry, 10, limit) if limit and entry.task == "track" else "",
    ]


HEAD = [
    "name",
    "job",
    "weights",
    "file",
    "terms of the weights",
    "published",
    "prompts",
    "export",
    "a frame, memory",
    "with ten objects",
]

NAME = re.compile(r"\| [\[`]([\w+.-]+)[\]`]")
"""Begins the line of a network."""


def rows(only: set[str] | None, limit: float | None) -> dict[str, str]:
    """The lines of networks by their names, in the order of the table."""
    entries = [entry for entry in listed() if not only or entry.name in only]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each waits for processes of one thread
        made = {}
        for entry, cells in zip(entries, pool.map(lambda item: row(item, limit), entries), strict=True):
            made[entry.name] = "| " + " | ".join(cells) + " |"
            print(made[entry.name], file=sys.stderr, flush=True)
    return made


def table(lines: Iterable[str]) -> str:
    """Lines with their head, and the machine that they were measured on."""
    head = ["| " + " | ".join(HEAD) + " |", "| " + " | ".join("---" for _ in HEAD) + " |"]
    return "\n".join([*head, *lines, "", f"Measured on: {describe(1)}; {os.cpu_count()} networks at a time."])


def renewed(old: str, made: Mapping[str, str]) -> str:
    """A table in which lines of some networks are new.

    Raises:
        ValueError: the others were measured on another machine.
    """
    found = (NAME.match(line) for line in old.splitlines())
    lines = {match[1]: match.string for match in found if match} | dict(made)
    renewed = table(lines[entry.name] for entry in listed() if entry.name in lines)
    if old.splitlines()[-1] != renewed.splitlines()[-1]:
        raise ValueError(
            "the table was measured on another machine, or with other versions: leave out --only"
        )
    return renewed


def main() -> None:
    """Print or write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="names, separated by commas; other rows of the page stay")
    parser.add_argument("--write", type=Path, help="page whose table is replaced")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for a network (default: 60)")
    parser.add_argument("--without-measures", action="store_true", help="leave time and memory out")
    options = parser.parse_args()
    only = set(options.only.split(",")) if options.only else None
    if only and options.write is not None:  # fails before anything is measured
        renewed(between(options.write.read_text(encoding="utf-8"), SECTION), {})
    made = rows(only, None if options.without_measures else options.limit)
    if options.write is None:
        print(table(made.values()))
        return
    text = options.write.read_text(encoding="utf-8")
    found = renewed(between(text, SECTION), made) if only else table(made.values())
    write_complete(options.write, written(text, SECTION, found).encode())


if __name__ == "__main__":
    main()
