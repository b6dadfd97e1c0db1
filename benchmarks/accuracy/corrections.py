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
the probability of the tracker, as in the page; ``anew``, the whole answer of the prompter; ``chosen``, as
saved, and then the best of the readings that the page offers (Shift M). A mask is worse
where its J is more than .005 below that before the clicks. Kinds of errors: a ``border`` is thin beside the
object; what is deeper is a part ``lost``, or a neighbour ``taken``. With ``--every N`` the tracker sees every
Nth frame alone, and loses more.

``--after`` gives one ideal click, tracks from there, and compares J of that many frames with the masks
without the click: ``on`` in the session that was clicked, ``forward`` and ``back`` by :class:`segue.Video`,
which shares its propagation with the page. ``--truth`` gives the true mask instead of a click.

``--task J`` is the whole task: the worst frame is clicked once and tracked from in both directions by
:class:`segue.Video`, until all frames have this J or ``--most`` clicks are spent. On the page a click takes
three keys: M goes to the frame, T and Shift T track. With ``--page`` it is the page that is asked, by the
requests that its scripts send. With ``--choose`` the better of two readings of each click is taken: the
correction, and the whole object anew. Seconds of a person are those of the keystroke-level model (Card,
Moran, Newell 1980): one for a look and a click 2.65, a key 0.28; the processor's are measured.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch

import segue
from benchmarks.lib.page_editor import PageEditor
from segue.datasets.davis import DAVIS_VAL, DavisFolder
from segue.datasets.davis import Sequence as Video
from segue.errors import PromptError
from segue.models.base import TrackNetwork
from segue.prompt_types import MaskPrompt, PointPrompt, Prompt
from segue.prompts import ImagePrompter, ImagePrompts, MakePrompter, correct, find_prompter
from segue.prompts.correction import readings
from segue.sessions import TrackSession
from segue.types import Image, IndexMask
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

KEYS = 3  # on the page for each click of a task
SECONDS_OF_CLICK, SECONDS_OF_KEY = 2.65, 0.28
"""A mental step of 1.35 s, pointing of 1.1 s and a press of 0.2 s; a key of a skilled typist."""

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
    parser.add_argument("--ways", default="correct", help="of correct, saved, anew and chosen")
    parser.add_argument("--prompter", default="segue-prompt", help="its name, or a file of weights")
    parser.add_argument("--network", default="stcn-lite", help="that tracks")
    parser.add_argument("--frames", type=int, default=8, help="most frames of an object")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="track every Nth frame alone")
    parser.add_argument("--cache", type=Path, help="folder where tracked masks are kept for the next run")
    parser.add_argument("--after", type=int, metavar="N", help="track on for so many frames after one click")
    parser.add_argument("--truth", action="store_true", help="true masks instead of clicks")
    parser.add_argument("--task", type=float, metavar="J", help="correct until all frames have this J")
    parser.add_argument("--most", type=int, default=30, help="most clicks of a task")
    parser.add_argument("--page", action="store_true", help="tasks by the page in place of segue.Video")
    parser.add_argument("--choose", action="store_true", help="offer the whole object anew for each click")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="one line an object and frame")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    wanted = arguments.videos and arguments.videos.split(",")
    chosen = [
        (DavisFolder(folder)[name], f"{folder.name}/{name}", group, kept)
        for folder in map(Path, arguments.data)
        for name, group, kept in videos(folder, wanted, arguments.network, arguments.cache)
    ]
    if arguments.task is not None:
        begin = by_page if arguments.page else Choosing if arguments.choose else ByVideo
        if arguments.page and (arguments.truth or arguments.choose):
            parser.error("--truth, --choose: the page is clicked on")
        how = (arguments.task, arguments.most, arguments.truth)
        tasks = (
            completed(video, name, group, begin(video, arguments.network), *how)
            for video, name, group, _ in chosen
        )
        report_tasks(tasks, arguments.task)
        return 0
    if arguments.after is not None:
        options = {"frames": arguments.frames, "after": arguments.after, "truth": arguments.truth}
        tracks = [
            track
            for video, name, group, kept in chosen
            for track in tracked_on(video, name, group, arguments.network, **options, kept=kept)
        ]
        if arguments.list:
            for track in tracks:
                print(f"{track.name}: {track.before:.3f} {track.reached:.3f}")
        report_tracks(tracks)
        return 0
    cases = [
        case
        for folder in arguments.data
        for case in tracked_cases(
            Path(folder), wanted, arguments.network, arguments.frames, arguments.cache, arguments.every
        )
    ]
    make = find_prompter(arguments.prompter, device="cpu")
    for name in arguments.ways.split(","):
        outcomes = [replayed(make, WAYS[name], case, chooses=name == "chosen") for case in cases]
        if arguments.list:
            for each in outcomes:
                print(f"{each.name} {each.kind}: " + " ".join(f"{value:.3f}" for value in each.reached))
        print(f"\n{name}, {len(cases)} frames\n")
        report(outcomes)
    return 0


def tracked_cases(
    folder: Path, wanted: Sequence[str] | None, network: str, most: int, cache: Path | None, every: int = 1
) -> Iterator[Case]:
    """The frames of the videos of a folder that are worth a correction."""
    davis = DavisFolder(folder)
    for name, group, kept in videos(folder, wanted, network, cache):
        if kept is not None and every > 1:
            kept = kept.with_stem(f"{kept.stem}-{every}")
        yield from cases_of(davis[name], f"{folder.name}/{name}", group, network, most, kept, every)


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
    video: Video, name: str, group: str, network: str, most: int, kept: Path | None, every: int = 1
) -> Iterator[Case]:
    """The chosen frames of a video, from the file that keeps them if there is one."""
    if kept is None or not kept.is_file():
        found = tracked(video, network, most, every)
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


def tracked(video: Video, network: str, most: int, every: int = 1) -> dict[str, UInt8Array]:
    """Probability, 0 to 255, of the objects on the frames that are worth a correction, by frame and id.

    Only every so many frames are tracked.
    """
    session = TrackSession(prepare(network, task="track", device="cpu"))
    session.step(video.read_image(0), first_mask(video))
    found: dict[int, dict[str, UInt8Array]] = {number: {} for number in session.ids}
    annotated = set(video.annotations)
    for frame in range(every, len(video), every):
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
    """J over the pixels that are not void; 1 where neither has any."""
    inside = truth == 1
    union = ((found | inside) & (truth != VOID)).sum()
    return float((found & inside).sum() / union) if union else 1.0


def replayed(make: MakePrompter, way: Way, case: Case, *, chooses: bool = False) -> Outcome:
    """Click the largest error as often as there are clicks; who ``chooses`` takes the best reading."""
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
        if chooses:
            on, off = ([(x, y) for x, y, inside in clicks if inside is wanted] for wanted in (True, False))
            others = readings(prompter, mask > 0.5, ImagePrompts(None, on, off))
            offered = [mask, *(each.mask.astype(np.float32) for each in others)]
            mask = max(offered, key=lambda each: overlap(each > 0.5, case.truth))
        reached.append(overlap(mask > 0.5, case.truth))
    return Outcome(case.name, case.group, kind, tuple(reached))


@dataclass(frozen=True)
class Track:
    """J of the frames beside a corrected one, without the correction and with it."""

    name: str  # video/way/frame/object
    group: str
    frames: tuple[tuple[float, float], ...]

    @property
    def before(self) -> float:
        """Mean J without the correction."""
        return float(np.mean([before for before, _ in self.frames]))

    @property
    def reached(self) -> float:
        """Mean J with it."""
        return float(np.mean([reached for _, reached in self.frames]))

    @property
    def video(self) -> str:
        """Its folder and name."""
        return self.name.rsplit("/", 3)[0]

    @property
    def way(self) -> str:
        """How it was tracked: ``on``, ``forward`` or ``back``."""
        return self.name.split("/")[-3]


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
    """Correct the chosen frames of a video, each by itself, and track from there in all ways."""
    prepared: Prepared[TrackNetwork] = prepare(network, task="track", device="cpu")
    session = TrackSession(prepared)
    cases = list(cases_of(video, name, group, network, frames, kept))
    plain: list[IndexMask] = []  # of all frames, without corrections
    tracks = []

    def compare(way: str, case: Case, results: Mapping[int, IndexMask]) -> None:
        index, number = place_of(case)
        pairs = [
            (overlap(plain[i] == number, true), overlap(mask == number, true))
            for i, mask in results.items()
            if i in video.annotations
            for true in [truth_of(video.read_mask(i), number)]
        ]
        if pairs:
            tracks.append(Track(f"{name}/{way}/{index}/{number}", group, tuple(pairs)))

    going_on: dict[str, dict[int, IndexMask]] = {}
    for index in range(len(video)):
        image, before = video.read_image(index), session.state()
        plain.append(session.step(image, first_mask(video) if index == 0 else None).mask)
        chosen = [case for case in cases if place_of(case)[0] == index]
        after_it = session.state() if chosen else before
        for case in chosen:
            session.restore(before)
            session.step(image, [first_prompt(case, truth)])
            following = range(index + 1, min(index + after + 1, len(video)))
            going_on[case.name] = {i: session.step(video.read_image(i)).mask for i in following}
            session.restore(after_it)
    both_ways = opened(video, network)
    state = both_ways.state()
    for case in cases:
        index = place_of(case)[0]
        both_ways.restore(state)
        both_ways.add(index, [first_prompt(case, truth)])
        compare("on", case, going_on[case.name])
        for way, stop in (("forward", min(index + after, len(video) - 1)), ("back", max(index - after, 1))):
            compare(way, case, {each.index: each.mask for each in both_ways.propagate(index, stop)})
    return tracks


def opened(video: Video, network: str) -> segue.Video:
    """A video that is tracked from its first mask."""
    both_ways = segue.Video([video.read_image(i) for i in range(len(video))], model=network, device="cpu")
    both_ways.add(0, first_mask(video))
    for _ in both_ways.propagate():
        pass
    return both_ways


@dataclass(frozen=True)
class Task:
    """What it took to correct a whole video."""

    name: str
    group: str
    before: tuple[float, ...]  # J of each object on each frame
    reached: tuple[float, ...]
    clicks: int
    tracked: int  # frames
    processor: float  # seconds, from the first click on

    @property
    def person(self) -> float:
        """Seconds of a person by the keystroke-level model."""
        return self.clicks * (SECONDS_OF_CLICK + KEYS * SECONDS_OF_KEY)

    @property
    def worse(self) -> int:
        """Masks that are worse in the end than they were before."""
        return sum(after < before - WORSE for before, after in zip(self.before, self.reached, strict=True))


class Editor(Protocol):
    """A video that is tracked from its first mask, and corrected."""

    def masks(self) -> Mapping[int, IndexMask]:
        """The index masks of its frames, (H, W)."""

    def correct(self, case: Case, truth: bool) -> int:
        """Correct a frame by a click or the true mask and track from it; the number of tracked frames."""

    def close(self) -> None:
        """Nothing more is asked."""


class ByVideo:
    """A :class:`segue.Video`."""

    def __init__(self, video: Video, network: str) -> None:
        self._video = opened(video, network)

    def masks(self) -> Mapping[int, IndexMask]:
        """See :class:`Editor`."""
        return {result.index: result.mask for result in self._video}

    def correct(self, case: Case, truth: bool) -> int:
        """See :class:`Editor`."""
        self._video.add(place_of(case)[0], [first_prompt(case, truth)])
        return sum(1 for _ in self._video.propagate())

    def close(self) -> None:
        """See :class:`Editor`."""
        self._video.close()


class Choosing(ByVideo):
    """A video whose editor takes the better of two readings of a click: a correction, or the whole object."""

    def correct(self, case: Case, truth: bool) -> int:
        """See :class:`Editor`."""
        frame, number = place_of(case)
        prompt, state = first_prompt(case, truth), self._video.state()
        reached = []
        readings = [prompt, replace(prompt, whole=True)] if isinstance(prompt, PointPrompt) else [prompt]
        for reading in readings:
            self._video.restore(state)
            with suppress(PromptError):  # beside an object, there is no whole object to find
                result = self._video.add(frame, [reading])
                reached.append((overlap(result.mask == number, case.truth), reading))
        self._video.restore(state)
        self._video.add(frame, [max(reached, key=lambda each: each[0])[1]])
        return sum(1 for _ in self._video.propagate())


class ByPage:
    """The page of ``segue annotate``."""

    def __init__(self, editor: PageEditor) -> None:
        self.masks, self.close = editor.masks, editor.close
        self._editor = editor

    def correct(self, case: Case, truth: bool) -> int:
        """See :class:`Editor`."""
        frame, number = place_of(case)
        x, y, inside = first_click(case)
        self._editor.click(frame, number, (x, y), inside)
        return self._editor.track(frame)


def by_page(video: Video, network: str) -> Editor:
    """The page with a video of DAVIS."""
    return ByPage(PageEditor(video.frames[0].parent, network, first_mask(video)))


def completed(
    video: Video, name: str, group: str, editor: Editor, aim: float, most: int, truth: bool = False
) -> Task:
    """Click the worst frame and track from it in both directions, until all frames have a J or clicks end."""
    numbers = [int(i) for i in np.unique(first_mask(video)) if i]
    truths = {
        (i, number): truth_of(video.read_mask(i), number)
        for i in video.annotations
        for number in numbers
        if i > 0
    }

    def scores(masks: Mapping[int, IndexMask]) -> dict[tuple[int, int], float]:
        return {place: overlap(masks[place[0]] == place[1], true) for place, true in truths.items()}

    masks = editor.masks()
    before = current = scores(masks)
    clicks, tracked, begin = 0, 0, processor_time()
    while clicks < most and min(current.values()) < aim:
        frame, number = place = min(current, key=lambda each: current[each])
        probability = (masks[frame] == number).astype(np.float32)
        image = video.read_image(frame)
        case = Case(f"{name}/{frame}/{number}", group, image, truths[place], probability)
        tracked += editor.correct(case, truth)
        clicks += 1
        masks = editor.masks()
        current = scores(masks)
    seconds = processor_time() - begin
    editor.close()
    return Task(name, group, tuple(before.values()), tuple(current.values()), clicks, tracked, seconds)


def processor_time() -> float:
    """Seconds of this process and of those that it began, which have not ended."""
    children = multiprocessing.active_children()
    own = time.process_time()
    return own + sum(processor_seconds_of(child.pid) for child in children if child.pid is not None)


def processor_seconds_of(process: int) -> float:
    """Seconds of a process that runs."""
    values = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")


def report_tasks(tasks: Iterable[Task], aim: float) -> None:
    """Print a row for each video: masks below the aim, mean J, and what it took; those left out in sum."""
    columns = (f"masks below {aim:g} before", "after", "worse", "J before", "after", "clicks", "keys")
    print(f"| | {' | '.join(columns)} | person, s | processor, s |\n|{' --- |' * 10}")
    done = []
    for task in tasks:
        done.append(task)
        print_task(f"{task.name}, {task.group}", [task], aim)
    print_task("all left out", [task for task in done if task.group != "development"], aim)
    print_task("all", done, aim)


def print_task(title: str, tasks: Sequence[Task], aim: float) -> None:
    """Print a row of sums over tasks, and of mean J."""
    if not tasks:
        return
    scores = [[task.before for task in tasks], [task.reached for task in tasks]]
    below = [sum(j < aim for own in each for j in own) for each in scores]
    means = [np.mean([np.mean(own) for own in each]) for each in scores]
    clicks = sum(task.clicks for task in tasks)
    print(
        f"| {title} | {below[0]} | {below[1]} | {sum(task.worse for task in tasks)} | {means[0]:.3f} | "
        f"{means[1]:.3f} | {clicks} | {KEYS * clicks} | {sum(task.person for task in tasks):.0f} | "
        f"{sum(task.processor for task in tasks):.0f} |",
        flush=True,
    )


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
    x, y, missing = first_click(case)
    return PointPrompt(number, ((x, y),)) if missing else PointPrompt(number, negative=((x, y),))


def first_click(case: Case) -> Click:
    """An ideal click on the largest error."""
    error, missing = largest_error(case.tracked > 0.5, case.truth)
    x, y = map(float, click_on(error, np.random.default_rng(zlib.crc32(case.name.encode())), 1.0))
    return x, y, missing


def report_tracks(tracks: Sequence[Track]) -> None:
    """Print a row for each way and group: mean J over videos, and the places and frames that fall or rise."""
    print("| | videos | places | before | after | gain | places that fall | frames: fall, rise |")
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
        gains = values[:, 1] - values[:, 0]
        places = np.array([each.reached - each.before for each in chosen])
        frames = np.array([after - before for each in chosen for before, after in each.frames])
        print(
            f"| {way}, {group} | {len(by_video)} | {len(chosen)} | {values[:, 0].mean():.3f} | "
            f"{values[:, 1].mean():.3f} | {gains.mean():+.3f} | {(places < -WORSE).sum()} | "
            f"{(frames < -WORSE).mean():.2f}, {(frames > WORSE).mean():.2f} |",
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


WAYS: dict[str, Way] = {"correct": corrected, "saved": saved, "anew": anew, "chosen": saved}


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
