"""The published inference over a data set: every video is one clip, and the results go into one file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from segue.datasets.ytvis import Video, YTVISDataset
from segue.errors import SinkError
from segue.models.seqformer import SeqFormer
from segue.sessions.base import choose_device, has_bfloat16, inference_copy
from segue.sessions.clips import SHORT_SIDE, as_tensor, encode_frames, official_records, resized
from segue.video.partial import PartialFile, writing

Report = Callable[[int, int, str], None]
"""Told how many videos are done, of how many, and the name of the last one."""

Records = list[dict[str, Any]]


def write_official(
    network: SeqFormer,
    dataset: YTVISDataset,
    path: Path,
    *,
    settings: dict[str, Any],
    overwrite: bool = False,
    resume: bool = False,
    device: str | torch.device | None = None,
    fast: bool = False,
    report: Report = lambda *_: None,
) -> None:
    """Write the results of all videos as the official server of YouTube-VIS takes them.

    Results of finished videos are kept in a file beside ``path``, whose name ends in ``.part``, until all are
    there.

    Args:
        network: in evaluation mode; it is not changed.
        dataset: videos with their pictures.
        path: the JSON file to write.
        settings: all that the results depend on, as JSON values; a resumed run must have the same.
        overwrite: replace results of an earlier run.
        resume: go on with an interrupted run.
        device: None takes a GPU if there is one.
        fast: bfloat16 where the processor or GPU has it.
        report: called after each video.

    Raises:
        SinkError: something exists and neither ``overwrite`` nor ``resume`` is given, cannot be resumed, or
            cannot be written.
        DatasetError: a picture is missing or damaged.
    """
    part = path.with_name(path.name + ".part")
    _claim(path, part, overwrite, resume)
    finished = _begin(part, settings, resume)
    chosen = choose_device(device)
    dtype = torch.bfloat16 if fast and has_bfloat16(chosen) else torch.float32
    copy = inference_copy(network, chosen, dtype)
    for count, video in enumerate(dataset, start=1):
        if video.id not in finished:
            records = video_records(copy, dataset, video, chosen, dtype)
            with writing(part), part.open("a", encoding="ascii") as file:
                file.write(json.dumps({"video": video.id, "records": records}) + "\n")
        report(count, len(dataset), video.name)
    _complete(path, part)


def _claim(path: Path, part: Path, overwrite: bool, resume: bool) -> None:
    if resume and overwrite:
        raise SinkError("overwrite and resume exclude each other; give one of them")
    for file in (path, part):
        if file.exists() and not (overwrite or resume):
            raise SinkError(f"{file}: exists already; give --overwrite or --resume, or another output")
    if resume and path.exists() and not part.exists():
        raise SinkError(f"{path}: is complete already; there is nothing to resume")


def _begin(part: Path, settings: dict[str, Any], resume: bool) -> set[int]:
    """Make the file of finished videos, or read which ones it has; a line that was cut off is removed."""
    header = json.dumps({"settings": settings}) + "\n"
    with writing(part):
        if not (resume and part.exists()):
            part.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(header, encoding="ascii")
            return set()
        whole = 0
        finished = set()
        with part.open("r+b") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                if whole == 0 and line.decode(errors="replace") != header:
                    raise SinkError(f"{part}: of a run with other settings; give the same, or --overwrite")
                if whole:
                    finished.add(_line(part, line)["video"])
                whole += len(line)
            file.truncate(whole)
            if whole == 0:
                file.seek(0)
                file.write(header.encode())
    return finished


def video_records(
    network: SeqFormer,
    dataset: YTVISDataset,
    video: Video,
    device: torch.device,
    dtype: torch.dtype,
    short_side: int = SHORT_SIDE,
) -> Records:
    """Entries of the result file for one video, which is one clip.

    Args:
        network: in evaluation mode, on ``device``, of precision ``dtype``.
        device, dtype: see ``network``.
        dataset, video: where the pictures are.
        short_side: pictures are resized to this short side.

    Raises:
        DatasetError: a picture is missing or damaged.
    """
    with torch.inference_mode():
        pictures = (resized(dataset.read_image(video, t), short_side) for t in range(len(video)))
        memory = encode_frames(network, [as_tensor([picture], device, dtype) for picture in pictures])
        return official_records(network, memory, network.decode(memory), video.size, video_id=video.id)


def _complete(path: Path, part: Path) -> None:
    """Write the list of all results, holding those of one video at a time."""
    file = PartialFile(path)
    try:
        with writing(path), file.path.open("w", encoding="ascii") as stream:
            stream.write("[")
            separator = "\n"
            for record in _kept(part):
                stream.write(separator + json.dumps(record))
                separator = ",\n"
            stream.write("\n]\n")
        file.commit()
    except BaseException:
        file.discard()
        raise
    part.unlink()


def _kept(part: Path) -> Iterator[dict[str, Any]]:
    with part.open("rb") as lines:
        next(lines)
        for line in lines:
            yield from _line(part, line)["records"]


def _line(part: Path, line: bytes) -> dict[str, Any]:
    """One finished video.

    Raises:
        SinkError: the line is damaged.
    """
    try:
        entry = json.loads(line)
        if isinstance(entry["video"], int) and isinstance(entry["records"], list):
            return dict(entry)
    except (ValueError, TypeError, KeyError):
        pass
    raise SinkError(f"{part}: damaged; give --overwrite to begin anew")
