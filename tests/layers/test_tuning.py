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
from segue.layers.residual import conv_channels, conv_of_rectified
from segue.layers.running import inference_copy
from segue.layers.tuning import (
    FORMS,
    TIMED_AREA,
    TunedConv2d,
    Tuner,
    fastest,
    forms_of,
    part_to_time,
    size_key,
    tuner,
    use_tuned,
)
from segue.layers.winograd import Scratch, WinogradConv2d

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


@pytest.mark.parametrize("form", FORMS)
def test_the_input_is_rectified_alike_in_all_forms(form: str) -> None:
    conv, x = network()[2], picture()
    use_tuned(tuned := nn.Sequential(conv), Always(form))
    with torch.inference_mode():
        expected = conv(x.relu())
        found = conv_of_rectified(tuned[0], x)
    assert (found - expected).abs().max() <= bound(form) * expected.abs().max()
    assert torch.equal(conv_of_rectified(conv, x), expected)


@pytest.mark.parametrize("form", FORMS)
def test_part_of_the_input_channels_acts_alike_in_all_forms(form: str) -> None:
    conv, x = network()[2], picture()
    assert isinstance(conv, nn.Conv2d)
    tuned = TunedConv2d(conv, "none", Scratch(), Always(form))
    with torch.inference_mode():
        expected = conv_channels(conv, x[:, :40], 24, bias=True)
        torch.testing.assert_close(
            conv_channels(tuned, x[:, :40], 24, bias=True), expected, rtol=0, atol=1e-4
        )


def test_a_size_is_chosen_for_once_and_the_losers_give_their_weights_back() -> None:
    conv, chooser = network()[2], Always("winograd4")
    assert isinstance(conv, nn.Conv2d)
    tuned = TunedConv2d(conv, "none", Scratch(), chooser)
    with torch.inference_mode():
        for side in (12, 12, 13, 40):  # 144 and 169 share a power of two
            tuned(picture(side=side))
    assert chooser.asked == 2
    assert [type(form) for form in tuned._forms.values()] == [WinogradConv2d]


def test_only_wide_plain_convolutions_have_several_forms() -> None:
    wide = {"padding": 1}
    module = nn.ModuleDict(
        {
            "plain": nn.Conv2d(128, 128, 3, **wide),
            "narrow": nn.Conv2d(128, 64, 3, **wide),
            "strided": nn.Conv2d(128, 128, 3, stride=2, **wide),
            "grouped": nn.Conv2d(128, 128, 3, groups=2, **wide),
            "unpadded": nn.Conv2d(128, 128, 3),
            "pointwise": nn.Conv2d(128, 128, 1),
            "inner": nn.Sequential(nn.Conv2d(128, 128, 3, **wide), nn.ReLU()),
        }
    ).requires_grad_(False)
    use_tuned(module, Always("direct"))
    assert [n for n, m in module.named_modules() if isinstance(m, TunedConv2d)] == ["plain", "inner.0"]


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


def test_a_form_that_is_clearly_slower_is_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now, runs = 0.0, dict.fromkeys(FORMS, 0)
    costs = {"direct": 2.0, "winograd2": 1.31, "winograd4": 1.1, "winograd6": 1.0}
    monkeypatch.setattr(tuning, "clock", lambda: now)

    def taking(name: str) -> Callable[[], None]:
        def run() -> None:
            nonlocal now
            now += costs[name] if runs[name] else 10 * costs[name]  # the first time arranges
            runs[name] += 1

        return run

    assert fastest({name: taking(name) for name in FORMS}) == "winograd6"
    assert runs == {"direct": 2, "winograd2": 2, "winograd4": 4, "winograd6": 4}


@pytest.mark.parametrize("shape", [(1, 128, 120, 108), (1, 128, 1400, 7), (9, 128, 30, 54), (9, 128, 80, 80)])
def test_large_inputs_are_timed_by_a_part_that_stands_for_larger_ones(shape: tuple[int, ...]) -> None:
    x = torch.empty(shape).contiguous(memory_format=torch.channels_last)
    part = part_to_time(x)
    positions = part[:, 0].numel()
    assert TIMED_AREA <= positions < x[:, 0].numel()
    assert (len(part) > 1) == (len(x) > 1)
    assert part.is_contiguous(memory_format=torch.channels_last)
    if len(x) == 1:
        assert part.shape[2] % 12 == 0, "whole tiles of 2, 4 and 6"
        assert size_key(part, 128) == size_key(x, 128) == size_key(torch.empty(1, 128, 200, 300), 128)


def test_where_tiles_of_6x6_are_no_choice_a_quarter_of_the_positions_is_timed() -> None:
    x = torch.empty(1, 128, 45, 80).contiguous(memory_format=torch.channels_last)
    assert part_to_time(x).shape == x.shape
    assert part_to_time(x, FORMS[:3]).shape[2:] == (28, 80), "the first whole tiles of 4 with 2048 positions"
    assert size_key(x, 128, FORMS[:3]) == size_key(torch.empty(1, 128, 200, 300), 128, FORMS[:3])


def test_small_inputs_are_timed_whole() -> None:
    x = picture(side=40)
    assert part_to_time(x).shape == x.shape
    assert size_key(x, 128) != size_key(picture(side=63), 128)


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


class Noting(Always):
    """Notes which forms it may choose from, and under which key."""

    def choose(self, key: str, forms: Mapping[str, Callable[[], object]], fallback: str) -> str:
        self.seen = key, tuple(forms), fallback
        return super().choose(key, forms, fallback)


def test_the_widest_layers_have_no_form_whose_kernel_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    assert forms_of(256, 256) == FORMS
    assert forms_of(512, 256) == FORMS[:3], "tiles of 6x6 need a kernel in one part"
    assert forms_of(1280, 512) == ("direct", "winograd2")
    assert forms_of(4096, 4096) == ("direct",)
    monkeypatch.setattr("segue.layers.tuning.LARGEST_KERNEL", 4 * 36 * 128 * 128 - 1)
    monkeypatch.setattr("segue.layers.tuning.untimed", lambda *_: "winograd4")
    conv, chooser = nn.Conv2d(128, 128, 3, padding=1).requires_grad_(False), Noting("direct")
    with torch.inference_mode():
        TunedConv2d(conv, "none", Scratch(), chooser)(torch.randn(1, 128, 8, 8))
    key, forms, fallback = chooser.seen
    assert forms == ("direct", "winograd2")
    assert fallback == "winograd2"
    assert key.endswith("direct winograd2"), "choices among all forms do not count"
