"""Write generated clips in CDnet2014's layout with further maps, and a contact sheet."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Image

from segue.datasets.files import read_rgb
from segue.datasets.foreground.folder import numbered_files
from segue.datasets.foreground.labels import read_grey
from segue.errors import SinkError
from segue.formats.coco.writers import track_entry, video_entry
from segue.masks import encode_objects
from segue.utils.files import make_folder, prepare, replacing, write_complete, writing
from segue_isd.render.maps import Maps, instances, labels
from segue_isd.scene.parts import MOVING_BACKGROUND
from segue_isd.scene.scene import VERSION, Scene

META = "meta.json"
"""Written last: a clip without it is not complete."""
DEPTH_UNIT = 1000
"""Values of a depth file in one metre."""
_FAST_PNG: tuple[int, ...] = (cv2.IMWRITE_PNG_COMPRESSION, 1)
if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # older versions choose a filter for every row, which takes long
    _FAST_PNG += (cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP)


class ClipWriter:
    """Writes the frames of one scene into its folder within the split."""

    def __init__(self, folder: Path, scene: Scene) -> None:
        self._folder, self._scene = folder, scene
        self._cameras: list[dict[str, Any]] = []
        self._masks_of: dict[int, dict[int, Any]] = {}
        with writing(folder):
            make_folder(folder)
            for name in ("input", "groundtruth", "depth", "normal", "instance", "flow"):
                (folder / name).mkdir(exist_ok=True)

    def write(self, index: int, image: npt.NDArray[np.uint8], maps: Maps) -> None:
        """Write frame ``index`` (from 0): the image (H, W, 3), labels, ids, and the other maps."""
        number, truth, ids = f"{index + 1:06d}", labels(maps), instances(maps)
        depth = np.clip(np.rint(maps.depth * DEPTH_UNIT), 0, 65535).astype(np.uint16)
        quality = (cv2.IMWRITE_JPEG_QUALITY, self._scene.sensor.quality)
        files = {
            f"input/in{number}.jpg": _encoded(".jpg", image[..., ::-1], quality),
            f"groundtruth/gt{number}.png": _encoded(".png", truth, _FAST_PNG),
            f"depth/d{number}.png": _encoded(".png", depth, _FAST_PNG),
            f"normal/n{number}.png": _encoded(".png", maps.normal[..., ::-1], _FAST_PNG),
            f"instance/i{number}.png": _encoded(".png", ids, _FAST_PNG),
            f"flow/f{number}.npz": _packed(maps.flow),
        }
        for name, data in files.items():
            with writing(self._folder / name):
                (self._folder / name).write_bytes(data)
        self._note(index, ids)

    def finish(self, plate: npt.NDArray[np.uint8]) -> None:
        """Write files of the whole clip; ``plate`` is the background without foreground, (H, W, 3)."""
        region = io.BytesIO()
        Image.fromarray(np.full(self._scene.size, 255, np.uint8)).save(region, format="BMP")
        write_complete(self._folder / "ROI.bmp", region.getvalue())
        write_complete(self._folder / "temporalROI.txt", f"1 {len(self._cameras)}\n".encode())
        write_complete(self._folder / "background.png", _encoded(".png", plate[..., ::-1], _FAST_PNG))
        text = json.dumps(self._meta(), indent=1, sort_keys=True)
        write_complete(self._folder / META, text.encode())

    def _note(self, index: int, ids: npt.NDArray[np.uint16]) -> None:
        view = self._scene.camera.at(index / self._scene.fps)
        pose, matrix = view.pose, view.intrinsics(self._scene.size)
        self._cameras.append({"K": np.round(matrix, 6).tolist(), "pose": np.round(pose, 8).tolist()})
        present = [int(id) for id in np.unique(ids) if 0 < id < MOVING_BACKGROUND]
        for id, rle in encode_objects(ids, present).items():
            self._masks_of.setdefault(id, {})[index] = rle

    def _meta(self) -> dict[str, Any]:
        scene = self._scene
        kinds = {actor.id: actor.kind for actor in scene.actors}
        about_events = ("kind", "light", "start", "length", "strength")
        return {
            "name": self._folder.name,
            "split": self._folder.parent.name,
            "seed": str(scene.seed),
            "version": VERSION,
            "template": scene.room.template,
            "camera": scene.camera.kind,
            "light": scene.stage.lighting.name,
            "tags": list(scene.tags),
            "fps": scene.fps,
            "frames": len(self._cameras),
            "size": list(scene.size),
            "depth_unit": DEPTH_UNIT,
            "distortion": scene.camera.bend,
            "cameras": self._cameras,
            "light_events": [{key: getattr(event, key) for key in about_events} for event in scene.events],
            "moving_background": {
                str(MOVING_BACKGROUND + number): mover.kind for number, mover in enumerate(scene.movers)
            },
            "instances": [
                {"id": id, "class": kinds[id], "segmentations": {str(i): rle for i, rle in frames.items()}}
                for id, frames in sorted(self._masks_of.items())
            ],
        }


def _encoded(kind: str, pixels: npt.NDArray[np.generic], options: tuple[int, ...]) -> bytes:
    done, data = cv2.imencode(kind, np.ascontiguousarray(pixels), list(options))
    if not done:
        raise SinkError(f"an image of {pixels.shape} {pixels.dtype} cannot be stored as {kind}")
    return bytes(data)


def _packed(flow: npt.NDArray[np.float32]) -> bytes:
    """Pack ``flow``, float16, (2, H, W), as an archive; equal flow gives equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        array = io.BytesIO()
        np.lib.format.write_array(array, np.ascontiguousarray(np.moveaxis(flow, 2, 0), np.float16))
        archive.writestr(zipfile.ZipInfo("flow.npy"), array.getvalue(), zipfile.ZIP_DEFLATED, 1)
    return buffer.getvalue()


def youtube_vis(metas: list[dict[str, Any]], classes: tuple[str, ...]) -> dict[str, Any]:
    """Create YouTube-VIS annotations of clips from their ``meta.json``."""
    videos: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, meta in enumerate(metas, start=1):
        frames, (height, width) = range(meta["frames"]), meta["size"]
        names = [f"{meta['name']}/input/in{i + 1:06d}.jpg" for i in frames]
        videos.append(video_entry(number, names, (height, width)))
        for item in meta["instances"]:
            lengths = [item["segmentations"].get(str(i)) for i in frames]
            category = classes.index(item["class"]) + 1
            annotations.append(track_entry(len(annotations) + 1, number, category, lengths, (height, width)))
    categories = [
        {"id": i, "name": name, "supercategory": "foreground"} for i, name in enumerate(classes, start=1)
    ]
    return {"videos": videos, "annotations": annotations, "categories": categories}


COLUMNS = 4
MAX_CLIPS = 16
"""Clips on a sheet."""
WIDTH = 240
"""Size of each image in pixels."""


def write_sheet(path: Path, clips: Sequence[Path]) -> None:
    """Write a contact sheet: the fullest frame of evenly chosen clips, with labels below."""
    indices = np.unique(np.linspace(0, len(clips) - 1, min(MAX_CLIPS, len(clips))).astype(int))
    cells = [_cell(clips[i]) for i in indices]
    columns = min(COLUMNS, len(cells))
    cells += [np.zeros_like(cells[0])] * (-len(cells) % columns)  # all clips have one size
    rows = [np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)]
    prepare(path)
    with replacing(path) as partial:
        Image.fromarray(np.vstack(rows)).quantize(256).save(partial, format="PNG", optimize=True)


def _cell(clip: Path) -> npt.NDArray[np.uint8]:
    images, truths = (list(numbered_files(clip / name).values()) for name in ("input", "groundtruth"))
    tried = range(0, len(images), max(1, len(images) // 8))
    masks = {i: read_grey(truths[i]) for i in tried}
    fullest = max(tried, key=lambda i: (int((masks[i] == 255).sum()), -i))
    image = read_rgb(images[fullest])
    both = np.vstack([image, np.repeat(masks[fullest][..., None], 3, axis=2)])
    size = (WIDTH, round(both.shape[0] * WIDTH / both.shape[1]))
    return np.asarray(cv2.resize(both, size, interpolation=cv2.INTER_AREA), np.uint8)
