"""Masks of a project for other programs: data sets, annotation tools, editors."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

from segue.errors import SegueError
from segue.masks import encode_objects, measure, read_index_mask, rle_area, rle_box, write_index_mask
from segue.types import Frame, Image, IndexMask, ObjectInfo, Segmentation
from segue.video import CocoSink, OverlayVideoSink, Sink
from segue.video.partial import remove_partial, replacing, write_complete, writing
from segue.video.video_sink import encoding, even_sides
from segue_web.film import Film
from segue_web.project import Project
from segue_web.worker import Tools

_RUN_BITS = (3, 4, 9, 16)
"""Bits for the length of a run in Label Studio's format; runs are written in the shortest that holds them."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is exported.

    Attributes:
        files: mask file of each frame on which something is known of one of the objects, also that it is
            not there.
        names: name and colour of each object; others are left out.
        scores: by frame and object.
        all_frames: whether data sets get the other frames as well, as if nothing were there.
    """

    files: Mapping[int, Path]
    names: Mapping[int, tuple[str, str]]
    scores: Mapping[tuple[int, int], float]
    all_frames: bool = False

    def frames(self, film: Film) -> Sequence[int]:
        """The frames that go into a data set, in order."""
        return range(film.count) if self.all_frames else sorted(self.files)

    def mask(self, index: int, size: tuple[int, int]) -> IndexMask:
        """Index mask of a frame with the chosen objects; empty where nothing is saved."""
        if index not in self.files:
            return np.zeros(size, np.uint8)
        mask = read_index_mask(self.files[index])
        return np.where(np.isin(mask, sorted(self.names)), mask, 0).astype(mask.dtype)

    def result(self, index: int, film: Film) -> Segmentation:
        mask = self.mask(index, film.size)
        extents = measure(mask)
        objects = tuple(
            ObjectInfo(i, name, self.scores.get((index, i), 0.0), extents[i].box, extents[i].area)
            if i in extents
            else ObjectInfo(i, name, 0.0)
            for i, (name, _) in self.names.items()
        )
        return Segmentation(index, film.time(index), mask, objects)


def snapshot(project: Project, objects: list[int] | None, *, all_frames: bool = False) -> Snapshot:
    """The chosen objects of a project as they are now.

    Args:
        project: the project.
        objects: their ids; None takes all.
        all_frames: see :class:`Snapshot`.

    Raises:
        SegueError: nothing is known of any of them on any frame.
    """
    rows = [row for row in project.objects() if objects is None or row["id"] in objects]
    names = {row["id"]: (row["name"], row["colour"]) for row in rows}
    timeline = project.timeline()
    known = {row[0] for row in timeline if row[1] in names}
    files = {i: path for i in project.masked_frames() if i in known and (path := project.mask_file(i))}
    if not files:
        raise SegueError("there are no masks to export yet")
    return Snapshot(files, names, {(row[0], row[1]): row[3] for row in timeline}, all_frames)


def free_path(folder: Path, name: str, form: str) -> Path:
    """Where an export of a film of that name goes: a path that is not there yet."""
    plain = "".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in name)[:60] or "film"
    taken = {path.name for path in folder.iterdir()}
    ends = (f"{'' if number == 1 else f'-{number}'}{FORMATS[form].suffix}" for number in count(1))
    return folder / next(path for end in ends if (path := f"{plain}-{form}{end}") not in taken)


def remove_unfinished(folder: Path, target: Path | None = None) -> None:
    """Remove what a killed process left of an export to ``target``, or of all exports of a folder."""
    remove_partial(folder, target)
    for path in folder.glob("*.partial") if target is None else [_partial_folder(target)]:
        shutil.rmtree(path, ignore_errors=True)


Writer = Callable[[Film, Snapshot, Path], Iterator[int]]


def export_job(tools: Tools, taken: Snapshot, form: str, target: Path) -> Iterator[int]:
    """Job of :meth:`segue_web.worker.Worker.begin`: writes ``target``, yielding how many frames are done."""
    yield from FORMATS[form].write(tools.film, taken, target)


def _frames(film: Film, taken: Snapshot, *, pictures: bool = True) -> Iterator[tuple[Frame, Segmentation]]:
    """All frames of the film with their pictures, or without those that go into a data set."""
    blank = np.zeros((*film.size, 3), np.uint8)
    for index in range(film.count) if pictures else taken.frames(film):
        frame = film.frame(index) if pictures else Frame(index, film.time(index), blank)
        yield frame, taken.result(index, film)


def _with_sink(make: Callable[[Path, Film], Sink], *, pictures: bool) -> Writer:
    def write(film: Film, taken: Snapshot, target: Path) -> Iterator[int]:
        with make(target, film) as sink:
            for number, (frame, result) in enumerate(_frames(film, taken, pictures=pictures), 1):
                sink.write(frame, result)
                yield number

    return write


def _partial_folder(final: Path) -> Path:
    return final.with_name(final.name + ".partial")


@contextmanager
def _folder(final: Path) -> Iterator[Path]:
    """A folder that gets its name when it is complete."""
    path = _partial_folder(final)
    shutil.rmtree(path, ignore_errors=True)
    try:
        with writing(final):
            path.mkdir(parents=True)
            yield path
            path.replace(final)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _davis(film: Film, taken: Snapshot, target: Path) -> Iterator[int]:
    """The tree of DAVIS 2017, which `segue eval davis` and the official tools read."""
    name = target.name
    with _folder(target) as folder:
        pictures, masks = (folder / kind / "480p" / name for kind in ("JPEGImages", "Annotations"))
        for made in (pictures, masks, folder / "ImageSets" / "2017"):
            made.mkdir(parents=True)
        (folder / "ImageSets" / "2017" / "val.txt").write_text(f"{name}\n")
        for number, index in enumerate(taken.frames(film), 1):
            (pictures / f"{index:05d}.jpg").write_bytes(film.jpeg(index))
            write_index_mask(masks / f"{index:05d}.png", taken.mask(index, film.size))
            yield number


def _ytvis(film: Film, taken: Snapshot, target: Path) -> Iterator[int]:
    """An annotation file of YouTube-VIS: videos, annotations, and the objects' names as categories."""
    height, width = film.size
    tracks: dict[int, list[Any]] = {i: [] for i in taken.names}
    for index in range(film.count):
        mask = taken.mask(index, film.size)
        for i, rle in encode_objects(mask, tracks).items():
            tracks[i].append(rle if rle_area(rle) else None)
        yield index + 1
    categories = {name: n for n, name in enumerate(dict(taken.names.values()), 1)}
    annotations = [
        {
            "id": n,
            "video_id": 1,
            "category_id": categories[taken.names[i][0]],
            "iscrowd": 0,
            "width": width,
            "height": height,
            "length": 1,
            "segmentations": track,
            "areas": [entry and rle_area(entry) for entry in track],
            "bboxes": [entry and _xywh(rle_box(entry)) for entry in track],
        }
        for n, (i, track) in enumerate(tracks.items(), 1)
    ]
    names = [f"{film.name}/{index:05d}.jpg" for index in range(film.count)]
    video = {"id": 1, "width": width, "height": height, "length": film.count, "file_names": names}
    listed = [{"id": n, "name": name, "supercategory": "object"} for name, n in categories.items()]
    found = {"videos": [video], "categories": listed, "annotations": annotations}
    write_complete(target, json.dumps({"info": {}, "licenses": [], **found}).encode())


def _xywh(box: tuple[float, float, float, float] | None) -> list[float] | None:
    return box and [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def _cvat(film: Film, taken: Snapshot, target: Path) -> Iterator[int]:
    """CVAT for video 1.1.

    CVAT follows no masks, so each is a track of one frame, as CVAT itself writes them; those of one object
    share its group.
    """
    root = ET.Element("annotations")
    _add(root, version="1.1")
    meta = ET.SubElement(ET.SubElement(root, "meta"), "task")
    last = film.count - 1
    _add(meta, name=film.name, size=film.count, mode="interpolation", start_frame=0, stop_frame=last)
    labels = ET.SubElement(meta, "labels")
    for name, colour in dict(taken.names.values()).items():
        label = ET.SubElement(labels, "label")
        _add(label, name=name, color=colour, type="mask")
        ET.SubElement(label, "attributes")
    height, width = film.size
    _add(ET.SubElement(meta, "original_size"), width=width, height=height)
    number = 0
    for index in range(film.count):
        mask = taken.mask(index, film.size)
        for i, extent in measure(mask).items():
            x0, y0, x1, y1 = (int(side) for side in extent.box)
            about = {"id": str(number), "label": taken.names[i][0], "source": "semi-auto", "group_id": str(i)}
            track = ET.SubElement(root, "track", about)
            shape = {"frame": index, "keyframe": 1, "outside": 0, "occluded": 0,
                     "rle": ", ".join(map(str, row_runs(mask[y0:y1, x0:x1] == i))),
                     "left": x0, "top": y0, "width": x1 - x0, "height": y1 - y0, "z_order": 0}  # fmt: skip
            ET.SubElement(track, "mask", {key: str(value) for key, value in shape.items()})
            number += 1
        yield index + 1
    ET.indent(root)
    write_complete(target, ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _add(parent: ET.Element, **texts: object) -> None:
    for tag, text in texts.items():
        ET.SubElement(parent, tag).text = str(text)


def row_runs(mask: npt.NDArray[np.bool_]) -> list[int]:
    """Run lengths along the rows, the first one of zeros, as CVAT has them."""
    flat = mask.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *ends.tolist(), flat.size]).tolist()
    return [0, *runs] if flat.size and flat[0] else runs


def _labelstudio(film: Film, taken: Snapshot, target: Path) -> Iterator[int]:
    """Tasks of Label Studio with brush labels, one a frame, beside the pictures they are of."""
    about: dict[str, Any] = {"type": "brushlabels", "from_name": "tag", "to_name": "image"}
    about["original_height"], about["original_width"] = film.size
    with _folder(target) as folder:
        (folder / "frames").mkdir()
        tasks = []
        for number, index in enumerate(taken.frames(film), 1):
            (folder / "frames" / f"{index:05d}.jpg").write_bytes(film.jpeg(index))
            mask = taken.mask(index, film.size)
            results = []
            for i in measure(mask):
                value = {"format": "rle", "rle": brush_rle(mask == i), "brushlabels": [taken.names[i][0]]}
                results.append({"id": f"f{index}o{i}", "image_rotation": 0, "value": value, **about})
            picture = f"/data/local-files/?d={target.name}/frames/{index:05d}.jpg"
            tasks.append({"data": {"image": picture, "frame": index}, "annotations": [{"result": results}]})
            yield number
        config = ET.Element("View")
        ET.SubElement(config, "Image", name="image", value="$image")
        brushes = ET.SubElement(config, "BrushLabels", name="tag", toName="image")
        for name, colour in dict(taken.names.values()).items():
            ET.SubElement(brushes, "Label", value=name, background=colour)
        (folder / "tasks.json").write_text(json.dumps(tasks), "utf-8")
        (folder / "labels.xml").write_text(ET.tostring(config, encoding="unicode"), "utf-8")


def brush_rle(mask: npt.NDArray[np.generic]) -> list[int]:
    """Bytes of Label Studio's brush run lengths: RGBA values of 8 bits along the rows, 0 or 255.

    The bits: number of values (32), size of a value less 1 (5), four sizes of run lengths less 1 (4 each);
    then for each run a 1, which of the four sizes (2), the length less 1, and the value.
    """
    flat = mask.ravel() != 0
    ends = np.append(np.flatnonzero(np.diff(flat)) + 1, flat.size)
    starts = np.append(0, ends[:-1])
    parts = [f"{4 * flat.size:032b}", f"{7:05b}", *(f"{bits - 1:04b}" for bits in _RUN_BITS)]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        left, value = 4 * (end - start), "1" * 8 if flat[start] else "0" * 8
        while left:
            length = min(left, 1 << _RUN_BITS[-1])
            which = next(n for n, bits in enumerate(_RUN_BITS) if length <= 1 << bits)
            parts.append(f"1{which:02b}{length - 1:0{_RUN_BITS[which]}b}{value}")
            left -= length
    bits = np.frombuffer("".join(parts).encode(), np.uint8) - ord("0")
    return [int(byte) for byte in np.packbits(bits)]


def _matte(codec: str, pixels: str, options: dict[str, str]) -> Writer:
    def write(film: Film, taken: Snapshot, target: Path) -> Iterator[int]:
        """The objects cut out, as a film with transparency."""
        form = target.suffix.removeprefix(".")
        with (
            replacing(target) as path,
            encoding(target),
            av.open(f"file:{path}", "w", format=form) as container,
        ):
            stream: Any = container.add_stream(codec, rate=Fraction(film.fps).limit_denominator(1001))
            stream.height, stream.width = (side + side % 2 for side in film.size)
            stream.pix_fmt, stream.options = pixels, options
            for frame, result in _frames(film, taken):
                cut = even_sides(_cut_out(frame.image, result.mask), cv2.BORDER_CONSTANT)
                picture = VideoFrame.from_ndarray(cut, format="rgba")
                picture.pts = None
                container.mux(stream.encode(picture.reformat(format=pixels)))
                yield frame.index + 1
            container.mux(stream.encode(None))

    return write


def _cut_out(image: Image, mask: IndexMask) -> Image:
    """The pixels of the objects, RGBA, (H, W, 4), uint8; all else is transparent and black."""
    alpha = (mask > 0).astype(np.uint8)
    return np.dstack([image * alpha[..., None], alpha * 255])


def _png(film: Film, taken: Snapshot, target: Path) -> Iterator[int]:
    """RGBA pictures, one a frame."""
    with _folder(target) as folder:
        for frame, result in _frames(film, taken):
            picture = cv2.cvtColor(_cut_out(frame.image, result.mask), cv2.COLOR_RGBA2BGRA)
            (folder / f"{frame.index:05d}.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
            yield frame.index + 1


_VP9 = {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "6", "auto-alt-ref": "0"}
"""Quality and speed; alternative reference frames do not go with transparency."""


class Format(NamedTuple):
    """How masks are exported: the ending of the file, none for a folder, and what writes it."""

    suffix: str
    write: Writer


FORMATS = {
    "davis": Format("", _davis),
    "coco": Format(".json", _with_sink(lambda path, film: CocoSink(path, size=film.size), pictures=False)),
    "ytvis": Format(".json", _ytvis),
    "cvat": Format(".xml", _cvat),
    "labelstudio": Format("", _labelstudio),
    "overlay": Format(".mp4", _with_sink(lambda path, film: OverlayVideoSink(path, film.fps), pictures=True)),
    "prores": Format(".mov", _matte("prores_ks", "yuva444p10le", {"profile": "4444"})),
    "vp9": Format(".webm", _matte("libvpx-vp9", "yuva420p", _VP9)),
    "png": Format("", _png),
}

DATA_SETS = frozenset({"davis", "coco", "labelstudio"})
"""Formats that list frames one by one, and so can leave out those of which nothing is known."""
