"""Run the benchmarks on this machine and write their tables into docs/benchmarks.md (``make bench``).

Each section of the page has a command and a place between two markers for what it prints, with machine,
commit, day and load. Nothing is written where another program was busy meanwhile, unless with ``--force``,
which notes the load. What stands on the page from another commit and is not measured again is taken away.

Example::

    python -m benchmarks.bench --only scores,start
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen
from tempfile import TemporaryFile

import segue
from benchmarks.lib.machine import IDLE, Load, busiest, others_use, said
from segue.utils.allocation import prepare_process
from segue.utils.files import write_complete

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page.

    Attributes:
        command: what is run, in the words of the page, with ``python`` first.
        long: whether it takes minutes or data, so that only ``--long`` or ``--only`` runs it.
    """

    command: str
    long: bool = False

    def arguments(self) -> list[str]:
        """The command as it is run here."""
        return [sys.executable, *shlex.split(self.command)[1:]]


SECTIONS = {
    "processor": Section("python -m benchmarks.speed.processors"),
    "stcn": Section("python -m benchmarks.speed.track --models stcn --objects 1 --memory 10,50 --frames 4"),
    "stm": Section("python -m benchmarks.speed.track --models stm --objects 5 --memory 5 --frames 2"),
    "instances": Section("python -m benchmarks.speed.instances --frames 3 --size 360x640 --rounds 1"),
    "recurrent": Section(
        "python -m benchmarks.speed.recurrent --models xmem,cutie --objects 1 --size 240x432 --frames 4 "
        "--no-memory"
    ),
    "foreground": Section("python -m benchmarks.speed.foreground --models mustan-lite,median --frames 60"),
    "start": Section("python -m benchmarks.speed.startup --repeats 3"),
    "faces": Section("python -m benchmarks.speed.faces --rounds 3"),
    "seeking": Section("python -m benchmarks.speed.seeking"),
    "costs": Section(
        "python -m benchmarks.memory.costs --models stcn-lite,stcn,xmem,cutie-small,sam2-tiny,mustan-lite,"
        "msstsvis-lite,seqformer-r50 --limit 45 --keep runs/costs.jsonl",
        long=True,
    ),
}
"""By the names of their markers, in the order of the page."""


class BusyError(Exception):
    """Another program uses the processor."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where figures come from.

    Attributes:
        commit: its number; None outside of a git repository, as in an unpacked source archive.
        changed: whether the files differ from it.
    """

    commit: str | None
    changed: bool

    @classmethod
    def here(cls) -> Origin:
        """Of the working tree."""
        git = ["git", "-C", str(ROOT)]
        state = [*git, "status", "--porcelain", "--", "src", "benchmarks"]
        try:
            commit, changed = (
                subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
                for words in ([*git, "rev-parse", "--short=8", "HEAD"], state)
            )
        except (OSError, subprocess.CalledProcessError):
            return cls(None, changed=False)
        return cls(commit, bool(changed))

    def __str__(self) -> str:
        if self.commit is None:
            return f"version {segue.__version__}"
        return f"commit {self.commit}" + (" with changes" if self.changed else "")


def run(section: Section, origin: Origin, *, force: bool) -> str:
    """What stands between the markers: where the figures come from, and what the command prints.

    Raises:
        BusyError: another program used the processor meanwhile, and nobody forces it.
        RuntimeError: the command failed.
    """
    before, begun = Load.now(), time.monotonic()
    with TemporaryFile("w+", encoding="utf-8") as printed:
        with Popen(section.arguments(), cwd=ROOT, stdout=printed, stderr=PIPE, text=True) as process:
            said_last: deque[str] = deque(maxlen=40)
            for line in process.stderr or ():  # how it goes on
                print(line, end="", file=sys.stderr, flush=True)
                said_last.append(line)
        if process.returncode:
            why = "".join(said_last).strip()
            raise RuntimeError(f"{section.command}: ended with {process.returncode}\n{why}")
        printed.seek(0)
        text = printed.read().strip()
    others = before.others()
    if others is not None and others > IDLE and not force:
        raise BusyError(f"{section.command}: {said(others)} meanwhile; nothing was written")
    seconds = time.monotonic() - begun
    summary = f"Measured on {time.strftime('%Y-%m-%d')} at {origin} in {seconds:.0f} s; {said(others)}."
    return f"{summary}\n\n{text}"


def between(page: str, name: str) -> str:
    """What stands between the markers of a section.

    Raises:
        ValueError: they are not there.
    """
    found = _place(name).search(page)
    if found is None:
        raise ValueError(f"the page has no place for {name}: <!-- bench:{name} --> and <!-- end:{name} -->")
    return found[2].strip()


def written(page: str, name: str, text: str) -> str:
    """The page with other text between the markers of a section."""
    between(page, name)
    return _place(name).sub(lambda found: f"{found[1]}\n{text}\n{found[3]}", page)


def without_old(page: str, origin: Origin) -> str:
    """The page without figures that are of another commit."""
    for name, section in SECTIONS.items():
        text = between(page, name)
        if "Measured on " in text and f" at {origin} in " not in text:
            option = "BENCH_ARGS=--long " if section.long else ""
            page = written(page, name, f"Not measured since the last change; `make {option}bench` does.")
    return page


def _place(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- bench:{name} -->\n)(.*?)(\n<!-- end:{name} -->)", re.DOTALL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sections and write each as soon as it is there; 1 where something was busy or failed."""
    prepare_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", help=f"sections, of {','.join(SECTIONS)}")
    parser.add_argument("--long", action="store_true", help="also those that take minutes or data")
    parser.add_argument("--force", action="store_true", help="also on a busy machine; the load is noted")
    parser.add_argument(
        "--page", type=Path, default=PAGE, help="where the tables go (default: docs/benchmarks.md)"
    )
    options = parser.parse_args(arguments)
    names = (
        options.only.split(",")
        if options.only
        else [n for n in SECTIONS if options.long or not SECTIONS[n].long]
    )
    if unknown := [name for name in names if name not in SECTIONS]:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(SECTIONS)}")
    try:
        measure(names, options.page, force=options.force)
    except BusyError as error:
        print(f"bench: {error}; --force measures all the same and notes the load", file=sys.stderr)
        return 1
    except RuntimeError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def measure(names: Sequence[str], page: Path, *, force: bool) -> None:
    """Run sections and write them into a page.

    Raises:
        BusyError: before or meanwhile another program used the processor, and nobody forces it.
        RuntimeError: a command failed.
    """
    others = others_use()
    if others is not None and others > IDLE and not force:
        raise BusyError("; ".join([said(others), *busiest()]))
    origin = Origin.here()
    text = without_old(page.read_text(encoding="utf-8"), origin)
    for name in names:
        print(f"{name}: {SECTIONS[name].command}", flush=True)
        text = written(text, name, run(SECTIONS[name], origin, force=force))
        write_complete(page, text.encode())


if __name__ == "__main__":
    sys.exit(main())
