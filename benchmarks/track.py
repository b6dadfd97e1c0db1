"""Speed and memory of tracking: segue against the published inference loops, written down plainly.

Both run the same random weights on the same made-up images, in turn, frame by frame; their results are
compared. The memory is filled artificially to the wanted number of frames. Prints Markdown tables.

Results differ by rounding. Where only the best positions of the memory are read, rounding also decides which
of two nearly equal ones is the last to be read; that shows as a few pixels with a larger difference. The
coarse-to-fine read of stcn-lite at 480p is an approximation, and --fast is another precision: there the
differences are real.

Example::

    python benchmarks/track.py --models stcn,stm --objects 1,5 --memory 10,50 --threads 2
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import torch

from machine import describe, names_of
from segue.allocation import prepare_process
from timing import NETWORKS, Case, Comparison, Timing, Variant, compare, peak_memory

GIB = 1 << 30
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """All that was measured on one case."""

    case: Case
    comparison: Comparison
    peaks: dict[Variant, int]


def measure(case: Case, memory_limit: float) -> Row:
    """Times, then peak memory; the plain loop is left out where it needs more than ``memory_limit`` GiB."""
    fits = case.plain_bytes() <= memory_limit * GIB
    variants: tuple[Variant, ...] = ("plain", "segue") if fits else ("segue",)
    comparison = compare(case, variants)
    return Row(case, comparison, {variant: peak_memory(case, variant) for variant in variants})


HEADER = (
    "| device | model | objects | memory frames | plain frames/s | segue frames/s | time ratio "
    "| plain MiB | segue MiB | memory ratio | largest difference | equal pixels |\n" + "| --- " * 12 + "|"
)


def main_row(row: Row) -> str:
    """One case: speed, memory, agreement."""
    case, found = row.case, row.comparison
    plain = found.plain
    cells = [
        case.device,
        case.model,
        str(case.objects),
        str(case.memory),
        f"{1 / plain.total:.2f}" if plain else f"needs {case.plain_bytes() / GIB:.0f} GiB",
        f"{1 / found.segue.total:.2f}",
        f"{found.segue.total / plain.total:.2f}" if plain else "–",
        f"{row.peaks['plain'] / MIB:.0f}" if plain else "–",
        f"{row.peaks['segue'] / MIB:.0f}",
        f"{row.peaks['segue'] / row.peaks['plain']:.2f}" if plain else "–",
        f"{found.difference:.1e}" if found.difference is not None else "–",
        f"{found.equal:.5f}" if found.equal is not None else "–",
    ]
    return f"| {' | '.join(cells)} |"


def parts_table(rows: Sequence[Row]) -> str:
    """Milliseconds and share of each part of a frame."""
    names = list(rows[0].comparison.segue.parts)
    lines = [
        f"| device | model | objects | memory frames | loop | {' | '.join(names)} |",
        "| --- " * (5 + len(names)) + "|",
    ]
    for row in rows:
        case = row.case
        pairs: list[tuple[str, Timing | None]] = [
            ("plain", row.comparison.plain),
            ("segue", row.comparison.segue),
        ]
        for variant, timing in pairs:
            if timing:
                cells = " | ".join(_part(timing, name) for name in names)
                start = f"| {case.device} | {case.model} | {case.objects} | {case.memory} | {variant} |"
                lines.append(f"{start} {cells} |")
    return "\n".join(lines)


def _part(timing: Timing, name: str) -> str:
    seconds = timing.parts[name]
    return f"{1000 * seconds:.0f} ms ({seconds / sum(timing.parts.values()):.0%})"


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """All combinations that were asked for."""
    height, width = options.size
    for device in options.devices:
        for model in options.models:
            for objects in options.objects:
                for memory in options.memory:
                    yield Case(
                        model, objects, memory, height, width, options.frames, options.threads, device,
                        options.fast,
                    )  # fmt: skip


def as_json(row: Row) -> dict[str, object]:
    """All numbers of a case; seconds and bytes."""
    return {"case": asdict(row.case), **asdict(row.comparison), "peak_bytes": row.peaks}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line."""
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("--models", type=names_of(NETWORKS), default=list(NETWORKS), help=f"of {','.join(NETWORKS)}")
    add("--objects", type=_numbers, default=[1, 3, 10], help="numbers of objects (default: 1,3,10)")
    add("--memory", type=_numbers, default=[1, 5, 10, 20, 50], help="memory frames (default: 1,5,10,20,50)")
    add("--size", type=_size, default=(480, 854), help="height x width (default: 480x854)")
    add("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    add("--frames", type=_even, default=6, help="timed frames of a case, even (default: 6)")
    add("--devices", type=names_of(devices), default=devices, help=f"of {','.join(devices)}")
    add("--fast", action="store_true", help="segue in bfloat16; the plain loop stays in float32")
    add("--memory-limit", type=float, default=10, help="GiB that the plain loop may need (default: 10)")
    add("--quick", action="store_true", help="a small image, few cases, two frames: does it run?")
    add("--json", type=argparse.FileType("w"), help="write all numbers here")
    options = parser.parse_args(arguments)
    if options.quick:
        options.objects, options.memory, options.size, options.frames = [1, 2], [1, 3], (96, 128), 2
    return options


def _numbers(text: str) -> list[int]:
    numbers = [int(part) for part in text.split(",")]
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"{min(numbers)} is less than 1")
    return numbers


def _size(text: str) -> tuple[int, int]:
    height, width = (int(part) for part in text.split("x"))
    return height, width


def _even(text: str) -> int:
    number = int(text)
    if number < 2 or number % 2:
        raise argparse.ArgumentTypeError(f"{number} is not even and at least 2")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; numbers appear as they are found."""
    prepare_process()
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    for device in options.devices:
        print(f"Measured on {describe(options.threads, device)}.")
    height, width = options.size
    print(f"Images {width}x{height}, random weights (none are published with segue for STCN and STM).\n")
    print(HEADER, flush=True)
    rows = []
    for case in cases(options):
        rows.append(measure(case, options.memory_limit))
        print(main_row(rows[-1]), flush=True)
    print(f"\n{parts_table(rows)}")
    if options.json:
        json.dump([as_json(row) for row in rows], options.json, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
