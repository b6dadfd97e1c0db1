"""The fastest form of a layer is found by timing, is kept, and changes results by rounding alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from segue.errors import SegueError
from segue.layers import tuning
from segue.layers.fused import PlainConv2d
from segue.layers.running import inference_copy
from segue.layers.tuning import (
    FORMS,
    TunedConv2d,
    Tuner,
    fastest,
    tuner,
    use_tuned,
)
from segue.layers.winograd import Scratch

CPU = torch.device("cpu")


class Always(Tuner):
    """Takes one form, and counts how often it was asked."""

    def __init__(self, form: str) -> None:
        super().__init__(None, times=False)
        self.form, self.asked = form, 0

    def choose(self, key: str, forms: Mapping[str, Callable[[], object]], fallback: str) -> str:
        self.asked += 1
        return self.form


def picture(channels: int = 128, side: int = 12) -> Tensor:
    values = torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(1))
    return values.contiguous(memory_format=torch.channels_last)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(), nn.Conv2d(128, 128, 3, padding=1)]
    return nn.Sequential(*layers).requires_grad_(False)


def bound(form: str) -> float:
    """Error that a form may have, over the largest output."""
    return 5e-5 if form == "winograd6" else 1e-5


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_up_to_rounding(form: str) -> None:
    plain, x = network(), picture()
    tuned = inference_copy(plain, CPU, torch.float32)
    use_tuned(reference := network(), Always(form))
    with torch.inference_mode():
        expected = plain(x)
        assert (reference(x) - expected).abs().max() <= bound(form) * expected.abs().max()
        assert (tuned(x) - expected).abs().max() <= bound(form) * expected.abs().max()


def test_the_first_form_is_left_only_for_a_clearly_faster_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now, costs = 0.0, {"direct": 1.0, "winograd2": 0.97, "winograd4": 1.2}
    monkeypatch.setattr(tuning, "clock", lambda: now)

    def taking(name: str) -> Callable[[], None]:
        def run() -> None:
            nonlocal now
            now += costs[name]

        return run

    forms = {name: taking(name) for name in costs}
    assert fastest(forms) == "direct"
    costs["winograd4"] = 0.5
    assert fastest(forms) == "winograd4"


def test_choices_are_kept_for_the_next_process_and_never_timed_again(tmp_path: Path) -> None:
    runs: list[str] = []
    forms = {name: (lambda name=name: runs.append(name)) for name in FORMS}
    first, beside = (Tuner(tmp_path / "here" / "choices.json", times=True) for _ in range(2))
    chosen = first.choose("layer", forms, "direct")
    timed = len(runs)
    assert timed > len(FORMS)
    assert beside.choose("layer", forms, "direct") == chosen, "one that began before takes the same"
    assert Tuner(tmp_path / "here" / "choices.json", times=True).choose("layer", forms, "direct") == chosen
    assert len(runs) == timed
    assert json.loads((tmp_path / "here" / "choices.json").read_text()) == {"layer": chosen}


def test_where_nothing_can_be_kept_the_rule_decides(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    chooser = Tuner(tmp_path / "file" / "choices.json", times=True)
    assert chooser.choose("layer", dict.fromkeys(FORMS, lambda: None), "winograd4") == "winograd4"
    assert not chooser.times


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setenv("SEGUE_TUNE", "off")
    assert tuner().path is None
    assert not tuner().times
    monkeypatch.setenv("SEGUE_TUNE", "on")
    assert tuner().times
    assert tuner().path is not None
    chosen = tmp_path / "mine.json"
    chosen.write_text('{"layer": "winograd2"}')
    monkeypatch.setenv("SEGUE_TUNE", str(chosen))
    assert not tuner().times
    assert tuner().choose("layer", dict.fromkeys(FORMS, lambda: None), "direct") == "winograd2"
    monkeypatch.setenv("SEGUE_TUNE", str(tmp_path / "none.json"))
    with pytest.raises(SegueError, match="there is no such file; give on, off or a file"):
        tuner()


@pytest.mark.parametrize("text", ['{"layer": "fft"}', "[]", "{", "\x00"])
def test_a_file_that_holds_something_else_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "choices.json"
    path.write_text(text)
    with pytest.raises(SegueError, match="choices"):
        Tuner(path, times=False)


def test_a_damaged_cache_is_made_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setenv("SEGUE_TUNE", "on")
    (tmp_path / f"tuning-{tuning.machine_digest()}.json").write_text("{")
    assert tuner().choices == {}


def test_plain_convolutions_are_those_of_pytorch() -> None:
    conv, x = network()[0], picture()
    assert isinstance(conv, nn.Conv2d)
    assert torch.equal(PlainConv2d(conv, "relu")(x), conv(x).relu())


@pytest.mark.parametrize("form", FORMS)
def test_weights_come_back_from_every_form_as_they_were(form: str) -> None:
    conv = network()[2]
    assert isinstance(conv, nn.Conv2d)
    tuned = TunedConv2d(conv, "none", Scratch(), Always(form))
    with torch.inference_mode():
        for side in (12, 40):  # the second size is chosen for when a form alone holds the weights
            tuned(picture(side=side))
            assert torch.equal(tuned._convolution().weight, conv.weight)
