"""Frames with the errors of a tracker, for corrections in the training of segue-prompt.

Example::

    python tools/tracked_errors.py runs/errors --data ../shared/data/vos/davis2016_360p_train
    python tools/tracked_errors.py runs/errors --data ../shared/data/static --clips 3000 --seed 2

A network follows one object through a video with its true mask on the first frame, and on from there with
gaps between the frames; or, with ``--clips``, through artificial clips of still images. Frames whose mask
differs from the truth are written to ``OUT/images``, ``OUT/masks`` (0, 1, 255 unlabelled) and
``OUT/tracked`` (probability of the object, 0 to 255). Sequences of DAVIS val are left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from segue.sessions import TrackSession
from segue.types import Image
from segue.utils.arrays import BoolArray, Float32Array, UInt8Array
from segue.weights import prepare
from segue_train.data.clips import ClipSampler, ClipShape
from segue_train.data.footage import VOID, Footage, gather, object_ids
from segue_train.data.prompt_samples import MIN_PIXELS, is_held_out
from segue_train.data.warp import Rng

MAX_OVERLAP = 0.97  # IoU with the truth above which a mask is not worth a correction
MIN_DEPTH = 0.03  # of the largest error, as a share of the root of the object's area
Run = list[tuple[Image, UInt8Array]]
"""Frames, and their masks: 1 is the object that is followed, 0 what is not, else void."""


def main() -> None:
    """Write the frames."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", action="append", required=True, help="as `segue train` takes it")
    parser.add_argument("--network", default="stcn-lite")
    parser.add_argument("--clips", type=int, default=0, help="artificial clips, in place of the videos")
    parser.add_argument("--runs", type=int, default=4, help="runs through each video")
    parser.add_argument("--exclude", default="", help="videos to leave out, separated by commas")
    parser.add_argument(
        "--left-out", action="store_true", help="clips of the stills that no training of segue-prompt sees"
    )
    parser.add_argument("--kept", type=int, default=6, help="most frames of a run")
    parser.add_argument("--side", type=int, default=320, help="of artificial clips, in pixels")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    material = gather(arguments.data, exclude=[n for n in arguments.exclude.split(",") if n], report=print)
    rng = np.random.default_rng(arguments.seed)
    if arguments.clips:
        stills = [still for still in material.stills if is_held_out(still.name) == arguments.left_out]
        runs = clips(rng, ClipSampler(material.videos, stills), arguments.clips, arguments.side)
    else:
        runs = videos(rng, material.videos, arguments.runs)
    for name in ("images", "masks", "tracked"):
        (arguments.out / name).mkdir(parents=True, exist_ok=True)
    network = prepare(arguments.network, task="track", device="cpu")
    written = 0
    for name, run in runs:
        found = [each for each in followed(network, run) if worth_correcting(*each[1:])]
        order = rng.permutation(len(found))[: arguments.kept]
        for number in sorted(order):
            image, truth, probability = found[number]
            stem = f"{name}_{arguments.seed}_{written:05d}"
            bgr = np.ascontiguousarray(image[..., ::-1])
            cv2.imwrite(str(arguments.out / "images" / f"{stem}.jpg"), bgr, [cv2.IMWRITE_JPEG_QUALITY, 88])
            cv2.imwrite(str(arguments.out / "masks" / f"{stem}.png"), truth)
            levels = np.round(255 * probability).astype(np.uint8)
            cv2.imwrite(str(arguments.out / "tracked" / f"{stem}.png"), levels)
            written += 1
        print(name, len(found), written, flush=True)


def videos(rng: Rng, footage: list[Footage], times: int) -> Iterator[tuple[str, Run]]:
    """Runs through each video, with random starts, gaps, directions and sizes."""
    for number in range(times):
        for video in footage:
            gap = int(rng.choice([1, 2, 3, 5])) if len(video) > 20 else 1
            start = int(rng.integers(0, max(1, len(video) // 3)))
            order = list(range(start, len(video), gap))[:40]
            if number % 2:
                order = [len(video) - 1 - i for i in order]
            scale = float(rng.uniform(0.5, 1))
            pairs = [video.read(i) for i in order]
            ids = object_ids(pairs[0][1], MIN_PIXELS)
            if not ids:
                continue
            chosen = int(rng.choice(ids))
            run: Run = []
            for image, mask in pairs:
                height, width = (round(side * scale) for side in mask.shape)
                alone = np.where(mask == VOID, np.uint8(VOID), (mask == chosen).astype(np.uint8))
                small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
                shrunk = cv2.resize(alone, (width, height), interpolation=cv2.INTER_NEAREST)
                run.append((np.asarray(small), np.asarray(shrunk)))
            yield video.name, run


def clips(rng: Rng, sampler: ClipSampler, count: int, side: int) -> Iterator[tuple[str, Run]]:
    """Artificial clips of one object among others."""
    for _ in range(count):
        pace = float(rng.uniform(1, 3))
        shape = ClipShape(1, int(rng.integers(3, 6)), side, int(rng.integers(1, 4)), pace)
        clip = sampler.draw(rng, False, 1, shape)
        masks = [np.where(m == VOID, np.uint8(VOID), (m == 1).astype(np.uint8)) for m in clip.masks]
        if (masks[0] == 1).sum() >= 4 * MIN_PIXELS:
            yield "clip", list(zip(clip.frames, masks, strict=True))


def followed(network: object, run: Run) -> Iterator[tuple[Image, UInt8Array, Float32Array]]:
    """Image, truth and probability of the object on each frame after the first."""
    session = TrackSession(network)  # type: ignore[arg-type]
    session.step(run[0][0], (run[0][1] == 1).astype(np.uint8))
    for image, truth in run[1:]:
        yield image, truth, session.step(image).probabilities[1]


def worth_correcting(truth: UInt8Array, probability: Float32Array) -> bool:
    """Whether the largest error is large enough for somebody to click it, and the object is there."""
    known, found = truth != VOID, probability > 0.5
    inside = truth == 1
    if inside.sum() < MIN_PIXELS:
        return False
    overlap = (found & inside).sum() / max(1, ((found | inside) & known).sum())
    wrong = (found != inside) & known
    return bool(overlap < MAX_OVERLAP and _depth(wrong) >= max(2.0, MIN_DEPTH * np.sqrt(inside.sum())))


def _depth(mask: BoolArray) -> float:
    return float(cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 3).max())


if __name__ == "__main__":
    main()
