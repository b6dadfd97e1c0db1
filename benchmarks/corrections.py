"""What clicks on tracked masks mend, and what they harm: J before and after one, two and three ideal clicks.

Example::

    python benchmarks/corrections.py --data ../shared/data/vos/davis2016_240p --frames 4
    python benchmarks/corrections.py --data ../shared/data/vos/davis2016_480p --ways correct,anew --list

stcn-lite follows the objects of each video from the mask of the first frame; of videos of DAVIS those of
val count. Of the frames whose mask is wrong, ``--frames`` of each object are clicked, evenly chosen. A
click is ideal: the deepest pixel of the largest error against the truth. Ways to answer it: ``correct``,
which is :func:`segue.prompts.correct` and what :class:`segue.PointPrompt` does; ``saved``, the same without
the probability of the tracker, as in the page; ``anew``, the whole answer of the prompter. A mask is worse
where its J is more than .005 below that before the clicks. Kinds of errors: a ``border`` is thin beside the
object; what is deeper is a part ``lost``, or a neighbour ``taken``.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from segue.datasets.davis import DAVIS_VAL, DavisFolder
from segue.datasets.davis import Sequence as Video
from segue.prompts import ImagePrompter, ImagePrompts, MakePrompter, correct, find_prompter
from segue.sessions import TrackSession
from segue.types import Image
from segue.utils.arrays import BoolArray, Float32Array, UInt8Array
from segue.weights import prepare
from segue_train.data.footage import VOID
from segue_train.data.prompt_samples import click_on, largest_error

CLICKS = 3
WORSE = 0.005  # J by which a mask must fall to count as worse
DEVELOPMENT = ("bmx-trees", "goat", "soapbox")
"""Videos by which weights and rules were chosen; all others are left out from every choice."""

MIN_PIXELS = 100  # of an object on a frame that is clicked
MAX_OVERLAP = 0.97  # J above which nobody corrects a mask
MIN_DEPTH = 2.0  # pixels of the largest error
THIN = 0.05  # depth of a border at most, as a share of the root of the object's area

Click = tuple[float, float, bool]


@dataclass(frozen=True)
class Case:
    """One object on one frame, and where it was tracked."""

    name: str
    group: str
    image: Image
    truth: UInt8Array  # 1, 0 and void
    tracked: Float32Array  # probability


@dataclass(frozen=True)
class Outcome:
    """J before and after each click, and the kind of the error that was clicked first."""

    name: str
    group: str
    kind: str
    reached: tuple[float, ...]


Way = Callable[[ImagePrompter, Float32Array, Sequence[Click]], Float32Array]
"""The mask (probability) after clicks of which the last is new."""


def main() -> int:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", action="append", required=True, help="folder of videos as DAVIS has them")
    parser.add_argument("--videos", help="only these, separated by commas")
    parser.add_argument("--ways", default="correct", help="of correct, saved and anew")
    parser.add_argument("--prompter", default="segue-prompt", help="its name, or a file of weights")
    parser.add_argument("--network", default="stcn-lite", help="that tracks")
    parser.add_argument("--frames", type=int, default=8, help="most frames of an object")
    parser.add_argument("--cache", type=Path, help="folder where tracked masks are kept for the next run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="one line an object and frame")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    wanted = arguments.videos and arguments.videos.split(",")
    cases = [
        case
        for folder in arguments.data
        for case in tracked_cases(Path(folder), wanted, arguments.network, arguments.frames, arguments.cache)
    ]
    make = find_prompter(arguments.prompter, device="cpu")
    for name in arguments.ways.split(","):
        outcomes = [replayed(make, WAYS[name], case) for case in cases]
        if arguments.list:
            for each in outcomes:
                print(f"{each.name} {each.kind}: " + " ".join(f"{value:.3f}" for value in each.reached))
        print(f"\n{name}, {len(cases)} frames\n")
        report(outcomes)
    return 0


def tracked_cases(
    folder: Path, wanted: Sequence[str] | None, network: str, most: int, cache: Path | None
) -> Iterator[Case]:
    """The frames of the videos of a folder that are worth a correction."""
    davis = DavisFolder(folder)
    names = [name for name in davis.names if name in wanted] if wanted else davis.names
    if not wanted and any(name in DAVIS_VAL for name in names):
        names = [name for name in names if name in DAVIS_VAL]
    for name in names:
        kept = cache and cache / f"{network}-{folder.name}-{name}.npz"
        group = "development" if name in DEVELOPMENT else f"left out, {folder.name}"
        yield from cases_of(davis[name], f"{folder.name}/{name}", group, network, most, kept)


def cases_of(
    video: Video, name: str, group: str, network: str, most: int, kept: Path | None
) -> Iterator[Case]:
    """The chosen frames of a video, from the file that keeps them if there is one."""
    if kept is None or not kept.is_file():
        found = tracked(video, network, most)
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(kept, allow_pickle=False, **found)
    else:
        found = dict(np.load(kept, allow_pickle=False))
    for key, levels in sorted(found.items()):
        frame, number = map(int, key.split("-"))
        probability = np.divide(levels, 255, dtype=np.float32)
        truth = truth_of(video.read_mask(frame), number)
        yield Case(f"{name}/{frame}/{number}", group, video.read_image(frame), truth, probability)


def tracked(video: Video, network: str, most: int) -> dict[str, UInt8Array]:
    """Probability, 0 to 255, of the objects on the frames that are worth a correction, by frame and id."""
    session = TrackSession(prepare(network, task="track", device="cpu"))
    session.step(video.read_image(0), np.where((first := video.read_mask(0)) == VOID, np.uint8(0), first))
    found: dict[int, dict[str, UInt8Array]] = {number: {} for number in session.ids}
    annotated = set(video.annotations)
    for frame in range(1, len(video)):
        result = session.step(video.read_image(frame))
        if frame not in annotated:
            continue
        for plane, number in zip(result.probabilities[1:], session.ids, strict=True):
            if worth_correcting(plane, truth_of(video.read_mask(frame), number)):
                levels = np.round(255 * plane).astype(np.uint8)
                found[number][f"{frame}-{number}"] = levels
    chosen: dict[str, UInt8Array] = {}
    for frames in found.values():
        keys = list(frames)
        for place in np.unique(np.linspace(0, len(keys) - 1, min(most, len(keys))).round().astype(int)):
            chosen[keys[place]] = frames[keys[place]]
    return chosen


def truth_of(mask: UInt8Array, number: int) -> UInt8Array:
    """One object of an index mask: 1 there, 0 elsewhere, void."""
    return np.where(mask == VOID, np.uint8(VOID), (mask == number).astype(np.uint8))


def worth_correcting(plane: Float32Array, truth: UInt8Array) -> bool:
    """Whether somebody would click a tracked mask: the object is there, and an error can be seen."""
    if (truth == 1).sum() < MIN_PIXELS or not (plane > 0.5).any():
        return False
    error, _ = largest_error(plane > 0.5, truth)
    return overlap(plane > 0.5, truth) < MAX_OVERLAP and _depth(error) >= MIN_DEPTH


def _depth(mask: BoolArray) -> float:
    return float(cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 3).max())


def overlap(found: BoolArray, truth: UInt8Array) -> float:
    """J over the pixels that are not void."""
    inside = truth == 1
    return float((found & inside).sum() / max(1, ((found | inside) & (truth != VOID)).sum()))


def replayed(make: MakePrompter, way: Way, case: Case) -> Outcome:
    """Click the largest error as often as there are clicks."""
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    prompter, mask = make(case.image), case.tracked
    clicks: list[Click] = []
    reached, kind = [overlap(mask > 0.5, case.truth)], ""
    for _ in range(CLICKS):
        error, missing = largest_error(mask > 0.5, case.truth)
        if not error.any():
            reached.append(reached[-1])
            continue
        x, y = click_on(error, rng, 1.0)
        kind = kind or kind_of_error(error, missing, (x, y), case.truth)
        clicks.append((float(x), float(y), missing))
        mask = way(prompter, mask, clicks)
        reached.append(overlap(mask > 0.5, case.truth))
    return Outcome(case.name, case.group, kind, tuple(reached))


def kind_of_error(error: BoolArray, missing: bool, place: tuple[int, int], truth: UInt8Array) -> str:
    """``lost``, ``taken`` or ``border``: see the help."""
    labels = cv2.connectedComponents(error.astype(np.uint8), connectivity=4)[1]
    depth = _depth(labels == labels[place[1], place[0]])
    if depth < THIN * np.sqrt((truth == 1).sum()):
        return "border"
    return "lost" if missing else "taken"


def anew(prompter: ImagePrompter, mask: Float32Array, clicks: Sequence[Click]) -> Float32Array:
    """The whole answer of the prompter to all clicks and the mask so far."""
    on, off = ([(x, y) for x, y, inside in clicks if inside is wanted] for wanted in (True, False))
    return prompter.answer(ImagePrompts(points=on, negative=off, mask=mask)).probability


def corrected(prompter: ImagePrompter, mask: Float32Array, clicks: Sequence[Click]) -> Float32Array:
    """The public way."""
    return correct(prompter, mask, clicks).probability


def saved(prompter: ImagePrompter, mask: Float32Array, clicks: Sequence[Click]) -> Float32Array:
    """The public way with a mask that was saved: its probability is not known."""
    return correct(prompter, mask > 0.5, clicks).mask.astype(np.float32)


WAYS: dict[str, Way] = {"correct": corrected, "saved": saved, "anew": anew}


def report(outcomes: Sequence[Outcome]) -> None:
    """Print a row for each group of videos, and for each kind of error."""
    after = " | ".join(f"{count} (worse, better)" for count in range(1, CLICKS + 1))
    print(f"| | frames | before | {after} |\n|{' --- |' * (CLICKS + 3)}")
    groups = sorted({each.group for each in outcomes})
    rows = {group: [each for each in outcomes if each.group == group] for group in groups}
    left_out = [each for each in outcomes if each.group != "development"]
    rows["all left out"] = left_out
    for kind in ("lost", "taken", "border"):
        rows[f"all left out: {kind}"] = [each for each in left_out if each.kind == kind]
    rows["all"] = list(outcomes)
    for name, chosen in rows.items():
        if not chosen:
            continue
        values = np.array([each.reached for each in chosen])
        cells = [f"{values[:, 0].mean():.3f}"]
        for count in range(1, CLICKS + 1):
            gain = values[:, count] - values[:, 0]
            worse, better = (gain < -WORSE).sum(), (gain > WORSE).sum()
            cells.append(f"{values[:, count].mean():.3f} ({worse}, {better})")
        print(f"| {name} | {len(chosen)} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
