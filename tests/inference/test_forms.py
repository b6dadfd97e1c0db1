"""The form of a layer comes from a table, once, and a recorded one can be taken again."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from torch import nn

import segue
from segue.cli.machine import facts
from segue.cli.timing import tune_machine
from segue.cli.weights import details_of
from segue.errors import CheckpointError, DownloadError, SinkError
from segue.inference import tuning
from segue.inference.cpu import forms
from segue.inference.cpu.features import can_fuse, instruction_set
from segue.inference.cpu.forms import Forms
from segue.inference.threads import own_threads
from segue.registry import MODELS
from segue.utils.cache import CacheWarning, warn_of_cache
from segue.weights.download import is_available
from segue.weights.loading import get
from segue.weights.prepared import prepare


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    return tmp_path


def test_the_row_of_the_widest_measured_layer_below_decides() -> None:
    found = Forms("AVX2", 2, ((128, 3600), (256, 960)))
    assert not found.takes_winograd(64, 100_000)
    assert not found.takes_winograd(200, 3599)
    assert found.takes_winograd(200, 3600)
    assert found.takes_winograd(512, 960)


def test_the_package_has_rows_for_both_instruction_sets_and_for_one_and_two_threads(home: Path) -> None:
    table = json.loads(forms.PACKAGED.read_text("utf-8"))
    assert table.keys() >= {"AVX2", "AVX512"}
    assert all(rows["winograd"].keys() == {"1", "2"} for rows in table.values())


@pytest.mark.skipif(instruction_set() == "other", reason="there is one form of a layer here")
def test_a_processor_that_no_table_has_is_told_once_on_a_machine(home: Path) -> None:
    with pytest.warns(forms.ProcessorWarning, match=r"AuthenticAMD 23.*doctor --tune"):
        forms.note_new_processor("AuthenticAMD 23")
    forms.note_new_processor.cache_clear()  # as in another process
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forms.note_new_processor("AuthenticAMD 23")


def test_a_family_is_measured_by_a_row_of_its_own_by_the_common_one_or_on_this_machine(home: Path) -> None:
    assert forms.is_measured("AVX512", "AuthenticAMD 25")
    assert forms.is_measured("AVX2", "GenuineIntel 6")
    assert not forms.is_measured("AVX512", "AuthenticAMD 23")
    (home / forms.TUNED).write_text(forms.PACKAGED.read_text("utf-8"), "utf-8")
    assert forms.is_measured("AVX512", "AuthenticAMD 23")


def test_more_threads_follow_the_row_of_the_most_that_are_measured(home: Path) -> None:
    two, three = (forms.of_machine("AVX2", threads) for threads in (2, 3))
    assert two.winograd == three.winograd
    assert (two.threads, three.threads) == (2, 3)
    assert two.digest != three.digest


def test_a_table_of_this_machine_takes_the_place_of_the_packaged_rows(home: Path) -> None:
    tuning.write(forms.tuned_file(), [(1, 64, None), (1, 128, 77)])
    with own_threads(1):
        assert forms.current() == Forms(instruction_set(), 1, ((128, 77),))


@pytest.mark.parametrize("text", ['{"AVX2": 3}', "{", "[]", '{"AVX2": {"winograd": {"one": []}}}', "\udc80"])
def test_a_damaged_table_stops_nothing_and_is_measured_anew(home: Path, text: str) -> None:
    packaged = forms.current()
    forms.tuned_file().write_text(text, "utf-8", "surrogateescape")
    warn_of_cache.cache_clear()
    with pytest.warns(CacheWarning, match="--tune") as told:
        assert [forms.current(), forms.current()] == [packaged, packaged]
    assert len(told) == 1
    tuning.write(forms.tuned_file(), [(1, 128, 77)])
    with own_threads(1):
        assert forms.current() == Forms(instruction_set(), 1, ((128, 77),))


@pytest.mark.parametrize("name", ["name" * 100, "file/folder"])
def test_a_cache_folder_that_cannot_be_read_stops_nothing(
    home: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = forms.current()
    forms.note_new_processor.cache_clear()  # a processor that was not measured has a warning of its own
    (home / "file").touch()
    monkeypatch.setenv("SEGUE_HOME", str(home / name))
    warn_of_cache.cache_clear()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert forms.current() == packaged
        assert prepare(nn.Conv2d(4, 4, 3), device="cpu").forms == packaged
        assert not is_available(MODELS.find("stcn"))
        assert details_of(MODELS.find("stcn"))["installed"] is None
        with pytest.raises(CheckpointError, match="no weights of stcn are available"):
            segue.load("stcn")
    of_cache = [each for each in told if issubclass(each.category, CacheWarning)]
    assert len(of_cache) == (len(name) > 255), "said once, where there may be something"
    assert {each.category for each in told} <= {CacheWarning, forms.ProcessorWarning}
    with pytest.raises(DownloadError, match="cannot be written"):
        get(MODELS.find("stcn"), checksum="0" * 64)
    if can_fuse():
        with pytest.raises(SinkError, match="cannot be written"):
            next(tune_machine())
    assert dict(facts())["cache folder"]


def test_prepared_networks_have_the_recorded_forms(home: Path) -> None:
    network = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1))
    earlier = Forms(instruction_set(), 7, ((64, 5),))
    with forms.recorded(Forms.of_json(json.loads(json.dumps(earlier.as_json())))):
        assert prepare(network, device="cpu").forms == earlier
    assert prepare(network, device="cpu").forms == forms.current()


def test_measuring_gives_a_row_for_each_width() -> None:
    found = list(tuning.measure([1], widths=(8, 16), sizes=((4, 4), (8, 8)), seconds=0.0))
    assert [(threads, width) for threads, width, _ in found] == [(1, 8), (1, 16)]
    assert set(tuning.row(found)["winograd"]) == {"1"}


def test_the_rows_of_a_family_of_processors_come_before_those_of_the_instruction_set(home: Path) -> None:
    direct, other = (
        forms.of_machine("AVX512", 2, family) for family in ("AuthenticAMD 26", "GenuineIntel 6")
    )
    assert direct == Forms("AVX512", 2, ())
    assert other.takes_winograd(512, 2000)
    tuning.write(forms.tuned_file(), [(1, 128, 77)], "AVX512")
    assert forms.of_machine("AVX512", 2, "AuthenticAMD 26") == Forms("AVX512", 2, ((128, 77),))
