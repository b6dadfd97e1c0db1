"""What the evaluation of a data set opens and how it scores, by what is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from segue.errors import DatasetError
from segue.metrics import data_sets
from segue.metrics.cdnet import OFFICIAL, PROTOCOLS
from segue.metrics.data_sets import Request, kind_of_data, open_films, open_masks, open_ytvis


class Videos(list[str]):
    """Videos by name, of which some may be chosen."""

    def select(self, names: Any) -> Videos:
        return Videos(name for name in self if name in names)


def entry_of(**openers: Callable[[Path], Any]) -> SimpleNamespace:
    return SimpleNamespace(**{"masks": None, "instances": None, "films": None, **openers})


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is opened or scored, in place of data: the name of the function and its arguments."""
    found: list[Any] = []

    def watched(name: str) -> Callable[..., Any]:
        return lambda *parts, **options: found.append((name, parts, options)) or f"{name} done"

    for name in ("DavisFolder", "SomethingElseFolder", "YtvosFolder", "open_isd_part"):
        monkeypatch.setattr(data_sets, name, watched(name))
    for name in ("davis", "ytvos", "ytvis", "foreground"):
        monkeypatch.setattr(data_sets, f"evaluate_{name}", watched(name))
    monkeypatch.setattr(data_sets, "YTVISDataset", SimpleNamespace(open=watched("YTVISDataset")))
    monkeypatch.setattr(data_sets, "all_frames_folder", lambda part: part / "all")
    monkeypatch.setattr(data_sets, "read_categories", lambda path: {"seen": path})
    monkeypatch.setattr(data_sets, "read_training_frames", lambda file, count: {"first": (file, count)})
    known = {
        "masks": entry_of(masks=lambda path: Videos(["a", "b"])),
        "tracks": entry_of(instances=lambda path: path / "tracks"),
        "films": entry_of(films=lambda path: Videos(["c", "d"])),
        "isd": entry_of(films=lambda path: Videos(["e"])),
        "cdnet": entry_of(films=lambda path: Videos(["f", "g"])),
        "nothing": entry_of(),
    }
    monkeypatch.setattr(data_sets, "DATASETS", SimpleNamespace(find=known.__getitem__, added=list(known)[:3]))
    return found


def asked(dataset: str, **options: Any) -> Request:
    return Request(data=Path("data"), dataset=dataset, **options)


@pytest.mark.parametrize(
    ("options", "part", "year", "annotations"),
    [
        ({}, None, 2017, "Annotations"),
        ({"year": "2016"}, None, 2016, "Annotations"),
        ({"subset": "train"}, "train", 2017, "Annotations"),
        ({"sequences": ["dog"]}, ["dog"], 2017, "Annotations"),
        ({"task": "unsupervised"}, None, 2017, "Annotations_unsupervised"),
    ],
)
def test_davis_is_opened_by_its_year_part_and_task(
    calls: list[Any], options: dict[str, Any], part: Any, year: int, annotations: str
) -> None:
    open_masks(asked("davis", **options))
    assert calls == [("DavisFolder", (Path("data"), part), {"year": year, "annotations": annotations})]


def test_the_part_that_is_scored_is_val_where_davis_lists_parts(calls: list[Any], tmp_path: Path) -> None:
    (tmp_path / "ImageSets").mkdir()
    for name in ("davis", "folder"):
        open_masks(Request(data=tmp_path, dataset=name))
    assert [call[1][1] for call in calls] == ["val", None]


def test_what_davis_does_not_have_is_refused(calls: list[Any]) -> None:
    with pytest.raises(DatasetError, match="the unsupervised task is of DAVIS 2017, but --year is 2016"):
        open_masks(asked("davis", task="unsupervised", year="2016"))
    with pytest.raises(DatasetError, match="give --set or --sequence, not both"):
        open_masks(asked("davis", subset="val", sequences=["dog"]))


def test_videos_of_other_packages_are_those_of_their_entries(calls: list[Any]) -> None:
    assert open_masks(asked("masks")) == ["a", "b"]
    assert open_masks(asked("masks", sequences=["b"])) == ["b"]
    assert open_ytvis(asked("tracks")) == Path("data/tracks")
    assert open_films(asked("films")) == ["c", "d"]
    assert open_films(asked("films", sequences=["d"])) == ["d"]
    assert [kind_of_data(name) for name in ("masks", "tracks", "films")] == ["masks", "instances", "films"]
    for opened, lacks in (
        (open_masks, "index masks"),
        (open_ytvis, "instances"),
        (open_films, "still cameras"),
    ):
        with pytest.raises(DatasetError, match=f"nothing has no .*{lacks}"):
            opened(asked("nothing"))
    with pytest.raises(DatasetError, match="nothing names no videos"):
        kind_of_data("nothing")


def test_parts_of_data_sets_have_their_defaults(calls: list[Any]) -> None:
    for dataset, subset in (("ytvis", None), ("ovis", "train")):
        open_ytvis(asked(dataset, subset=subset))
    for subset in (None, "val"):
        open_films(asked("isd", subset=subset))
    open_something = asked("something", sequences=["3"])
    open_masks(open_something)
    open_masks(asked("something"))
    assert calls == [
        ("YTVISDataset", (Path("data"), "valid"), {}),
        ("YTVISDataset", (Path("data"), "train"), {}),
        ("open_isd_part", (Path("data"),), {"part": "test"}),
        ("open_isd_part", (Path("data"),), {"part": "val"}),
        ("SomethingElseFolder", (Path("data"), ["3"]), {}),
        ("SomethingElseFolder", (Path("data"), None), {}),
    ]


def test_each_data_set_is_scored_by_its_measures(calls: list[Any]) -> None:
    def scored(request: Request) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        calls.clear()
        assert request.score(Path("results"), progress=print) == f"{calls[-1][0]} done"
        return calls[-1]  # type: ignore[no-any-return]

    _, parts, options = scored(asked("davis", task="unsupervised", missing="empty", workers=3))
    assert parts == (Path("results"), "DavisFolder done")
    assert options == {"protocol": "unsupervised", "missing": "empty", "workers": 3, "progress": print}
    assert scored(asked("davis", year="2016"))[2]["protocol"] == "2016"
    assert scored(asked("ytvos", seen=Path("meta.json")))[2]["seen"] == {"seen": Path("meta.json")}
    assert scored(asked("ytvos"))[2]["seen"] is None
    assert scored(asked("ytvis"))[:2] == ("ytvis", (Path("results"), "YTVISDataset done"))
    assert scored(asked("masks"))[0] == "davis"
    assert scored(asked("tracks"))[0] == "ytvis"
    assert scored(asked("films"))[0] == "foreground"


def test_foreground_is_scored_by_the_rules_of_its_data_set(calls: list[Any]) -> None:
    def rules(request: Request) -> tuple[tuple[Any, ...], dict[str, Any]]:
        request.score(Path("results"), progress=print)
        return calls[-1][1:]  # type: ignore[no-any-return]

    (results, films, name, settings), options = rules(asked("cdnet", sequences=["g"]))
    assert (results, films, name) == (Path("results"), ["g"], "cdnet")
    assert settings == (PROTOCOLS["cdnet"].settings if "cdnet" in PROTOCOLS else OFFICIAL)
    assert options["exclude"] is None
    (*_, settings), options = rules(asked("cdnet", threshold=1, training_frames="200@lists@2.json"))
    assert settings.threshold == 1
    assert options["exclude"] == {"first": ("lists@2.json", 200)}
    for text in ("200", "many@a.json", "200@"):
        with pytest.raises(DatasetError, match=f"--training-frames {text}: give COUNT@FILE"):
            rules(asked("cdnet", training_frames=text))
    assert rules(asked("films"))[0][3] == OFFICIAL


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (asked("davis", threshold=3), "threshold"),
        (asked("folder", subset="val"), "set"),
        (asked("ytvis", sequences=["a"]), "sequence"),
        (asked("sbi", training_frames="2@a"), "training-frames"),
        (asked("ytvis", workers=2), "workers"),
    ],
)
def test_options_that_mean_nothing_to_a_data_set_are_refused(request_: Request, name: str) -> None:
    with pytest.raises(DatasetError, match=f"--{name} means nothing for {request_.dataset}; leave it out"):
        request_.score(Path("results"), progress=print)


def test_a_data_set_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(DatasetError, match="dataset 'dawis': give one of davis, folder, something"):
        asked("dawis").score(Path("results"), progress=print)
