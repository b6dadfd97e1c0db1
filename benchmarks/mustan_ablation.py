"""The checks that the MUSTAN paper names as next steps: a training for each row, F on scenes left out.

Examples::

    python benchmarks/mustan_ablation.py --cdnet CDNET --isd ISD --leave-out highway,office \
        --out runs/ablation -- --init resnet18.pth --steps 40000

    python benchmarks/mustan_ablation.py --cdnet CDNET --isd ISD --leave-out highway,office \
        --out runs/small -- --width 0.25 --size 96x128 --steps 1000 --workers 0 --device cpu

What follows ``--`` goes to every ``segue train``; the command of each training is printed before it runs.
Trainings that are complete are not run again, others go on where they stood. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import torch

from machine import describe, names_of
from segue.datasets.foreground import ForegroundSequence
from segue.errors import SegueError
from segue.models.base import ForegroundNetwork
from segue.training.foreground_material import Films, gather_films
from segue.training.validation import score
from segue.weights import load, read_checkpoint

Data = Literal["all", "rendered", "one left out"]
"""What a row learns from: all films but the scenes that score; those among them that are rendered; one
training for each scene that scores, on all films but this scene."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        name: folder of its run.
        label: what it is in the table.
        options: options of the command besides data and output.
        data: see :data:`Data`.
    """

    name: str
    label: str
    options: tuple[str, ...] = ()
    data: Data = "all"


CHECKS: dict[str, tuple[Row, ...]] = {
    "base": (Row("base", "three frames, attention"),),
    "frm": (
        Row("frm-none", "without refinement (FRM)", ("--frm", "none")),
        Row("frm-concat", "concatenation instead of attention", ("--frm", "concat")),
    ),
    "frames": (
        Row("frames-5", "five frames", ("--frames", "5")),
        Row("frames-7", "seven frames", ("--frames", "7")),
    ),
    "data": (
        Row("isd-only", "rendered films only", data="rendered"),
        Row("others", "each scene by a training that leaves out this scene alone", data="one left out"),
    ),
}
"""Trainings by what they check; all others are compared with ``base``."""


def main() -> None:
    options = parse()
    try:
        films = gather_films(data(options), exclude=options.leave_out)
        scenes = [shortened(film, options.score_frames) for film in films.left_out]
        print(describe(torch.get_num_threads()))
        print(f"{len(films.real)} real and {len(films.rendered)} rendered films to learn from")
        results = [(row.label, measure(row, options, scenes)) for row in rows(options, films)]
    except SegueError as error:
        sys.exit(f"error: {error}")
    print(f"\n{table(options.network, [scene.name for scene in scenes], results)}")


def rows(options: argparse.Namespace, films: Films) -> Iterator[Row]:
    """The rows that were asked for and that differ from ``base``."""
    differs = {
        "all": True,
        "rendered": bool(films.real and films.rendered),
        "one left out": len(films.left_out) > 1,
    }
    for check in options.checks:
        yield from (row for row in CHECKS[check] if differs[row.data])


def measure(row: Row, options: argparse.Namespace, scenes: Sequence[ForegroundSequence]) -> list[float]:
    """Train what a row needs unless it is there; gives F on each scene."""
    if row.data != "one left out":
        network = trained(row, options, row.name, options.leave_out)
        return [score(network, scene) for scene in scenes]
    return [score(trained(row, options, f"{row.name}-{scene.name}", [scene.key]), scene) for scene in scenes]


def trained(
    row: Row, options: argparse.Namespace, folder: str, leave_out: Sequence[str]
) -> ForegroundNetwork:
    """The network of a run, trained to its end."""
    out = options.out / folder
    command = [options.network, *row.options, *options.train, "--out", str(out)]
    rendered_only = row.data == "rendered"
    for source in data(options, rendered_only=rendered_only):
        command += ["--data", source]
    if not rendered_only:
        command += ["--exclude", ",".join(leave_out)]
    print("segue train " + shlex.join(command), flush=True)
    weights = out / f"{options.network}.safetensors"
    notes = read_checkpoint(weights).metadata if weights.exists() else None
    if notes is None or notes["step"] != notes["steps"]:
        go_on = [] if notes is None else ["--resume"]
        subprocess.run([sys.executable, "-m", "segue", "train", *command, *go_on], check=True)
    return cast(ForegroundNetwork, load(options.network, weights))


def data(options: argparse.Namespace, *, rendered_only: bool = False) -> list[str]:
    """Folders as ``segue train`` takes them."""
    real = [f"cdnet={options.cdnet}"] if options.cdnet and not rendered_only else []
    return real + ([f"isd={options.isd}"] if options.isd else [])


def shortened(film: ForegroundSequence, frames: int | None) -> ForegroundSequence:
    """The beginning of a film."""
    return replace(film, frames=film.frames[:frames], numbers=film.numbers[:frames])


def table(network: str, scenes: Sequence[str], results: Sequence[tuple[str, Sequence[float]]]) -> str:
    """Markdown: one row for each training, F of each scene and their mean."""
    lines = [f"| {network} | {' | '.join(scenes)} | mean |", "|" + " --- |" * (len(scenes) + 2)]
    for label, scores in results:
        cells = [*scores, sum(scores) / len(scores)]
        lines.append(f"| {label} | {' | '.join(f'{value:.3f}' for value in cells)} |")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=("mustan1", "mustan2"), default="mustan2")
    parser.add_argument("--cdnet", help="CDnet 2014, or films in its layout")
    parser.add_argument("--isd", help="films of `segue synth isd`")
    parser.add_argument(
        "--leave-out", type=lambda text: text.split(","), required=True, help="scenes that score"
    )
    parser.add_argument("--checks", type=names_of(CHECKS), default=list(CHECKS), help="default: all")
    parser.add_argument("--score-frames", type=int, help="score only so many first frames of each scene")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("train", nargs="*", help="options of every `segue train`, after --")
    options = parser.parse_args()
    if not options.cdnet and not options.isd:
        parser.error("give --cdnet, --isd or both")
    return options


if __name__ == "__main__":
    main()
