"""MUSTAN1 and MUSTAN2 against the reading of the paper that the golden arrays were measured on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from segue.layers.colours import PICTURE
from segue.layers.folding import fold_batch_norms
from segue.models.base import Features, ForegroundNetwork
from segue.models.mustan import MUSTAN1, MUSTAN2, SCENE, WindowNetwork, window_offsets
from tests.fill import fill
from tests.golden_arrays import Golden

CONTRACTS = Path(__file__).parent.parent / "contracts"

GoldenReader = Callable[[str], Golden]

ENCODER = 11_176_512
"""Parameters of ResNet-18 without its classifier."""


@pytest.fixture(scope="module")
def mustan1() -> MUSTAN1:
    network = MUSTAN1()
    fill(network, "mustan")
    return network


@pytest.fixture(scope="module")
def mustan2() -> MUSTAN2:
    network = MUSTAN2()
    fill(network, "mustan")
    return network


def parameters(build: Callable[[], torch.nn.Module]) -> int:
    """Size of a network, without filling it."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build().parameters())


def frames_of(expected: Golden) -> Tensor:
    """Frames in [0, 1], (1, 7, 3, 64, 96)."""
    return torch.from_numpy(expected["frames_u8"])[None].float() / 255


@pytest.mark.parametrize(("name", "build"), [("mustan1", MUSTAN1), ("mustan2", MUSTAN2)])
def test_names_and_shapes_are_those_of_the_contract(name: str, build: type[WindowNetwork]) -> None:
    with torch.device("meta"):
        state = {key: list(value.shape) for key, value in build().state_dict().items()}
    assert state == json.loads((CONTRACTS / f"{name}.json").read_text())


@pytest.mark.parametrize("frames", [3, 5, 7])
def test_mustan2_has_the_size_of_the_paper_for_any_window(frames: int) -> None:
    size = parameters(lambda: MUSTAN2(frames))
    assert size == 40_849_952
    assert abs(size / 40.85e6 - 1) < 0.01


@pytest.mark.parametrize(
    ("frames", "size"), [(1, 32_543_840), (3, 33_248_352), (5, 33_952_864), (7, 34_657_376)]
)
def test_mustan1_grows_by_its_refinement_alone(frames: int, size: int) -> None:
    assert parameters(lambda: MUSTAN1(frames)) == size


def test_sizes_of_the_variants_follow_from_their_parts() -> None:
    mustan1, mustan2 = 33_248_352, 40_849_952
    assert parameters(lambda: MUSTAN2(share_encoders=True)) == mustan2 - 2 * ENCODER
    assert parameters(lambda: MUSTAN2(depth_channels=1)) == mustan2 + 3136
    assert parameters(lambda: MUSTAN1(depth_channels=1)) == mustan1 + 3136
    assert parameters(lambda: MUSTAN2(rlim=False)) == mustan2 - 5 * 99
    assert parameters(lambda: MUSTAN2(background=True)) == mustan2
    assert parameters(lambda: MUSTAN1(background=True)) == mustan1 + sum(
        c * c for c in (64, 64, 128, 256, 512)
    )
    early = parameters(lambda: MUSTAN1(context="early"))
    assert early == parameters(lambda: MUSTAN1(1)) + 2 * 3 * 64 * 49
    without = ENCODER + 5 * 99 + 3_140_081
    assert parameters(lambda: MUSTAN1(frm="none")) == parameters(lambda: MUSTAN2(frm="none")) == without


@pytest.mark.parametrize("build", [MUSTAN1, MUSTAN2])
def test_a_width_scales_all_channels(build: type[MUSTAN1] | type[MUSTAN2]) -> None:
    assert parameters(lambda: build(width=1.0)) == parameters(build)
    quarter, whole = parameters(lambda: build(width=0.25)), parameters(build)
    assert 1 / 16 < quarter / whole < 1 / 15
    network = build(width=0.25).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 3, 33, 47)).shape == (1, 1, 33, 47)


def test_logits_are_the_golden_ones(mustan1: MUSTAN1, mustan2: MUSTAN2, golden: GoldenReader) -> None:
    expected = golden("mustan_forward")
    frames = frames_of(expected)
    with torch.device("meta"):
        five = MUSTAN2(5)
    five.load_state_dict(mustan2.state_dict(), assign=True)
    with torch.inference_mode():
        expected.check("mustan1_T3_logits", mustan1(frames[:, 2:5]))
        expected.check("mustan2_T3_logits", mustan2(frames[:, 2:5]))
        expected.check("mustan2_T5_logits", five.eval()(frames[:, 1:6]))


def test_units_give_the_golden_numbers(mustan1: MUSTAN1, mustan2: MUSTAN2, golden: GoldenReader) -> None:
    expected = golden("mustan_forward")
    with torch.inference_mode():
        f2, f4, *_ = mustan2.encode(frames_of(expected)[:, 3], "current")
        expected.check("enc_cur_s4", f4)
        fused = mustan2.fuse[0](0.5 * f4, f4, 0.25 * f4)
        expected.check("fuse0", fused)
        expected.check("rlim1", mustan2.rlim[1](fused))
        expected.check("frm0", mustan1.frm[0](f2, [f2, 0.5 * f2, 0.2 * f2]))


@pytest.mark.parametrize(
    ("frames", "causal", "offsets"),
    [
        (1, False, (0,)),
        (3, False, (-3, 0, 3)),
        (5, False, (-6, -3, 0, 3, 6)),
        (7, False, (-9, -6, -3, 0, 3, 6, 9)),
        (3, True, (-6, -3, 0)),
        (5, True, (-12, -9, -6, -3, 0)),
    ],
)
def test_windows_are_those_of_the_specification(frames: int, causal: bool, offsets: tuple[int, ...]) -> None:
    assert window_offsets(frames, causal=causal) == offsets


def test_the_roles_of_mustan2_are_by_place_in_the_window() -> None:
    with torch.device("meta"):
        both, causal = MUSTAN2(5), MUSTAN2(3, causal=True)
    assert both.context == ((-6, "past"), (-3, "past"), (3, "future"), (6, "future"))
    assert causal.context == ((-6, "past"), (-3, "future"))


def with_hints(network: MUSTAN2) -> MUSTAN2:
    """The network as if it had learned to look at the ranges."""
    for hint in network.hints:
        torch.nn.init.normal_(hint.weight, std=0.1)
    return network


VARIANTS: dict[str, Callable[[], WindowNetwork]] = {
    "mustan1": MUSTAN1,
    "mustan1, early, with background": lambda: MUSTAN1(context="early", background=True),
    "mustan1, five causal frames, background, concat": lambda: MUSTAN1(
        5, causal=True, background=True, frm="concat"
    ),
    "mustan2, five frames": lambda: MUSTAN2(5),
    "mustan2, causal, with background": lambda: MUSTAN2(causal=True, background=True),
    "mustan2, causal, with ranges": lambda: with_hints(MUSTAN2(causal=True, background=True, ranges=True)),
    "mustan2, shared encoder, with ranges": lambda: with_hints(
        MUSTAN2(share_encoders=True, background=True, ranges=True)
    ),
    "mustan2, shared encoder, concat": lambda: MUSTAN2(share_encoders=True, frm="concat"),
    "mustan2, no context": lambda: MUSTAN2(frm="none"),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_stream_gives_what_whole_windows_give(variant: str) -> None:
    torch.manual_seed(0)
    network = VARIANTS[variant]().eval()
    video = torch.rand(6, 3, 32, 40)
    scene = torch.rand(1, 21 if network.background == SCENE else 3, 32, 40) if network.background else None
    with torch.inference_mode():
        streamed = list(stream(network, video, scene))
        for t, logits in enumerate(streamed):
            places = [min(max(t + offset, 0), len(video) - 1) for offset in network.offsets]
            torch.testing.assert_close(logits, network(video[None, places], scene), rtol=0, atol=1e-5)


def stream(network: ForegroundNetwork, video: Tensor, scene: Tensor | None) -> Iterator[Tensor]:
    """Logits of each frame; a frame is encoded once for each role, missing ones are the first or the last."""
    roles = {network.current, *(role for _, role in network.context)}
    kept: dict[tuple[int, str], Features] = {}
    background = None
    if scene is not None and network.background is not None:
        background = network.encode(scene, network.background)
    reach = max(0, *(offset for offset, _ in network.context), 0)
    for newest in range(len(video) + reach):
        if newest < len(video):
            kept |= {(newest, role): network.encode(video[newest : newest + 1], role) for role in roles}
        t = newest - reach
        if t >= 0:
            context = [kept[min(max(t + k, 0), len(video) - 1), role] for k, role in network.context]
            yield network.decode(kept[t, network.current], context, background, (32, 40))


def test_any_size_from_32_comes_back(mustan2: MUSTAN2) -> None:
    for size in ((32, 32), (33, 47), (50, 63)):
        with torch.inference_mode():
            assert mustan2(torch.zeros(1, 3, 3, *size)).shape == (1, 1, *size)


@pytest.mark.parametrize("build", [MUSTAN1, MUSTAN2])
def test_depth_starts_as_if_it_were_not_there(build: type[MUSTAN1] | type[MUSTAN2]) -> None:
    torch.manual_seed(0)
    network = build(depth_channels=1).eval()
    window, depth = torch.rand(1, 3, 3, 32, 32), torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        plain = network(window)
        assert torch.equal(network(window, depth=depth), plain)
        torch.nn.init.ones_(network.get_parameter(f"{own_encoder(network)}.conv1_depth.weight"))
        changed = network(window, depth=depth)
        assert not torch.allclose(changed, plain)
        folded = fold_batch_norms(network)
        torch.testing.assert_close(folded(window, depth=depth), changed, rtol=1e-3, atol=1e-4)


def test_ranges_start_as_if_they_were_not_there() -> None:
    torch.manual_seed(0)
    plain, network = MUSTAN2(background=True).eval(), MUSTAN2(background=True, ranges=True).eval()
    network.load_state_dict(
        plain.state_dict() | {k: v for k, v in network.state_dict().items() if k[:4] in ("past", "hint")}
    )
    window, scene = torch.rand(1, 3, 3, 32, 48), torch.rand(1, 21, 32, 48)
    with torch.inference_mode():
        wanted = plain(window, scene[:, PICTURE])
        torch.testing.assert_close(network(window, scene), wanted)
        assert not torch.allclose(with_hints(network)(window, scene), wanted)
    network.train()(window, scene).square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.past.parameters())


def own_encoder(network: WindowNetwork) -> str:
    return "fnet" if isinstance(network, MUSTAN1) else "enc_cur"


@pytest.mark.parametrize(
    "build",
    [
        lambda: MUSTAN1(context="early", depth_channels=1, background=True),
        lambda: MUSTAN1(frm="concat"),
        lambda: MUSTAN2(5),
    ],
)
def test_every_parameter_learns(build: Callable[[], WindowNetwork]) -> None:
    torch.manual_seed(0)
    network = build().train()
    window, scene, depth = torch.rand(2, len(network.offsets), 3, 64, 64), None, None
    if network.background:
        scene, depth = torch.rand(2, 3, 64, 64), torch.rand(2, 1, 64, 64)
    network(window, scene, depth).square().mean().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MUSTAN1(4), "odd number"),
        (lambda: MUSTAN1(101), "at most"),
        (lambda: MUSTAN2(1), "3 or more"),
        (lambda: MUSTAN1(width=0), "width is 0"),
        (lambda: MUSTAN2(depth_channels=2), "must be 0 or 1"),  # type: ignore[arg-type]
        (lambda: MUSTAN1(frm="gate"), "one of attention, concat, none"),  # type: ignore[arg-type]
        (lambda: MUSTAN1(context="now"), "late or early"),  # type: ignore[arg-type]
        (lambda: MUSTAN1(frm="none", background=True), "choose one"),
        (lambda: MUSTAN2(share_encoders=True, depth_channels=1), "choose one"),
        (lambda: MUSTAN2(ranges=True), "take both"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    build: Callable[[], WindowNetwork], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def inputs(*given: str) -> dict[str, Tensor]:
    pictures = {"background": torch.zeros(1, 3, 32, 32), "depth": torch.zeros(1, 1, 32, 32)}
    return {"window": torch.zeros(1, 3, 3, 32, 32)} | {name: pictures[name] for name in given}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (inputs("background"), "takes no background"),
        (inputs("depth"), "takes none"),
        ({"window": torch.zeros(1, 5, 3, 32, 32)}, "takes 3"),
    ],
)
def test_inputs_that_were_not_asked_for_are_refused(
    mustan2: MUSTAN2, given: dict[str, Tensor], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        mustan2(**given)


def test_a_network_with_background_wants_one(mustan2: MUSTAN2) -> None:
    torch.manual_seed(0)
    network = MUSTAN2(background=True, share_encoders=True).eval()
    with pytest.raises(ValueError, match="takes a background"):
        network(**inputs())
    features: Sequence[Features] = [mustan2.encode(torch.zeros(1, 3, 32, 32), "past")]
    with pytest.raises(ValueError, match="1 context frames; this network takes 2"):
        mustan2.decode(features[0], features, None, (32, 32))
