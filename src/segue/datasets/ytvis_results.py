"""Reader of result files of YouTube-VIS: a JSON list, plain or zipped as the official servers take it.

Each entry has ``video_id``, ``category_id``, ``score`` and ``segmentations``, one compressed run length or
null a frame; other keys are left alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from segue.datasets.instances import DetectedInstance, Record
from segue.datasets.json_files import entries, read_json_text, validated
from segue.datasets.ytvis import YTVISDataset
from segue.errors import DatasetError
from segue.masks.tracks import RleTrack


def read_results(path: Path | str, dataset: YTVISDataset) -> dict[int, list[DetectedInstance]]:
    """Results by the number of their video, in the order of the file; videos without results have none.

    Raises:
        DatasetError: the file cannot be read or holds no result, or an entry is wrong: a missing or unfit
            value, damaged run lengths, masks of another size, a video that is not in ``dataset``. The message
            names the entry by its place in the list, from 0.
    """
    path = Path(path)
    results: dict[int, list[DetectedInstance]] = {}
    for key, i, _, value in entries(read_json_text(path), path):
        if key or i < 0:
            raise DatasetError(f"{path} is not a list of results; each entry must be an object in one list")
        where = f"{path}: entry {i}"
        record = validated(_ResultRecord, value, where)
        try:
            size = dataset.video(record.video_id).size
            masks = RleTrack.parse(record.segmentations, size, forms="compressed")
        except DatasetError as error:
            raise DatasetError(f"{where}: {error}") from None
        found = DetectedInstance(record.category_id, record.score, masks)
        results.setdefault(record.video_id, []).append(found)
    if not results:
        raise DatasetError(f"{path} holds no result; the official evaluation needs at least one")
    return results


class _ResultRecord(Record):
    video_id: int
    category_id: int
    score: float = Field(allow_inf_nan=False)
    segmentations: list[Any]
