"""How often the watch for cuts and switched lights is wrong, on pairs of pictures of many kinds.

Example::

    python benchmarks/foreground_changes.py --data ../shared/data

Neighbouring frames of films, large things that enter or leave from one frame to the next, light that
changes in several ways, and cuts. Stills and everything random depend on ``--draw``: the limits were chosen
on draw 0.
Prints a Markdown table.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from foreground_clips import read_films, shaken
from foreground_scenes import pictures
from segue.masks import read_stored_mask
from segue.sessions.changes import Change, SceneChangeDetector
from segue.types import Image
from segue.video.images import read_image
from segue_train import living, scenery
from segue_train.scenery import Effect
from segue_train.warp import Rng

Pair = tuple[Image, Image]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating]

SIZE = (240, 320)
NOISE = 2.0
"""Deviation of the noise of the sensor, in levels."""

SHARES = ((0.2, 0.35), (0.35, 0.5), (0.5, 0.65))
"""Of the picture that something large covers."""


def cases(root: Path, count: int, draw: int = 0) -> Iterator[tuple[str, Change, Iterable[Pair]]]:
    """Kinds of pairs: what they show, what should be found, and ``count`` pairs or those of a film.

    Args:
        root: folder that holds ``foreground``, ``static``, ``static_more`` and ``vos``.
        draw: 0 to 5; each has other stills and seeds.
    """
    calm = read_films(root / "foreground/cdnet2014", ["baseline/highway", "baseline/office"])
    films = [[image for image, _ in film.shots()][::2] for film in calm]
    wallflower = [
        pictures(root / "foreground/wallflower" / name / "input", last) for name, last in WALLFLOWER
    ]
    davis = [
        [read_image(path) for path in sorted(folder.glob("*.jpg"))[:25]]
        for folder in sorted((root / "vos/davis2016_360p_train/JPEGImages").iterdir())
    ]
    stills = [_sized(read_image(path)) for path in sorted((root / "static_more/images").glob("*"))[draw::6]]
    walls = [scenery.procedural(_rng(1, draw, seed), SIZE) for seed in range(40)]
    plain = [_plain(_rng(2, draw, seed)) for seed in range(60)]
    empty = [*stills, *walls, *(film[0] for film in (*films, *wallflower))]
    cut_outs = _cut_outs(root / "static")
    every = [*films, *wallflower, *davis]

    for name, film in zip(NAMES, [*films, *wallflower], strict=True):
        yield f"next frame, {name}", Change.none, pairwise(film)
    yield "next frame, DAVIS, moving cameras", Change.none, chain.from_iterable(map(pairwise, davis))
    shots = [[image for image, _ in shaken(film).shots()] for film in calm]
    yield "next frame, shaken", Change.none, chain.from_iterable(map(pairwise, shots))
    for make in (living.foliage, living.water, living.rain, living.snow, scenery.passing_cloud):
        effects = (_with_effect(film[:100], make, _rng(3, draw, i)) for i, film in enumerate(films))
        yield f"next frame, {make.__name__}", Change.none, chain.from_iterable(effects)
    for share in SHARES:
        how_much = f"{share[0]:.0%} to {share[1]:.0%}"
        drawn = list(_entering(_rng(4, draw), empty, cut_outs, share, count))
        yield f"enters, {how_much}", Change.none, drawn
        yield f"leaves, {how_much}", Change.none, [(after, before) for before, after in drawn]
        before_wall = _entering(_rng(5, draw), plain, cut_outs, share, count)
        yield f"enters before a plain wall, {how_much}", Change.none, before_wall
    for make_light in LIGHTS:
        lit = _lit(_rng(6, draw), empty, make_light, count)
        yield f"light, {make_light.__name__[1:]}", Change.light, lit
    yield "cut, still to still", Change.scene, _cuts(_rng(7, draw), stills, stills, count)
    yield "cut, film to film", Change.scene, _cuts_between(_rng(8, draw), every, count)
    ends = [picture for film in every for picture in film[::20]]
    yield "cut, plain wall to film", Change.scene, _cuts(_rng(9, draw), plain, ends, count)
    mirrored = [(picture, _noisy(_rng(10, draw), picture[:, ::-1])) for picture in stills[:count]]
    yield "cut to the mirrored picture", Change.scene, mirrored


WALLFLOWER = (("WavingTrees", 10_000), ("Camouflage", 294))
"""Folders, and where their films end."""

NAMES = ("highway", "office", *(name for name, _ in WALLFLOWER))


def _rng(*seed: int) -> Rng:
    return np.random.default_rng(seed)


def _sized(picture: Image) -> Image:
    """The middle of a picture at :data:`SIZE`."""
    height, width = picture.shape[:2]
    side = min(height * 4, width * 3)
    rows, columns = side // 4, side // 3
    top, left = (height - rows) // 2, (width - columns) // 2
    part = picture[top : top + rows, left : left + columns]
    return np.asarray(cv2.resize(part, SIZE[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _noisy(rng: Rng, values: npt.NDArray[np.generic]) -> Image:
    noise = rng.normal(0, NOISE, values.shape)
    return np.asarray(np.clip(np.rint(values + noise), 0, 255), np.uint8)


def _plain(rng: Rng) -> Image:
    """A wall with nothing on it, brighter towards one side."""
    colour, across = rng.uniform(60, 220, 3), rng.uniform(0.75, 1, 2)
    rows = np.linspace(1, across[0], SIZE[0])[:, None, None]
    columns = np.linspace(1, across[1], SIZE[1])[None, :, None]
    return _noisy(rng, colour * rows * columns)


def _cut_outs(folder: Path) -> list[tuple[Image, Mask]]:
    """Pictures of large things, and where they are in them."""
    found = []
    for path in sorted((folder / "masks").glob("*.png")):
        mask = read_stored_mask(path, str(path))
        ids, areas = np.unique(mask[(mask > 0) & (mask < 255)], return_counts=True)
        if len(ids) and areas.max() > 0.08 * mask.size:
            solid = mask == ids[areas.argmax()]
            (picture,) = (folder / "images").glob(f"{path.stem}.*")
            rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
            box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            if solid[box].mean() > 0.4:
                found.append((read_image(picture)[box], solid[box]))
    return found


def _entering(
    rng: Rng,
    empty: Sequence[Image],
    cut_outs: Sequence[tuple[Image, Mask]],
    share: tuple[float, float],
    count: int,
) -> Iterator[Pair]:
    """A picture, and the same with something before it that covers this share."""
    made = 0
    while made < count:
        scene = _sized(empty[rng.integers(len(empty))])
        height, width = SIZE
        picture, solid = cut_outs[rng.integers(len(cut_outs))]
        scale = (rng.uniform(*share) * height * width / solid.sum()) ** 0.5
        size = max(1, round(scale * solid.shape[1])), max(1, round(scale * solid.shape[0]))
        if max(size) > 3 * width:
            continue
        thing = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(solid.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        row = int(rng.integers(min(0, height - size[1]), max(0, height - size[1]) + 1))
        column = int(rng.integers(min(0, width - size[0]), max(0, width - size[0]) + 1))
        move = np.array([[1, 0, column], [0, 1, row]], np.float32)
        placed = cv2.warpAffine(thing, move, (width, height))
        weight = cv2.warpAffine(alpha, move, (width, height))[..., None]
        if share[0] <= (weight > 0.5).mean() <= share[1]:
            made += 1
            yield _noisy(rng, scene), _noisy(rng, scene * (1 - weight) + placed * weight)


def _with_effect(film: Sequence[Image], make: Callable[..., Effect], rng: Rng) -> Iterator[Pair]:
    effect = make(rng, film[0].shape[:2])
    return pairwise(effect(image.copy(), time) for time, image in enumerate(film))


def _switch(rng: Rng, picture: Floats) -> Floats:
    return picture * (rng.uniform(0.3, 0.6) if rng.random() < 0.5 else rng.uniform(1.6, 2.4))


def _slanted(rng: Rng, picture: Floats) -> Floats:
    gain = np.linspace(0.45, 0.72, picture.shape[1])[None, :, None]
    return picture * (gain if rng.random() < 0.5 else 1 / gain[:, ::-1])


def _corner(rng: Rng, picture: Floats) -> Floats:
    return picture * np.linspace(1.05, rng.uniform(2, 3), picture.shape[1])[None, :, None]


def _gamma(rng: Rng, picture: Floats) -> Floats:
    return 255 * (picture / 255) ** (rng.uniform(0.4, 0.6) if rng.random() < 0.5 else rng.uniform(1.8, 2.6))


def _coloured(rng: Rng, picture: Floats) -> Floats:
    return picture * rng.permutation([0.95, 0.7, 0.45])


def _infrared(rng: Rng, picture: Floats) -> Floats:
    """A camera goes to its night view: grey, and lit from its own place."""
    height, width = picture.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    far = np.hypot(rows / height - 0.5, columns / width - 0.5)[..., None]
    return np.repeat(picture.mean(2, keepdims=True), 3, 2) * (1.7 - 1.4 * far)


LIGHTS = (_switch, _slanted, _corner, _gamma, _coloured, _infrared)


def _lit(
    rng: Rng, empty: Sequence[Image], make: Callable[[Rng, Floats], Floats], count: int
) -> Iterator[Pair]:
    """A picture in two lights that differ by 25 levels or more on most of it."""
    made = tried = 0
    while made < count and tried < 20 * count:
        tried += 1
        picture = empty[rng.integers(len(empty))]
        before = _noisy(rng, picture)
        after = _noisy(rng, make(rng, picture.astype(np.float32)))
        if (cv2.absdiff(before, after).max(axis=2) > 25).mean() > 0.6:
            made += 1
            yield before, after


def _cuts(rng: Rng, first: Sequence[Image], second: Sequence[Image], count: int) -> Iterator[Pair]:
    made = 0
    while made < count:
        one, other = first[rng.integers(len(first))], second[rng.integers(len(second))]
        if one is not other:
            made += 1
            yield _noisy(rng, _sized(one)), _noisy(rng, _sized(other))


def _cuts_between(rng: Rng, films: Sequence[Sequence[Image]], count: int) -> Iterator[Pair]:
    for _ in range(count):
        one, other = rng.choice(len(films), 2, replace=False)
        pair = (films[i][rng.integers(len(films[i]))] for i in (one, other))
        before, after = map(_sized, pair)
        yield before, after


def found(pairs: Iterable[Pair]) -> Counter[Change]:
    """What a fresh watch says of each pair."""
    counts: Counter[Change] = Counter()
    for before, after in pairs:
        watch = SceneChangeDetector()
        watch.look(before, 0.0)
        counts[watch.look(after, 0.04)] += 1
    return counts


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of all data")
    parser.add_argument("--pairs", type=int, default=200, help="of each kind that is drawn")
    parser.add_argument("--draw", type=int, default=0, choices=range(6), help="which stills and seeds")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Look at all pairs and print."""
    options = parse(arguments)
    kinds = (Change.none, Change.light, Change.scene)
    print("| pairs | should be | " + " | ".join(kind.value for kind in kinds) + " | wrong |")
    print("| --- | --- |" + " ---: |" * (len(kinds) + 1))
    for name, right, pairs in cases(options.data, options.pairs, options.draw):
        counts = found(pairs)
        wrong = 1 - counts[right] / counts.total()
        cells = " | ".join(str(counts[kind]) for kind in kinds)
        print(f"| {name} | {right.value} | {cells} | {wrong:.1%} |", flush=True)


if __name__ == "__main__":
    main()
