"""What clicks on tracked masks mend, and what they harm: J before and after one, two and three ideal clicks.

Example::

    python -m benchmarks.accuracy.corrections --data ../shared/data/vos/davis2016_240p --frames 4
    python -m benchmarks.accuracy.corrections --data ../shared/data/vos/davis2016_480p \\
        --ways correct,anew --list
    python -m benchmarks.accuracy.corrections --data ../shared/data/vos/davis2016_240p --frames 4 --after 20

stcn-lite follows the objects of each video from the mask of the first frame; of videos of DAVIS those of
val count. Of the frames whose mask is wrong, ``--frames`` of each object are clicked, evenly chosen. A
click is ideal: the deepest pixel of the largest error against the truth. Ways to answer it: ``correct``,
which is :func:`segue.prompts.correct` and what :class:`segue.PointPrompt` does; ``saved``, the same without
the probability of the tracker, as in the page; ``anew``, the whole answer of the prompter. A mask is worse
where its J is more than .005 below that before the clicks. Kinds of errors: a ``border`` is thin beside the
object; what is deeper is a part ``lost``, or a neighbour ``taken``.

``--after`` gives one ideal click, tracks on from there, and compares J of that many frames with the masks
without the click: ``on`` in the session that was clicked, ``anew`` and ``back`` as the page does, in a new
session that is shown the first mask and the corrected one. ``--truth`` gives the true mask instead of a
click: no correction can be better.
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
from segue.models.base import TrackNetwork
from segue.prompts import ImagePrompter, ImagePrompts, MakePrompter, correct, find_prompter
from segue.sessions import TrackSession
from segue.sessions.corrections import ConditioningFrame, Layer, propagate
from segue.types import Frame, Image, IndexMask, MaskPrompt, PointPrompt, Prompt
from segue.utils.arrays import BoolArray, Float32Array, UInt8Array
from segue.weights import Prepared, prepare
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
    parser.add_argument("--after", type=int, metavar="N", help="track on for so many frames after one click")
    parser.add_argument("--truth", action="store_true", help="with --after: true masks instead of clicks")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="one line an object and frame")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    wanted = arguments.videos and arguments.videos.split(",")
    if arguments.after is not None:
        tracks = [
            track
            for folder in map(Path, arguments.data)
            for name, group, kept in videos(folder, wanted, arguments.network, arguments.cache)
            for track in tracked_on(
                DavisFolder(folder)[name],
                f"{folder.name}/{name}",
                group,
                arguments.network,
                frames=arguments.frames,
                after=arguments.after,
                truth=arguments.truth,
                kept=kept,
            )
        ]
        if arguments.list:
            for track in tracks:
                print(f"{track.name}: {track.before:.3f} {track.reached:.3f}")
        report_tracks(tracks)
        return 0
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
    for name, group, kept in videos(folder, wanted, network, cache):
        yield from cases_of(davis[name], f"{folder.name}/{name}", group, network, most, kept)


def videos(
    folder: Path, wanted: Sequence[str] | None, network: str, cache: Path | None
) -> Iterator[tuple[str, str, Path | None]]:
    """Name and group of the videos of a folder, and the file for their tracked masks."""
    names = list(DavisFolder(folder).names)
    if wanted:
        names = [name for name in names if name in wanted]
    elif any(name in DAVIS_VAL for name in names):
        names = [name for name in names if name in DAVIS_VAL]
    for name in names:
        group = "development" if name in DEVELOPMENT else f"left out, {folder.name}"
        yield name, group, cache and cache / f"{network}-{folder.name}-{name}.npz"


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
    session.step(video.read_image(0), first_mask(video))
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


@dataclass(frozen=True)
class Track:
    """J of the frames after a corrected one in the mean, without the correction and with it."""

    name: str  # video/way/frame/object
    group: str
    before: float
    reached: float

    @property
    def video(self) -> str:
        """Its folder and name."""
        return self.name.rsplit("/", 3)[0]

    @property
    def way(self) -> str:
        """How it was tracked on: ``on``, ``anew`` or ``back``."""
        return self.name.split("/")[-3]


def walk(video: Video, start: int, stop: int) -> Iterator[Frame]:
    """Frames from one to another, both given, in either direction."""
    step = 1 if start <= stop else -1
    return (Frame(i, float(i), video.read_image(i)) for i in range(start, stop + step, step))


def tracked_on(
    video: Video,
    name: str,
    group: str,
    network: str,
    *,
    frames: int,
    after: int,
    truth: bool = False,
    kept: Path | None = None,
) -> list[Track]:
    """Correct the chosen frames of a video, each by itself, and track on from there in all ways."""
    prepared: Prepared[TrackNetwork] = prepare(network, task="track", device="cpu")
    session = TrackSession(prepared)
    cases = list(cases_of(video, name, group, network, frames, kept))
    plain: list[IndexMask] = []  # of all frames, without corrections
    mended: list[tuple[Case, IndexMask, list[IndexMask]]] = []
    for index in range(len(video)):
        image, before = video.read_image(index), session.state()
        plain.append(session.step(image, first_mask(video) if index == 0 else None).mask)
        chosen = [case for case in cases if place_of(case)[0] == index]
        going_on = session.state() if chosen else before
        for case in chosen:
            session.restore(before)
            corrected = session.step(image, [first_prompt(case, truth)]).mask
            following = range(index + 1, min(index + after + 1, len(video)))
            mended.append((case, corrected, [session.step(video.read_image(i)).mask for i in following]))
            session.restore(going_on)
    tracks = []
    for case, corrected, masks in mended:
        index, number = place_of(case)
        everywhere = frozenset(session.ids)
        shown = {0: ConditioningFrame(plain[0], everywhere), index: ConditioningFrame(corrected, everywhere)}
        found = {"on": dict(enumerate(masks, index + 1))}
        for way, stop in (("anew", min(index + after, len(video) - 1)), ("back", max(index - after, 1))):
            steps = propagate([Layer(TrackSession(prepared), shown)], walk(video, index, stop), index)
            found[way] = {result.index: result.mask for (result,) in steps}
        for way, results in found.items():
            pairs = [
                [overlap(mask == number, truth_of(video.read_mask(i), number)) for mask in (plain[i], new)]
                for i, new in results.items()
                if i in video.annotations
            ]
            if pairs:
                without, reached = np.mean(pairs, axis=0).tolist()
                tracks.append(Track(f"{name}/{way}/{index}/{number}", group, without, reached))
    return tracks


def first_mask(video: Video) -> UInt8Array:
    """The given mask of a video, without void."""
    mask = video.read_mask(0)
    return np.where(mask == VOID, np.uint8(0), mask)


def place_of(case: Case) -> tuple[int, int]:
    """Frame and object of a case."""
    frame, number = case.name.split("/")[-2:]
    return int(frame), int(number)


def first_prompt(case: Case, truth: bool) -> Prompt:
    """An ideal click on the largest error, or the true mask."""
    number = place_of(case)[1]
    if truth:
        return MaskPrompt(number, case.truth == 1)
    error, missing = largest_error(case.tracked > 0.5, case.truth)
    x, y = map(float, click_on(error, np.random.default_rng(zlib.crc32(case.name.encode())), 1.0))
    return PointPrompt(number, ((x, y),)) if missing else PointPrompt(number, negative=((x, y),))


def report_tracks(tracks: Sequence[Track]) -> None:
    """Print a row for each way and group: the mean over videos, and in how many of them J falls."""
    print("| | videos | corrections | before | after | gain | videos that fall | corrections: fall, rise |")
    print(f"|{' --- |' * 8}")
    rows: dict[tuple[str, str], list[Track]] = {}
    for each in tracks:
        rows.setdefault((each.way, each.group), []).append(each)
        rows.setdefault((each.way, "all"), []).append(each)
    for (way, group), chosen in sorted(rows.items()):
        by_video = [
            [each for each in chosen if each.video == name] for name in {each.video for each in chosen}
        ]
        values = np.array([np.mean([(t.before, t.reached) for t in own], axis=0) for own in by_video])
        gains, single = values[:, 1] - values[:, 0], np.array([each.reached - each.before for each in chosen])
        print(
            f"| {way}, {group} | {len(by_video)} | {len(chosen)} | {values[:, 0].mean():.3f} | "
            f"{values[:, 1].mean():.3f} | {gains.mean():+.3f} | {(gains < -WORSE).sum()} | "
            f"{(single < -WORSE).sum()}, {(single > WORSE).sum()} |",
            flush=True,
        )


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
