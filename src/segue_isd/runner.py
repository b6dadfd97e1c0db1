"""Render a data set: scenes in parallel workers, resumable."""

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
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from segue.datasets.foreground.isd import IsdClip
from segue.errors import DatasetError, SinkError
from segue.utils.files import locked, write_complete, writing
from segue.utils.system import check_may_start_processes
from segue_isd.presets import Preset
from segue_isd.render.gl import RendererError
from segue_isd.render.maps import Lens, averaged
from segue_isd.render.renderer import Renderer
from segue_isd.render.sensor import Sensor
from segue_isd.scene.lights import LIGHTINGS
from segue_isd.scene.scene import VERSION, Scene
from segue_isd.writer import META, ClipWriter, youtube_vis

CLASSES = ("person", "bag", "trolley", "wheelchair", "pet", "robot", "ball", "car")
"""Classes of instances; their numbers in YouTube-VIS files count from 1."""
INDEX, INSTANCES = "index.csv", "instances.json"
"""Tables of all clips, in the folder of the data set, and of the clips of a split, in the folder of that."""
ORDER = "order.json"
"""File in the folder of a data set with its settings; only a run with the same settings can resume there."""


@dataclass(frozen=True)
class Order:
    """A clip to render: number of its scene, from 0, and its folder within the split."""

    number: int
    frames: int
    folder: Path


def plan(out: Path, preset: Preset, frames: int) -> list[Order]:
    """Plan the clips for ``frames`` frames; the last one may be shorter."""
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
    """Render a data set of a number of frames."""
    with locked([out]):
        _claim(out, preset, seed, resume=resume)
        orders = plan(out, preset, frames)
        _check_not_longer(out, orders, frames)
        for last in (False, True):  # a worker that was killed costs the clips that were in progress, once
            try:
                _render(
                    [order for order in orders if not _complete(order)], preset, seed, workers, frames, report
                )
                break
            except BrokenProcessPool:
                if last:
                    raise RendererError(
                        "a worker was ended, perhaps for want of memory; "
                        "continue with --resume and fewer --workers"
                    ) from None
        _summarise(out, orders)
        return [order.folder for order in orders]


def _claim(out: Path, preset: Preset, seed: int, *, resume: bool) -> None:
    """Mark a folder as a data set; raises an error if it has other content."""
    about = {"version": VERSION, "seed": seed, **asdict(preset)}
    text = json.dumps(about, sort_keys=True)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        if not any(out.iterdir()):
            write_complete(out / ORDER, text.encode())
        elif not resume:
            raise SinkError(f"{out}: is not empty; give --resume to go on, or another folder")
        elif not (out / ORDER).is_file() or (out / ORDER).read_bytes() != text.encode():
            raise SinkError(
                f"{out}: is no data set of this version, seed, preset, size and clip length; "
                "give another folder"
            )


def _check_not_longer(out: Path, orders: Sequence[Order], frames: int) -> None:
    """Refuse a folder with more frames than are planned: readers would find those that stay."""
    planned, last = {order.folder for order in orders}, orders[-1]
    next_frame = last.folder / "input" / f"in{last.frames + 1:06d}.jpg"
    if next_frame.exists() or not planned.issuperset(out.glob("*/scene[0-9]*")):
        raise SinkError(f"{out}: holds more than {frames} frames; give a larger --frames, or another folder")


def _render(
    waiting: Sequence[Order],
    preset: Preset,
    seed: int,
    workers: int,
    frames: int,
    report: Callable[[int], None],
) -> None:
    """Render waiting clips of a data set in parallel."""
    done = frames - sum(order.frames for order in waiting)
    report(done)
    check_may_start_processes(f"workers={workers}")
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


def _complete(order: Order) -> bool:
    """Whether a clip is complete; incomplete and damaged ones are rendered again."""
    try:
        return IsdClip(order.folder).read_meta().frames == order.frames
    except DatasetError:
        return False


def _start() -> None:
    # One thread for each worker: more would only compete, and llvmpipe reads this when a context opens.
    os.environ["LP_NUM_THREADS"] = "1"
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """End this worker with the command, so that it does not write into a resumed run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


_renderer = lru_cache(maxsize=1)(Renderer)
"""Cached renderer of a worker process."""


def _make(order: Order, preset: Preset, seed: int) -> None:
    make_clip(_renderer(preset.size), preset.scene(seed, order.number, order.frames), order.folder)


def make_clip(renderer: Renderer, scene: Scene, folder: Path) -> None:
    """Render and write one clip."""
    scene = exposed(renderer, scene)
    renderer.set_stage(scene.stage)
    sensor = Sensor(scene.sensor, scene.size, np.random.default_rng((scene.seed, 1)))
    lens = Lens(scene.camera.bend, scene.size) if scene.camera.bend else None
    writer = ClipWriter(folder, scene)
    for index in range(scene.frames):
        maps = renderer.render(scene.moment(index))
        if blur := [renderer.render(moment) for moment in scene.exposures(index)]:
            maps = averaged(maps, blur)
        if lens is not None:
            maps = lens.maps(maps)
        image = sensor.expose(maps.image, index)
        writer.write(index, image, maps)
    empty = renderer.render(scene.empty()).image
    plate = sensor.clean(empty if lens is None else lens.image(empty))
    writer.finish(plate)


def exposed(renderer: Renderer, scene: Scene) -> Scene:
    """Copy the scene with an exposure that suits the brightness of the empty room."""
    goal = LIGHTINGS[scene.stage.lighting.name].brightness
    renderer.set_stage(scene.stage)
    empty, factor = scene.empty(), 1.0
    for _ in range(2):
        gains = replace(empty.gains, exposure=factor)
        mean = float(renderer.render(replace(empty, gains=gains)).image.mean()) / 255
        factor *= float(np.clip((goal / max(mean, 0.02)) ** 2, 0.1, 8))
    return scene.exposed(factor)


def _summarise(out: Path, orders: list[Order]) -> None:
    """Write ``index.csv`` and one YouTube-VIS file per split."""
    metas = [json.loads((order.folder / META).read_text(encoding="utf-8")) for order in orders]
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["scene_id", "split", "template", "camera", "light", "tags", "frames", "seed"])
    for meta in metas:
        columns = [meta[key] for key in ("name", "split", "template", "camera", "light")]
        rows.writerow([*columns, " ".join(meta["tags"]), meta["frames"], meta["seed"]])
    write_complete(out / INDEX, table.getvalue().encode())
    for split in sorted({meta["split"] for meta in metas}):
        selected = [meta for meta in metas if meta["split"] == split]
        text = json.dumps(youtube_vis(selected, CLASSES))
        write_complete(out / split / INSTANCES, text.encode())
