"""Smaller data sets with foreground labels: SBI2015, LASIESTA, LIMU, and the composites of HOFAM.

**SBI2015** (Maddalena and Petrosino, "Towards Benchmarking Scene Background Initialization", ICIAP Workshops
2015) with the foreground masks that Lim and Keles made for it ("Learning multi-scale features for foreground
segmentation", 2020). A name may end in ``_a``, as in the mask package; frames may be missing. Layout::

    <scene>/input/in000001.png or <scene>_000001.png ...     CAVIAR2 and Foliage: .jpg
    <scene>/groundtruth/gt000001.png ...                     or <masks>/<scene>/gt000001.png

**LASIESTA** (Cuevas et al., "Labeled dataset for integral evaluation of moving object detection algorithms:
LASIESTA", CVIU 2016): fully labelled indoor and outdoor videos, 352x288. Layout, at any of the upper levels
of the root::

    I_SI_01/I_SI_01-1.bmp ...
    I_SI_01-GT/I_SI_01-GT_1.png ...      also I_SI_01_GT; beside the images' folder or in it

**LIMU** (Kyushu University): videos such as CameraParameter, Intersection and LightSwitch, labelled in part.
A manifest says where its files lie, so that any copy of the data can be read without renaming::

    {"LightSwitch": {"frames_glob": "LightSwitch/input/*", "gt_glob": "LightSwitch/groundtruth/*"}}

``number`` is a regular expression for the frame number in a name without its ending, ``positive`` the grey
value of foreground. The manifest that comes with segue is the one above for the three videos.

**HOFAM**'s composites, released with the code of "CrossNet: Cross-Scene Background Subtraction Network via 3D
Optical Flow": frame, optical flow and ground truth side by side in one PNG, 256 pixels high and 768 wide. The
flow panel holds the length of the flow to three earlier frames, the largest distance in red. The ground truth
is resized with grey values between, its foreground is white.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from segue.datasets.files import files_in, image_size, read_rgb, subfolders
from segue.datasets.foreground.folder import (
    NUMBER,
    ForegroundFolder,
    ForegroundSequence,
    VideoLayout,
    by_number,
    numbered_files,
)
from segue.datasets.foreground.labels import (
    MOTION,
    STATIC,
    Labels,
    StaticAs,
    read_binary_labels,
    read_lasiesta_labels,
    read_sbi_labels,
)
from segue.errors import DatasetError
from segue.types import Image
from segue.utils.inputs import check_choice, user_path
from segue.utils.json_files import read_json
from segue.utils.naming import natural_key

SBI_VIDEOS = (
    *("Board", "Candela_m1.10", "CAVIAR1", "CAVIAR2", "CaVignal", "Foliage", "HallAndMonitor", "HighwayI"),
    *("HighwayII", "HumanBody2", "IBMtest2", "PeopleAndFoliage", "Toscana", "Snellen"),
)
"""The 14 videos."""


def open_sbi(root: Path | str, masks: Path | str | None = None) -> ForegroundFolder:
    """Open SBI2015; folders that are not named after its videos are skipped.

    Args:
        root: folder of the videos.
        masks: folder with one folder of masks for each video, whose name may end in ``_a``; default, also for
            videos that have none there: ``groundtruth`` beside ``input``.

    Returns:
        Videos by name, in natural order.

    Raises:
        DatasetError: a video lacks its images or masks or is there twice, a file does not fit, or there is no
            video.
    """
    root = user_path(root)
    mask_folders = {} if masks is None else {_scene_name(path): path for path in subfolders(user_path(masks))}
    videos = sorted(_find_sbi(root), key=lambda video: SBI_VIDEOS.index(video[0]))
    return ForegroundFolder(root, (_read_sbi_video(path, mask_folders.get(name)) for name, path in videos))


def _scene_name(folder: Path) -> str:
    return folder.name.removesuffix("_a")


def _find_sbi(root: Path) -> Iterator[tuple[str, Path]]:
    scenes = ((_scene_name(folder), folder) for folder in subfolders(root))
    return (video for video in scenes if video[0] in SBI_VIDEOS)


def _read_sbi_video(folder: Path, masks: Path | None = None) -> ForegroundSequence:
    images, truths = numbered_files(folder / "input"), numbered_files(masks or folder / "groundtruth")
    return ForegroundSequence.of(_scene_name(folder), images, truths, decode_labels=read_sbi_labels)


SBI = VideoLayout(_find_sbi, _read_sbi_video, whole=False, inside="input")


STATIC_CAMERA = ("I_SI", "I_CA", "I_OC", "I_IL", "I_MB", "I_BS", "O_CL", "O_RA", "O_SN", "O_SU")
"""The ten categories of published tables, with a still camera."""

MOVING_CAMERA = ("I_MC", "I_SM", "O_MC", "O_SM")
"""Categories with camera motion, real (MC) or simulated (SM)."""

LASIESTA_VIDEOS = tuple(
    f"{category}/{category}_{i + 1:02d}"
    for category in (*STATIC_CAMERA, *MOVING_CAMERA)
    for i in range(12 if category.endswith("SM") else 2)
)
"""The 48 videos."""

_NAME = re.compile(r"[IO]_[A-Z]{2}_[0-9]{2}")
_IMAGES = frozenset({".bmp", ".png", ".jpg"})


def open_lasiesta(root: Path | str, static_as: StaticAs = "foreground") -> ForegroundFolder:
    """Open LASIESTA.

    Args:
        root: folder of the videos, which lie in it or at most two levels below.
        static_as: label of a moving object that stays still: ``foreground``, ``background`` or
            ``ignore``, which are the labels 255, 0 and 170.

    Returns:
        Videos by ``category/video`` such as ``I_SI/I_SI_01``, in natural order.

    Raises:
        DatasetError: a video lacks its labels or is there twice, a file does not fit, or there is no video.
    """
    root = user_path(root)
    check_choice("static_as", static_as, StaticAs, DatasetError)
    return ForegroundFolder(root, (_read_lasiesta_video(path, static_as) for _, path in _find_lasiesta(root)))


def _find_lasiesta(root: Path) -> list[tuple[str, Path]]:
    folders = sorted(_named_folders(root, levels=3), key=lambda path: natural_key(path.name))
    return [(f"{folder.name[:4]}/{folder.name}", folder) for folder in folders]


def _named_folders(root: Path, levels: int) -> Iterator[Path]:
    for folder in subfolders(root):
        if _NAME.fullmatch(folder.name) and files_in(folder, _IMAGES):
            yield folder
        elif levels > 1:
            yield from _named_folders(folder, levels - 1)


def _read_lasiesta_video(folder: Path, static_as: StaticAs = "foreground") -> ForegroundSequence:
    names = (f"{folder.name}-GT", f"{folder.name}_GT")
    places = [parent / name for parent in (folder.parent, folder) for name in names]
    labels = next((place for place in places if place.is_dir()), places[0])
    images, truths = numbered_files(folder, _IMAGES), numbered_files(labels, {".png"})
    decode = partial(read_lasiesta_labels, static_as=static_as)
    return ForegroundSequence.of(folder.name, images, truths, folder.name[:4], decode_labels=decode)


LASIESTA = VideoLayout(_find_lasiesta, _read_lasiesta_video)


def _inside(pattern: str) -> str:
    if PurePosixPath(pattern).is_absolute() or PureWindowsPath(pattern).drive or ".." in Path(pattern).parts:
        raise ValueError("must stay inside the folder of the data set")
    return pattern


def _one_group(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from error
    if groups != 1:
        raise ValueError("must have one group, the number")
    return pattern


class ManifestEntry(BaseModel):
    """Paths of the files of one video."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    frames_glob: Annotated[str, Field(min_length=1), AfterValidator(_inside)]
    gt_glob: Annotated[str, Field(min_length=1), AfterValidator(_inside)]
    number: Annotated[str, AfterValidator(_one_group)] = NUMBER.pattern
    positive: Annotated[int, Field(ge=0, le=255)] = 255


_LIMU = {
    name: ManifestEntry(frames_glob=f"{name}/input/*", gt_glob=f"{name}/groundtruth/*")
    for name in ("CameraParameter", "Intersection", "LightSwitch")
}
"""The bundled manifest."""


def open_limu(root: Path | str, manifest: Path | str | None = None) -> ForegroundFolder:
    """Open the available videos of a manifest; some frames may have no labels.

    Args:
        root: folder that the patterns of the manifest start from.
        manifest: JSON file; default: the one that comes with segue.

    Returns:
        Videos by their names in the manifest.

    Raises:
        DatasetError: the manifest has another form, a file does not fit, or there is no video.
    """
    root = user_path(root)
    if not root.is_dir():
        raise DatasetError(f"no folder {root}")
    entries = (
        _LIMU if manifest is None else read_json(dict[str, ManifestEntry], user_path(manifest), "manifest")
    )
    videos = (_read_entry(root, name, entry) for name, entry in entries.items())
    return ForegroundFolder(root, (video for video in videos if video.frames))


def _read_entry(root: Path, name: str, entry: ManifestEntry) -> ForegroundSequence:
    images, truths = (_matches(root, glob, entry.number) for glob in (entry.frames_glob, entry.gt_glob))
    decode = partial(read_binary_labels, positive=entry.positive)
    return ForegroundSequence.of(name, images, truths, decode_labels=decode)


def _matches(root: Path, pattern: str, number: str) -> dict[int, Path]:
    return by_number((path for path in root.glob(pattern) if path.is_file()), re.compile(number))


def _find_limu(root: Path) -> Iterator[tuple[str, Path]]:
    return ((name, root / name) for name in _LIMU if (root / name).is_dir())


def _read_limu_video(folder: Path) -> ForegroundSequence:
    return _read_entry(folder.parent, folder.name, _LIMU[folder.name])


LIMU = VideoLayout(_find_limu, _read_limu_video, whole=False, inside="input")
LIMU_VIDEOS = tuple(_LIMU)


WHITE = 128
"""Minimum value of all three channels of foreground in the ground truth."""


COMPOSITE_SIZE = (256, 768)
"""Height and width of the composite images as published."""


def is_hofam(folder: Path) -> bool:
    """Whether the first image of a folder, or of one in it, has the size of a composite."""
    for place in (folder, *subfolders(folder)):
        first = min(place.glob("*.png"), default=None)
        if first is not None:
            try:
                return image_size(first) == COMPOSITE_SIZE
            except DatasetError:
                return False
    return False


def open_hofam(folder: Path | str) -> ForegroundFolder:
    """Open a folder of composite images, frame, flow and labels side by side, or each folder in it.

    Neighbouring numbers may be of different scenes.

    Args:
        folder: folder of PNG files whose names end in a number, or of folders with such files.

    Returns:
        One video for each folder, by its name; frames, labels and, from the same files, flow.

    Raises:
        DatasetError: there is no image, or one has no number or the number of another one.
    """
    folder = user_path(folder)
    inner = subfolders(folder)
    is_one_video = not inner or any(path.suffix.lower() == ".png" for path in folder.iterdir())
    return ForegroundFolder(folder, map(_composites, [folder] if is_one_video else inner))


def _composites(folder: Path) -> ForegroundSequence:
    files = numbered_files(folder, {".png"})
    name = folder.resolve().name
    return ForegroundSequence.of(name, files, files, decode_image=read_frame, decode_labels=read_truth)


def read_frame(path: Path) -> Image:
    """Frame of a composite, RGB, (H, W, 3), uint8."""
    return _panel(path, 0)


def read_flow(path: Path) -> Image:
    """Flow panel of a composite, (H, W, 3), uint8."""
    return _panel(path, 1)


def read_truth(path: Path) -> Labels:
    """Ground truth of a composite, (H, W), uint8: 0 or 255."""
    return np.where((_panel(path, 2) >= WHITE).all(axis=2), MOTION, STATIC).astype(np.uint8)


def _panel(path: Path, i: int) -> Image:
    composite = read_rgb(path)
    width, rest = divmod(composite.shape[1], 3)
    if rest:
        raise DatasetError(
            f"{path} is {composite.shape[1]} pixels wide; three panels side by side are needed"
        )
    return composite[:, i * width : (i + 1) * width]
