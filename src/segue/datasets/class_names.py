"""Names of classes from an annotation file of YouTube-VIS, OVIS or COCO, without its annotations."""

from __future__ import annotations

from pathlib import Path

from segue.datasets.instances import CategoryRecord, add_category
from segue.datasets.json_files import entries, read_json_text, validated
from segue.errors import DatasetError


def read_class_names(path: Path | str) -> dict[int, str]:
    """Names by number, as ``categories`` of the file has them.

    Raises:
        DatasetError: the file cannot be read, or has no categories.
    """
    path = Path(path)
    names: dict[int, str] = {}
    for key, i, _, value in entries(read_json_text(path), path):
        if key == "categories" and i >= 0:
            where = f"{path}: categories[{i}]"
            add_category(names, validated(CategoryRecord, value, where), where)
    if not names:
        raise DatasetError(f"{path} has no categories; give an annotation file of YouTube-VIS, OVIS or COCO")
    return names
