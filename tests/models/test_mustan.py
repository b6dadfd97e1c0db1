"""MUSTAN1 and MUSTAN2 against the reading of the paper that the golden arrays were measured on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor

from segue.inference.folding import fold_batch_norms
from segue.models.base import Features, ForegroundNetwork
from segue.models.mustan import MUSTAN1, MUSTAN2, WindowNetwork
from tests.fill import fill
from tests.golden_arrays import Golden

CONTRACTS = Path(__file__).parent.parent / "contracts"

GoldenReader = Callable[[str], Golden]


@pytest.fixture(scope="module")
def mustan1() -> MUSTAN1:
    return cast(MUSTAN1, fill(MUSTAN1, "mustan"))


@pytest.fixture(scope="module")
def mustan2() -> MUSTAN2:
    return cast(MUSTAN2, fill(MUSTAN2, "mustan"))


def frames_of(expected: Golden) -> Tensor:
    """Frames in [0, 1], (1, 7, 3, 64, 96)."""
    return torch.from_numpy(expected["frames_u8"])[None].float() / 255


@pytest.mark.parametrize(("name", "build"), [("mustan1", MUSTAN1), ("mustan2", MUSTAN2)])
def test_names_and_shapes_are_those_of_the_contract(name: str, build: type[WindowNetwork]) -> None:
    with torch.device("meta"):
        state = {key: list(value.shape) for key, value in build().state_dict().items()}
    assert state == json.loads((CONTRACTS / f"{name}.json").read_text())


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


one, two = partial(MUSTAN1, width=0.25), partial(MUSTAN2, width=0.25)
VARIANTS: dict[str, Callable[[], WindowNetwork]] = {
    "mustan1": one,
    "mustan1, early, with background": partial(one, context="early", background=True),
    "mustan1, five causal frames, background, concat": partial(
        one, 5, causal=True, background=True, frm="concat"
    ),
    "mustan2, five frames": partial(two, 5),
    "mustan2, causal, with background": partial(two, causal=True, background=True),
    "mustan2, shared encoder, with background": partial(two, share_encoders=True, background=True),
    "mustan2, shared encoder, concat": partial(two, share_encoders=True, frm="concat"),
    "mustan2, no context": partial(two, frm="none"),
    "mustan1, two scales": partial(one, scales=2),
    "mustan2, one scale": partial(two, scales=1),
}


SLOW = {"mustan2, five frames", "mustan2, shared encoder, with background"}
"""Their parts are in the other variants; ``make test-slow`` runs all."""


@pytest.mark.parametrize(
    "variant", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in VARIANTS]
)
def test_a_stream_gives_what_whole_windows_give(variant: str) -> None:
    torch.manual_seed(0)
    network = VARIANTS[variant]().eval()
    video = torch.rand(6, 3, 32, 40)
    scene = torch.rand(1, 3, 32, 40) if network.background else None
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


@pytest.mark.parametrize("build", [one, two])
def test_depth_starts_as_if_it_were_not_there(build: Callable[..., MUSTAN1 | MUSTAN2]) -> None:
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


def own_encoder(network: WindowNetwork) -> str:
    return "fnet" if isinstance(network, MUSTAN1) else "enc_cur"


def inputs(*given: str) -> dict[str, Tensor]:
    images = {"background": torch.zeros(1, 3, 32, 32), "depth": torch.zeros(1, 1, 32, 32)}
    return {"window": torch.zeros(1, 3, 3, 32, 32)} | {name: images[name] for name in given}


@pytest.mark.parametrize(("build", "most"), [(one, 5), (two, 4)])
def test_context_changes_as_many_scales_as_are_asked_for_from_the_coarsest(
    build: Callable[..., MUSTAN1 | MUSTAN2], most: int
) -> None:
    torch.manual_seed(0)
    sizes = []
    for scales in range(1, most + 1):
        network = build(scales=scales).eval()
        assert network.options["scales"] == scales
        sizes.append(sum(parameter.numel() for parameter in network.parameters()))
        frame, other = (torch.rand(1, 3, 64, 64) for _ in range(2))
        with torch.inference_mode():
            current = network.encode(frame, network.current)
            context = [network.encode(other, role) for _, role in network.context]
            refined = network.refine(current, context, None)
        same = [torch.equal(*maps) for maps in zip(refined, current, strict=True)]
        assert same == [True] * (5 - scales) + [False] * scales
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == sum(parameter.numel() for parameter in build().parameters())


@pytest.mark.parametrize("build", [MUSTAN1, MUSTAN2])
def test_receptive_fields_are_those_of_the_page(build: type[WindowNetwork]) -> None:
    """A line each in docs/systems/mustan.md: how many pixels of a frame a position of a scale depends on."""
    page = (Path(__file__).parents[2] / "docs/systems/mustan.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| (\d+) \| (\d+)×\2 \| (\d+) pixels", page, re.MULTILINE)
    torch.manual_seed(0)
    network = build(width=0.125).eval()
    image = torch.rand(1, 3, 1024, 64, requires_grad=True)
    measured = []
    for maps in network.encode(image, network.context[0][1]):
        stride = image.shape[2] // maps.shape[2]
        position = maps[0, :, maps.shape[2] // 2, maps.shape[3] // 2].sum()
        (gradient,) = torch.autograd.grad(position, image, retain_graph=True)
        rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten()
        field = int(rows.max() - rows.min()) + 1
        measured.append((str(stride), str(field), str(field // 2)))
    assert lines == measured


def test_a_window_may_be_longer_than_in_training() -> None:
    torch.manual_seed(0)
    trained, built = two(3).eval(), two(5).eval()
    built.load_state_dict(trained.state_dict())
    trained.use_window(5)
    assert (trained.offsets, trained.context) == (built.offsets, built.context)
    window = torch.rand(1, 5, 3, 32, 40)
    with torch.inference_mode():
        torch.testing.assert_close(trained(window), built(window))
    for frames, network in ((1, two()), (4, two()), (5, two(frm="none"))):
        with pytest.raises(ValueError, match="window"):
            network.use_window(frames)


def decode_one(network: MUSTAN2) -> object:
    features = network.encode(torch.zeros(1, 3, 32, 32), "past")
    return network.decode(features, [features], None, (32, 32))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda _: MUSTAN1(4), "odd number"),
        (lambda _: MUSTAN1(101), "at most"),
        (lambda _: MUSTAN2(1), "3"),
        (lambda _: MUSTAN1(width=0), "width"),
        (lambda _: MUSTAN1(scales=6), "scales is 6; it must be in 1 to 5"),
        (lambda _: MUSTAN2(scales=5), "in 1 to 4"),
        (lambda _: MUSTAN2(depth_channels=2), "depth_channels"),  # type: ignore[arg-type]
        (lambda _: MUSTAN1(frm="gate"), "one of attention, concat, none"),  # type: ignore[arg-type]
        (lambda _: MUSTAN1(context="now"), "late or early"),  # type: ignore[arg-type]
        (lambda _: MUSTAN1(frm="none", background=True), "choose one"),
        (lambda _: MUSTAN2(share_encoders=True, depth_channels=1), "choose one"),
        (lambda network: network(**inputs("background")), "takes no background"),
        (lambda network: network(**inputs("depth")), "takes none"),
        (lambda network: network(torch.zeros(1, 5, 3, 32, 32)), "takes 3"),
        (lambda _: two(background=True, share_encoders=True).eval()(**inputs()), "takes a background"),
        (decode_one, "1 context frames"),
    ],
)
def test_options_and_inputs_that_do_not_fit_are_refused(
    mustan2: MUSTAN2, call: Callable[[MUSTAN2], object], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        call(mustan2)
