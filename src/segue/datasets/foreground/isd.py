"""Synthetic indoor surveillance clips, as ``segue synth isd`` writes them.

Layout::

    <root>/index.csv                                   one line a clip
    <root>/<split>/instances.json                      YouTube-VIS annotations
    <root>/<split>/<clip>/input/in000001.jpg ...       groundtruth/, ROI.bmp, temporalROI.txt: as CDnet2014
    <root>/<split>/<clip>/{depth,normal,instance,flow} further maps of every frame
    <root>/<split>/<clip>/background.png, meta.json
"""

from __future__ import annotations

import math
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from segue.datasets.files import read_map, read_rgb
from segue.datasets.foreground.cdnet import open_cdnet
from segue.datasets.foreground.folder import ForegroundFolder, ForegroundSequence, open_plain
from segue.errors import DatasetError
from segue.masks import write_index_mask
from segue.types import Image as RgbImage
from segue.utils.files import write_complete, writing
from segue.utils.inputs import user_path
from segue.utils.json_files import read_json

INDEX = "index.csv"
MOVING_BACKGROUND = 1000
"""Instance ids from here on are background that moves."""
_MAX_FLOW = 2**31
"""Largest flow map that is unpacked, in bytes."""


class ClipCamera(BaseModel):
    """The camera of a frame."""

    model_config = ConfigDict(frozen=True)

    pose: tuple[tuple[float, float, float, float], ...] = Field(min_length=3, max_length=3)  # world to camera


class ClipMeta(BaseModel):
    """Metadata of a clip."""

    model_config = ConfigDict(frozen=True)

    name: str
    template: str
    camera: str  # "static", "jitter", "pan", "steps" or "hand"
    light: str  # "day", "evening", "night", "mixed" or "neon"
    tags: tuple[str, ...]  # what makes it hard
    fps: float = Field(gt=0, le=1000)
    frames: int = Field(ge=1)
    cameras: tuple[ClipCamera, ...] = ()  # of each frame

    @property
    def tilt(self) -> float | None:
        """Downward tilt of the camera on the first frame, in degrees; None if unknown."""
        if not self.cameras:
            return None
        down = -self.cameras[0].pose[2][2]
        return math.degrees(math.asin(min(max(down, -1.0), 1.0)))

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of its light and of its camera angle, see :data:`TILTS`."""
        tilt = self.tilt
        angle = () if tilt is None else (next(name for name, limit in TILTS.items() if tilt < limit),)
        return (f"light {self.light}", *angle)


def open_isd(root: Path | str) -> ForegroundFolder:
    """Open a data set of rendered clips, or one of its splits.

    Args:
        root: folder of the data set, which holds ``index.csv``, or of one split.

    Returns:
        Clips by ``split/clip``, in natural order; splits are categories.

    Raises:
        DatasetError: a file does not fit, or there is no clip.
    """
    root = user_path(root)
    return open_cdnet(root) if (root / INDEX).is_file() else open_plain(root)


TILTS = {"tilt below 18°": 18.0, "tilt 18° to 25°": 25.0, "tilt from 25°": math.inf}
"""Upper bounds of camera tilts by name: thirds of the scenes with the seeds 0 to 59 of `isd-like`."""

MOVING_CAMERAS = frozenset({"pan", "steps", "hand"})
"""Cameras whose view does not return; jitter does."""


def open_isd_part(root: Path | str, part: str) -> ForegroundFolder:
    """Open a split of a data set.

    Args:
        root: folder of the data set.
        part: name of the split.

    Returns:
        Its clips by whether their camera moves, ``still`` or ``moving``; conditions of a clip are its light
        and its camera angle.

    Raises:
        DatasetError: there is no such split, or a description of a clip is damaged.
    """
    folder = user_path(root) / part
    if not folder.is_dir():
        raise DatasetError(f"no part {part!r}: {folder} is no folder")
    videos = open_plain(folder)
    metas = [IsdClip.of(video).read_meta() for video in videos]
    clips = [
        replace(
            video,
            category="moving" if meta.camera in MOVING_CAMERAS else "still",
            conditions=meta.conditions,
        )
        for video, meta in zip(videos, metas, strict=True)
    ]
    return ForegroundFolder(folder, clips)


@dataclass(frozen=True)
class IsdClip:
    """Additional maps of the clip in a folder; frames count from 0."""

    folder: Path

    @classmethod
    def of(cls, sequence: ForegroundSequence) -> IsdClip:
        """Clip of a sequence of :func:`open_isd`."""
        return cls(sequence.frames[0].parent.parent)

    def read_meta(self) -> ClipMeta:
        """Metadata of the clip."""
        return read_json(ClipMeta, self.folder / "meta.json", "description of a clip")

    def read_background(self) -> RgbImage:
        """Read the background as seen on frame 0, RGB (H, W, 3), uint8."""
        return read_rgb(self.folder / "background.png")

    def read_depth(self, i: int) -> npt.NDArray[np.float32]:
        """Distance along the optical axis. Returns metres, (H, W), float32."""
        return np.asarray(self._values("depth", "d", i) / 1000, np.float32)

    @property
    def has_depth(self) -> bool:
        """Whether the clip has depth maps."""
        return (self.folder / "depth").is_dir()

    def read_instances(self, i: int) -> npt.NDArray[np.uint16]:
        """Read the ids of visible objects, (H, W), uint16; 0 is background."""
        return self._values("instance", "i", i).astype(np.uint16)

    @property
    def has_normals(self) -> bool:
        """Whether the clip has normal maps."""
        return (self.folder / "normal").is_dir()

    def read_normals(self, i: int) -> npt.NDArray[np.float32]:
        """Unit normals in camera space (x right, y down, z away). Returns (H, W, 3), float32."""
        stored = read_rgb(self.folder / "normal" / f"n{i + 1:06d}.png").astype(np.float32)
        normals = stored / np.float32(127.5) - 1
        return np.asarray(normals / np.linalg.norm(normals, axis=2, keepdims=True), np.float32)

    def read_flow(self, i: int) -> npt.NDArray[np.float32]:
        """Motion to the next frame. Returns pixels to the right and down, (2, H, W), float32."""
        path = self.folder / "flow" / f"f{i + 1:06d}.npz"
        try:
            with zipfile.ZipFile(path) as archive:
                if archive.getinfo("flow.npy").file_size > _MAX_FLOW:
                    raise DatasetError(f"{path}: flow.npy unpacks to more than {_MAX_FLOW} bytes")
                with archive.open("flow.npy") as file:
                    flow = np.lib.format.read_array(file, allow_pickle=False)
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise DatasetError(f"{path} is no readable flow map: {error}") from error
        if flow.ndim != 3 or flow.shape[0] != 2:
            raise DatasetError(f"{path} holds an array of {flow.shape}; it must be (2, height, width)")
        return np.asarray(flow, np.float32)

    def _values(self, kind: str, letter: str, i: int) -> npt.NDArray[np.integer]:
        path = self.folder / kind / f"{letter}{i + 1:06d}.png"
        return read_map(path)


def export_davis(sequences: ForegroundFolder, out: Path) -> None:
    """Write clips of :func:`open_isd` in DAVIS' layout, for networks that follow objects."""
    for sequence in sequences:
        clip = IsdClip.of(sequence)
        images, masks = (out / kind / sequence.name for kind in ("JPEGImages", "Annotations"))
        for folder in (images, masks):
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
        for i, frame in enumerate(sequence.frames):
            write_complete(images / f"{i:05d}.jpg", frame.read_bytes())
            ids = clip.read_instances(i)
            write_index_mask(masks / f"{i:05d}.png", np.where(ids < MOVING_BACKGROUND, ids, 0))
