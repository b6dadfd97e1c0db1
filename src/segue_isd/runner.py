"""Renders a whole data set: scene after scene in parallel workers, resumable."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from segue.errors import SinkError
from segue.video.partial import remove_partial, write_complete, writing
from segue_isd.gl import RendererError
from segue_isd.lights import LIGHTINGS
from segue_isd.maps import Lens, averaged
from segue_isd.presets import Preset
from segue_isd.renderer import Renderer
from segue_isd.scene import Scene, scene_seed
from segue_isd.sensor import Sensor
from segue_isd.writer import META, UNFINISHED, ClipWriter, youtube_vis

CLASSES = ("person", "bag", "trolley", "wheelchair", "pet", "robot", "ball", "car")
"""Classes of instances; their numbers in YouTube-VIS files count from 1."""
INDEX, INSTANCES = "index.csv", "instances.json"
"""Tables of all clips, in the folder of the data set, and of the clips of a split, in the folder of that."""
THERMAL_BRIGHTNESS = 0.28
"""Mean of an empty image of thermal cameras, in which people must not burn out."""


@dataclass(frozen=True)
class Order:
    """One clip to make: number of its scene, from 0, and its folder below the folder of its split."""

    number: int
    frames: int
    folder: Path


def plan(out: Path, preset: Preset, frames: int) -> list[Order]:
    """The clips that make up ``frames`` frames; the last one may be shorter."""
    orders = []
    for number, first in enumerate(range(0, frames, preset.length)):
        folder = out / preset.split(number)[0] / f"scene{number:05d}"
        orders.append(Order(number, min(preset.length, frames - first), folder))
    return orders


def generate(
    out: Path,
    preset: Preset,
    *,
    frames: int,
    seed: int = 0,
    workers: int = 1,
    resume: bool = False,
    report: Callable[[int], None] = lambda frames: None,
) -> list[Path]:
    """Make a data set of so many frames."""
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()) and not resume:
            raise SinkError(f"{out}: is not empty; give --resume to go on, or another folder")
    orders = plan(out, preset, frames)
    for last in (False, True):  # a worker that was killed costs the clips that were in progress, once
        waiting = [order for order in orders if not _complete(order, preset, seed)]
        if len(waiting) == len(orders):
            _check_summaries(out, orders)
        try:
            _render(waiting, preset, seed, workers, frames, report)
            break
        except BrokenProcessPool:
            if last:
                raise RendererError(
                    "a worker was ended, perhaps for want of memory; "
                    "continue with --resume and fewer --workers"
                ) from None
    _summarise(out, orders)
    return [order.folder for order in orders]


def _render(
    waiting: Sequence[Order],
    preset: Preset,
    seed: int,
    workers: int,
    frames: int,
    report: Callable[[int], None],
) -> None:
    """Render clips, of a data set of so many frames."""
    done = frames - sum(order.frames for order in waiting)
    report(done)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start) as pool:
        jobs = {pool.submit(_make, order, preset, seed): order for order in waiting}
        try:
            for job in as_completed(jobs):
                job.result()
                done += jobs[job].frames
                report(done)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _complete(order: Order, preset: Preset, seed: int) -> bool:
    """Whether a clip is complete; one that was started is rendered again, over its files."""
    complete, started = (_record(order.folder / name) for name in (META, UNFINISHED))
    found = started if complete is None else complete
    if found is None:
        _check_empty(order.folder)
        return False
    wanted = {
        "seed": str(scene_seed(seed, order.number, preset.order)),
        "frames": order.frames,
        "size": list(preset.size),
    }
    if any(found.get(key) != value for key, value in wanted.items()):
        raise SinkError(
            f"{order.folder}: comes from another seed, order, size or length; give another folder"
        )
    return complete is not None


def _record(path: Path) -> dict[str, Any] | None:
    """Description of a clip, or None if it is missing."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SinkError(f"{path}: is not of a generated clip; give another folder")
    return found


def _check_empty(folder: Path) -> None:
    """See that nothing of somebody else is where a clip is to go; a run that was killed may leave a trace."""
    if not folder.exists():
        return
    remove_partial(folder, folder / UNFINISHED)
    with writing(folder):
        if any(folder.iterdir()):
            raise SinkError(
                f"{folder}: holds files that no clip of this command has started; move them away, or give "
                "another folder"
            )


def _check_summaries(out: Path, orders: list[Order]) -> None:
    """See that no table of somebody else is replaced: where no clip is complete, none is of this data set."""
    for path in (out / INDEX, *(order.folder.parent / INSTANCES for order in orders)):
        if path.exists():
            raise SinkError(f"{path}: is there without a clip of this data set; give another folder")


def _start() -> None:
    # One thread for each worker: more would only compete, and llvmpipe reads this when a context opens.
    os.environ["LP_NUM_THREADS"] = "1"
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """End this worker when the command is killed: it must not write beside a resumed run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


_renderer = lru_cache(maxsize=1)(Renderer)
"""The renderer of a worker process."""


def _make(order: Order, preset: Preset, seed: int) -> None:
    make_clip(_renderer(preset.size), preset.scene(seed, order.number, order.frames), order.folder)


def make_clip(renderer: Renderer, scene: Scene, folder: Path) -> None:
    """Render and write one clip."""
    scene = exposed(renderer, scene)
    renderer.set_stage(scene.stage)
    sensor = Sensor(scene.sensor, scene.size, np.random.default_rng((scene.seed, 1)))
    lens = Lens(scene.camera.bend, scene.size) if scene.camera.bend else None
    writer = ClipWriter(folder, scene)
    before = None
    for index in range(scene.frames):
        maps = renderer.render(scene.moment(index))
        if blur := [renderer.render(moment) for moment in scene.exposures(index)]:
            maps = averaged(maps, blur)
        if lens is not None:
            maps = lens.maps(maps)
        image = sensor.expose(maps.image, index, before)
        writer.write(index, image, maps)
        before = maps.image
    empty = renderer.render(scene.empty()).image
    plate = sensor.clean(empty if lens is None else lens.image(empty))
    writer.finish(plate)


def exposed(renderer: Renderer, scene: Scene) -> Scene:
    """The scene with an exposure that shows the empty room as bright as its light asks for."""
    goal = THERMAL_BRIGHTNESS if scene.thermal else LIGHTINGS[scene.stage.lighting.name].brightness
    renderer.set_stage(scene.stage)
    empty, factor = scene.empty(), 1.0
    for _ in range(2):
        gains = replace(empty.gains, exposure=factor)
        mean = float(renderer.render(replace(empty, gains=gains)).image.mean()) / 255
        factor *= float(np.clip((goal / max(mean, 0.02)) ** 2, 0.1, 8))
    return scene.exposed(factor)


def _summarise(out: Path, orders: list[Order]) -> None:
    """Write ``index.csv`` and one YouTube-VIS file a split."""
    metas = [json.loads((order.folder / META).read_text(encoding="utf-8")) for order in orders]
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["scene_id", "split", "template", "camera", "light", "tags", "frames", "seed"])
    for meta in metas:
        columns = [meta[key] for key in ("name", "split", "template", "camera", "light")]
        rows.writerow([*columns, " ".join(meta["tags"]), meta["frames"], meta["seed"]])
    write_complete(out / INDEX, table.getvalue().encode())
    for split in sorted({meta["split"] for meta in metas}):
        chosen = [meta for meta in metas if meta["split"] == split]
        text = json.dumps(youtube_vis(chosen, CLASSES))
        write_complete(out / split / INSTANCES, text.encode())
