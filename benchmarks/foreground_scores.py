"""Score foreground models on labelled films: F, precision and recall, from a cold start, frame by frame.

Example::

    python benchmarks/foreground_scores.py --data ../shared/data/foreground/cdnet2014 --shake \\
        --methods mustan-lite --methods median --methods "knn 800, median 9"

    python benchmarks/foreground_scores.py --data ../shared/data --scenes --methods envelope --isd runs/rooms

With ``--scenes`` the films are the groups of `foreground_scenes.py`: models are chosen by the mean of the
groups and the worst of them; with ``--isd`` rendered rooms are one more. ``--empty`` counts what is
foreground in scenes without anybody. ``--without STAGE`` leaves a stage of the session out, and says what it
gains on the groups that it was designed on and on all others. Every method sees the frames once,
in order, with nothing before the first one, and has the same settings for all films. Counts are those of
CDnet2014, pooled over a film; F of shadow, where shadow is labelled, is that of the pixels that the method
calls shadow. Prints Markdown tables. ``--keep FILE`` notes each film as soon as it is scored; the same
command goes on after an interruption, and one with more methods or groups measures only what lacks.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from foreground_clips import Film, Labels, read_films, shaken
from foreground_methods import CLASSICAL, FOLLOWED, TWO_PASSES, network_of, session
from foreground_pans import panning_films
from foreground_scenes import (
    development_scenes,
    empty_scenes,
    held_out_scenes,
    rendered_scenes,
    unseen_cut_outs,
)
from machine import describe
from segue.datasets.labels import OUTSIDE, SHADOW, UNKNOWN
from segue.inputs import sha256
from segue.metrics.foreground import Counts, ForegroundAccumulator
from segue.sessions import foreground_masks
from segue.sessions.foreground import ForegroundSession
from segue.sessions.stage_list import STAGES
from segue.types import Segmentation

Mask = npt.NDArray[np.bool_]

Key = tuple[str, str]  # names of a method and a film

ALARM = 0.001
"""Foreground on more than this share of an empty picture is a false alarm."""


@dataclass(frozen=True, slots=True)
class Score:
    """One method on one film.

    Attributes:
        counts: pixels over all labelled frames.
        seconds: for one frame, mean.
        shadow: pixels of shadow over all labelled frames.
    """

    counts: Counts
    seconds: float
    shadow: Counts


@dataclass
class Kept:
    """Scores in a file, which is written anew after each film.

    Attributes:
        path: the file; None keeps nothing.
        settings: what the scores depend on beside method and film; others in the file are an error.
        scores: by method and film.
    """

    path: Path | None
    settings: dict[str, object]
    scores: dict[Key, Score] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is None or not self.path.exists():
            return
        known = json.loads(self.path.read_text())
        if known["settings"] != self.settings:
            raise SystemExit(f"{self.path}: was made with {known['settings']}, not with {self.settings}")
        for item in known["scores"]:
            pixels, shadow = (Counts(**item[name]) for name in ("counts", "shadow"))
            self.scores[item["method"], item["film"]] = Score(pixels, item["seconds"], shadow)

    def add(self, method: str, film: str, found: Score) -> None:
        """Note a score."""
        self.scores[method, film] = found
        if self.path is None:
            return
        rows = [{"method": m, "film": f, **asdict(each)} for (m, f), each in self.scores.items()]
        part = self.path.with_name(f"{self.path.name}.part")
        part.write_text(json.dumps({"settings": self.settings, "scores": rows}, indent=1))
        part.replace(self.path)


def settings(options: argparse.Namespace) -> dict[str, object]:
    """What scores depend on beside method and film, as JSON has it."""
    return {
        "frames": options.frames,
        "fast": options.fast,
        "weights": {name: sha256(path) for name, path in options.weights.items()},
    }


def score(film: Film, model: ForegroundSession) -> Score:
    """Play a film through a session."""
    accumulator = ForegroundAccumulator(film.name, roi=film.roi, threshold=1)
    waiting: list[np.ndarray | None] = []
    frames, seconds, shadow = 0, 0.0, Counts()

    def take(result: Segmentation | None) -> None:
        nonlocal shadow
        if result is not None:
            labels = waiting.pop(0)
            if labels is not None:
                accumulator.update(result.mask == foreground_masks.FOREGROUND, labels)
                shadow += shadow_counts(result.mask == foreground_masks.SHADOW, labels, film.roi)

    for frame, labels in film.frames():
        waiting.append(labels)
        begun = time.perf_counter()
        result = model.step(frame)
        seconds += time.perf_counter() - begun
        frames += 1
        take(result)
    for result in model.finish():
        take(result)
    return Score(accumulator.counts, seconds / frames, shadow)


def shadow_counts(found: Mask, labels: Labels, roi: Mask) -> Counts:
    """Pixels of shadow in a mask and in the labels, where both are known."""
    known = (labels != UNKNOWN) & (labels != OUTSIDE) & roi
    found, true = found & known, (labels == SHADOW) & known
    hits = int((found & true).sum())
    wrong, missed = int(found.sum()) - hits, int(true.sum()) - hits
    return Counts(hits, wrong, missed, int(known.sum()) - hits - wrong - missed)


def shadow_table(scores: dict[str, dict[str, Score]]) -> str:
    """Markdown: F of shadow of each method on the films where some is labelled."""
    films = [name for name, item in next(iter(scores.values())).items() if item.shadow.tp + item.shadow.fn]
    lines = ["| F of shadow | " + " | ".join(scores) + " |", "| --- |" + " --- |" * len(scores)]
    for film in films:
        cells = (f"{by[film].shadow.measures()['F']:.3f}" for by in scores.values())
        lines.append(f"| {film} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def score_table(scores: dict[str, dict[str, Score]]) -> str:
    """Markdown: F, precision and recall of each method on each film."""
    films = list(next(iter(scores.values())))
    lines = ["| F, precision, recall | " + " | ".join(films) + " |", "| --- |" + " --- |" * len(films)]
    for method, by_film in scores.items():
        cells = []
        for film in films:
            found = by_film[film].counts.measures()
            cells.append(f"{found['F']:.3f} {found['Pr']:.3f} {found['Re']:.3f}")
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def group_table(scores: dict[str, dict[str, Score]], groups: dict[str, list[Film]]) -> str:
    """Markdown: F of each method on each film, means of the groups, their mean and the worst of them."""
    f = {m: {name: item.counts.measures()["F"] for name, item in by.items()} for m, by in scores.items()}
    means = {
        m: {group: float(np.mean([by[film.name] for film in films])) for group, films in groups.items()}
        for m, by in f.items()
    }
    lines = ["| F | " + " | ".join(f) + " |", "| --- |" + " --- |" * len(f)]

    def line(name: str, values: Iterable[float]) -> None:
        lines.append(f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |")

    for group, films in groups.items():
        for film in films:
            line(film.name, (by[film.name] for by in f.values()))
        line(f"**{group}**", (by[group] for by in means.values()))
    line("**mean of the groups**", (float(np.mean([*by.values()])) for by in means.values()))
    line("**worst group**", (min(by.values()) for by in means.values()))
    return "\n".join(lines)


def shortened(film: Film, frames: int | None) -> Film:
    """The first frames of a film, or all of it where none of these is labelled."""
    if frames is None or not any(labels is not None for _, labels in islice(film.shots(), frames)):
        return film
    return replace(film, shots=lambda: islice(film.shots(), frames))


def alarm_table(films: Sequence[Film], options: argparse.Namespace) -> str:
    """Markdown: what each method takes for foreground where nobody is."""
    columns = [(method, stage) for method in options.methods for stage in ("", *options.without)]
    names = [column_name(method, stage) for method, stage in columns]
    lines = ["| frames with alarms, most of a frame | " + " | ".join(names) + " |"]
    lines.append("| --- |" + " --- |" * len(names))
    for film in films:
        cells = []
        for (method, stage), name in zip(columns, names, strict=True):
            weights, without = options.weights.get(network_of(method)), [stage] if stage else []
            fresh = session(method, weights=weights, without=without, film=film)
            shares = [
                float((item.mask == foreground_masks.FOREGROUND).mean()) for item in played(film, fresh)
            ]
            alarms = sum(share > ALARM for share in shares)
            cells.append(f"{alarms} of {len(shares)}, {max(shares):.2%}")
            print(f"  {name}, {film.name}: {cells[-1]}", file=sys.stderr, flush=True)
        lines.append(f"| {film.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def played(film: Film, model: ForegroundSession) -> Iterator[Segmentation]:
    """Results of all frames of a film."""
    for frame, _ in film.frames():
        if (result := model.step(frame)) is not None:
            yield result
    yield from model.finish()


def in_memory(film: Film) -> Film:
    """A film whose pictures are made once, for all methods."""
    shots = list(film.shots())
    return replace(film, shots=lambda: iter(shots))


def run(films: Sequence[Film], options: argparse.Namespace, kept: Kept) -> dict[str, dict[str, Score]]:
    """All methods on all films, film by film; those that are kept are not measured again."""
    columns = [(method, stage) for method in options.methods for stage in ("", *options.without)]
    names = {(method, stage): column_name(method, stage) for method, stage in columns}
    found: dict[str, dict[str, Score]] = {name: {} for name in names.values()}
    for film in films:
        missing = [column for column, name in names.items() if (name, film.name) not in kept.scores]
        shown = in_memory(film) if len(missing) > 1 and options.frames else film
        for method, stage in missing:
            fresh = session(
                method,
                weights=options.weights.get(network_of(method)),
                without=[stage] if stage else [],
                device=options.device,
                fast=options.fast,
                film=shown,
            )
            kept.add(names[method, stage], film.name, score(shown, fresh))
        for name in names.values():
            found[name][film.name] = kept.scores[name, film.name]
            print(f"  {name}, {film.name}: {found[name][film.name]}", file=sys.stderr, flush=True)
    return found


def column_name(method: str, stage: str) -> str:
    """What a method is called without a stage."""
    return f"{method}, without {stage}" if stage else method


DESIGNED = {
    "align": ("shaken", "hand-held"),
    "blur": ("hand-held",),
    "exposure": ("light",),
    "contrast": ("dim",),
    "shadows": ("shadow", "objects at start"),
    "lights": ("weather",),
    "rain": ("weather", "dynamic background"),
    "follow": ("moving",),
    "average": ("objects at start",),
}
"""Groups of films by which each stage and its constants were chosen."""


def gain_table(
    scores: dict[str, dict[str, Score]], groups: dict[str, list[Film]], options: argparse.Namespace
) -> str:
    """Markdown: by how much each stage raises F on the groups it was designed on, and on all others."""
    lines = [
        "| stage | designed on | gain there | gain on the other groups | least and most of a film there |"
    ]
    lines.append("| --- |" + " --- |" * 4)
    for method in options.methods:
        whole = {name: item.counts.measures()["F"] for name, item in scores[method].items()}
        for stage in options.without:
            without = {
                name: item.counts.measures()["F"] for name, item in scores[column_name(method, stage)].items()
            }
            gains = {
                group: [whole[film.name] - without[film.name] for film in films]
                for group, films in groups.items()
            }
            means: dict[bool, list[float]] = {True: [], False: []}
            for group, values in gains.items():
                means[group in DESIGNED[stage]].append(float(np.mean(values)))
            cells = [f"{np.mean(means[own]):+.3f}" if means[own] else "" for own in (True, False)]
            others = [
                value for group, values in gains.items() if group not in DESIGNED[stage] for value in values
            ]
            span = f"{min(others):+.3f}, {max(others):+.3f}" if others else ""
            lines.append(f"| {stage} | {', '.join(DESIGNED[stage])} | {cells[0]} | {cells[1]} | {span} |")
    return "\n".join(lines)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of CDnet2014, or with --scenes of all data")
    add("--scenes", action="store_true", help="the scenes that models are developed on, in groups")
    add("--only", help="of the scenes these groups, with commas between")
    add("--named", action="append", help="of these groups this film; may be given several times")
    add("--frames", type=int, help="take so many frames of each film of the scenes")
    add("--empty", action="store_true", help="false alarms in scenes without anybody, which --data holds")
    add("--pans", action="store_true", help="films of a camera that pans for 300 frames, from --data")
    add("--held-out", action="store_true", help="the scenes that are looked at once, in the end")
    add("--isd", type=Path, help="folder of rendered rooms, one more group; made there the first time")
    add("--films", default="baseline/highway,baseline/office", help="category/video, with commas between")
    add(
        "--methods",
        action="append",
        help=f"network by name, also with '{TWO_PASSES}' or '{FOLLOWED}' after it, or one of: "
        + "; ".join(CLASSICAL)
        + "; may be given several times",
    )
    add("--weights", action="append", default=[], metavar="NAME=FILE", help="weight file of a network")
    add("--shake", action="store_true", help="shaken films too")
    add(
        "--without",
        action="append",
        default=[],
        help="a stage to leave out: one more column for each, and a table of their gains; 'each' for all",
    )
    add("--fast", action="store_true", help="bfloat16 where the hardware has it")
    add("--device", default="cpu")
    add("--threads", type=int, default=torch.get_num_threads())
    add("--keep", type=Path, help="file of all numbers; what it holds is not measured again")
    options = parser.parse_args(arguments)
    options.methods = options.methods or list(CLASSICAL)
    if options.without == ["each"]:
        options.without = list(STAGES)
    options.weights = {
        name: Path(file) for name, _, file in (item.partition("=") for item in options.weights)
    }
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Score and print."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    groups: dict[str, list[Film]] = {}
    if options.scenes:
        groups |= development_scenes(options.data)
        chosen = options.only.split(",") if options.only else list(groups)
        if unknown := [name for name in chosen if name not in groups]:
            raise SystemExit(f"--only: no group {', '.join(unknown)}; there are {', '.join(groups)}")
        groups = {name: [shortened(film, options.frames) for film in groups[name]] for name in chosen}
        if options.named:
            groups = {
                n: [film for film in films if film.name in options.named] for n, films in groups.items()
            }
            groups = {name: films for name, films in groups.items() if films}
    if options.empty:
        print(f"Measured on {describe(options.threads, options.device)}.\n")
        named = options.named
        films = [film for film in empty_scenes(options.data) if not named or film.name in named]
        print(alarm_table(films, options))
        return 0
    if options.pans:
        films = panning_films(options.data / "static_more/images", unseen_cut_outs(options.data))
        groups["pans"] = [shortened(film, options.frames) for film in films]
    if options.held_out:
        groups |= held_out_scenes(options.data)
    if options.isd:
        groups |= rendered_scenes(options.isd)
    films = [film for group in groups.values() for film in group]
    if not groups:
        films = read_films(options.data, options.films.split(","))
        films += map(shaken, films) if options.shake else []
    print(f"Measured on {describe(options.threads, options.device)}.\n")
    scores = run(films, options, Kept(options.keep, settings(options)))
    print(group_table(scores, groups) if groups else score_table(scores), flush=True)
    if groups and options.without:
        print(f"\n{gain_table(scores, groups, options)}", flush=True)
    print(f"\n{shadow_table(scores)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
