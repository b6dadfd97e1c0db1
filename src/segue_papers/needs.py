"""Requirements of tables and rows (data, weights, trainings), and commands that provide them."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from segue.datasets.foreground.cdnet import FOLDS, unseen_folds
from segue.datasets.ytvis import YTVISDataset
from segue.datasets.ytvos import all_frames_folder
from segue.errors import DatasetError
from segue.jobs.instances import EDITIONS
from segue.metrics.data_sets import Request
from segue.registry import DATASETS, DETECTORS, MODELS
from segue.utils.extras import missing_among, missing_packages
from segue.utils.naming import first_few
from segue.weights import read_checkpoint
from segue.weights.available import weight_file
from segue.weights.download import is_available
from segue_papers.asked import How
from segue_papers.papers import SOURCES
from segue_papers.tables import Table, TableRow, Training


def request_of(table: Table, how: How) -> tuple[Request | None, list[str]]:
    """Data set request of a table, or None and the missing parts."""
    table = replace(table, subset=table.subset if how.subset is None else how.subset)
    if table.dataset not in how.data:
        return None, [absent(table.dataset)]
    part = {"year": table.year} if table.dataset == "davis" else {"subset": table.subset}
    request = Request(data=how.data[table.dataset], dataset=table.dataset, **part)
    if not request.data.exists():
        raise DatasetError(f"no folder {request.data}")
    another = f"give its folder with --data {table.dataset}=FOLDER"
    if table.edition is not None:
        data: YTVISDataset = request.open()
        edition = next((name for name, classes in EDITIONS.items() if data.categories == classes), None)
        if edition not in (None, table.edition):
            text = f"{data.path} has the classes of {edition}, this table is of {table.edition}"
            return None, [f"{text}; {another}"]
    if how.sequences and not table.shows_attention:  # which selects its videos itself
        request = request.model_copy(update={"sequences": how.sequences})
        return request, [f"of the data set only {first_few(how.sequences)}"]
    entry, root, subset = DATASETS.find(table.dataset), request.data, table.subset or ""
    remarks: list[str] = []
    if entry.videos_of is not None and subset:
        expected, available = entry.videos_of(root, subset, table.year[:4])
    else:
        expected, available = [], [""] if entry.list is None else list(entry.list(root).parts)
    if not available and table.dataset == "isd":
        return None, [f"{root} has no clips of the part {subset}; {another}"]
    if not available:
        raise DatasetError(f"{root} holds no video of {entry.title}")
    if table.dataset == "ytvos" and all_frames_folder(root / subset) is None:
        remarks.append(f"{subset}_all_frames is not there: the memory interval counts frames of {subset}")
    available_videos = [name for name in expected if name in available]
    if expected and not available_videos:
        text = f"none of the {len(expected)} videos of {subset} of {entry.title} is there"
        remarks.insert(0, f"{text}; all {len(available)} were taken")
    elif missing := [name for name in expected if name not in available]:
        text = f"{len(missing)} of the {len(expected)} videos of {subset} of {entry.title} are missing"
        remarks.insert(0, f"{text}: {first_few(missing)}")
    if table.dataset in ("davis", "ytvos"):
        request = request.model_copy(update={"sequences": available_videos or available})
    return request, remarks


def absent(name: str) -> str:
    """Message for a missing data set: its address, and how to give its folder."""
    entry = DATASETS.find(name)
    return f"{entry.title} is not there: {entry.address}; give --data {name}=FOLDER"


def row_lacks(row: TableRow, table: Table, how: How, videos: Collection[str] = ()) -> Iterator[str]:
    """Missing weights, trainings and packages of a row, as commands."""
    model = row.model or how.model or table.model
    if missing := missing_among(MODELS.find(model).packages):
        yield f"`pip install {' '.join(missing)}`"
    if (training := training_of(row, how)) is not None:
        yield from trainings(training, model, how, videos)
        return
    names = {model: how.weights_of(row, model)}
    detector = SOURCES[row.first].detector if row.first is not None else None
    if detector is not None and (network := DETECTORS.find(detector).network) is not None:
        names[network] = how.weights.get(detector, how.weights.get(network))
    for name, path in names.items():
        entry = MODELS.find(name)
        if path is not None and not weight_file(Path(path)).is_file():
            yield f"{path}, which is no file"
        elif path is None and entry.signature is not None and not is_available(entry):
            yield f"`{entry.download_command}`" if entry.remote else f"--weights {name}=FILE"


def training_of(row: TableRow, how: How) -> Training | None:
    """Training of a row, unless weights or another network are given."""
    return None if row.key in how.weights or (row.model is None and how.model) else row.training


def trained(training: Training, model: str, how: How, fold: int | None = None) -> Path:
    """Weights of a finished training."""
    part = "" if fold is None else f"-fold-{fold}"
    return how.output / "weights" / f"{training.name}{part}" / f"{model}.safetensors"


def folds_of(videos: Collection[str]) -> dict[str, int]:
    """The fold of each video of CDnet2014."""
    folds = unseen_folds()
    if unknown := [name for name in videos if name not in folds]:
        raise DatasetError(f"{first_few(unknown)} is no video of CDnet2014, whose folds are known")
    return {name: folds[name] for name in videos}


def trainings(training: Training, model: str, how: How, videos: Collection[str] = ()) -> Iterator[str]:
    """Commands of a row's unfinished trainings and of their requirements."""
    if packages := missing_packages("train"):
        yield packages
    folds: list[int | None] = [None]
    if training.folds:
        folds = [*sorted({*folds_of(videos).values()} or range(FOLDS))]
    start, weights = training.start, None
    missing_folds = [fold for fold in folds if not _ended(trained(training, model, how, fold))]
    data = training.data
    if start is not None and missing_folds:
        trained_file = trained(start, start.file, how)
        weights = how.weights.get(start.weights, str(trained_file))
        if start.weights not in how.weights and not _ended(trained_file):
            yield f"--weights {start.weights}=FILE ({start.source}), or {_command(start, trained_file, how)}"
            data = (*data, *start.data)
    if missing_folds:
        yield from (absent(name) for name in dict.fromkeys(data) if name not in how.data)
    for fold in missing_folds:
        yield _command(training, trained(training, model, how, fold), how, fold, weights)


def _command(
    training: Training, weights: Path, how: How, fold: int | None = None, start: str | None = None
) -> str:
    """Command line of a training; FOLDER and FILE stand for missing paths."""
    words = ["segue", "train", training.network, *training.options]
    words += [f"--data={name}={how.data.get(name, 'FOLDER')}" for name in training.data]
    words += [] if fold is None else ["--fold", str(fold)]
    words += [] if start is None else ["--start", start]
    init = f" (FILE is {training.pretrained})" if training.pretrained else ""
    words += ["--init", "FILE"] if init else []
    return f"`{shlex.join([*words, '--out', str(weights.parent)])}`{init}"


def _ended(weights: Path) -> bool:
    """Whether a training has finished."""
    notes = read_checkpoint(weights, "meta").metadata if weights.is_file() else {}
    return bool(notes) and notes.get("step") == notes.get("steps")
