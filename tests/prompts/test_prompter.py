"""Boxes, clicks, scribbles and earlier masks on one image: what comes back, is kept, is refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from segue.errors import PromptError
from segue.masks import read_index_mask
from segue.models.segue_prompt import BOX, NEGATIVE, POSITIVE, PREVIOUS, SeguePrompt
from segue.prompts import ImagePrompts, MaskPrediction, Prompter
from segue.prompts.planes import tight_box
from segue.prompts.prompter import SIDE
from segue.types import Frame, Image
from segue.weights import Prepared

Mask = npt.NDArray[np.bool_]


class Watched(SeguePrompt):
    """Counts images that are encoded, keeps the prompt planes, and hands a plane back as its mask."""

    size_multiple = 32

    def __init__(self, plane: int = BOX) -> None:
        torch.nn.Module.__init__(self)
        self.dummy = torch.nn.Parameter(torch.zeros(1))
        self.plane, self.encoded, self.planes = plane, 0, list[npt.NDArray[np.float32]]()

    def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        self.encoded += 1
        return (images,)

    def decode(
        self, features: tuple[torch.Tensor, ...], prompts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.planes.append(prompts[0].numpy())
        seen = torch.nn.functional.avg_pool2d(prompts[:, self.plane : self.plane + 1], 2)
        return (seen * 20 - 10).expand(-1, 3, -1, -1), torch.tensor([[2.0, 0.0, 1.0]] * len(prompts))


def ready(network: SeguePrompt) -> Prepared[SeguePrompt]:
    """A network as it is, and not a copy for inference."""
    return Prepared(network, torch.device("cpu"), torch.float32, "")


def drawn_image(height: int = 240, width: int = 320) -> Image:
    return np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)


def overlap(found: Mask, truth: Mask) -> float:
    return float((found & truth).sum() / (found | truth).sum())


@pytest.mark.parametrize("size", [(240, 320), (1080, 1920), (37, 50)])
def test_a_box_goes_into_the_crop_and_back_to_its_place_at_any_size(size: tuple[int, int]) -> None:
    height, width = size
    box = (0.3 * width // 1, 0.2 * height // 1, 0.6 * width // 1, 0.9 * height // 1)
    answer = Prompter(drawn_image(*size), ready(Watched()))(box=box)
    truth = np.zeros(size, np.bool_)
    truth[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])] = True
    assert answer.mask.shape == size
    assert overlap(answer.mask, truth) > 0.93


def test_features_of_a_crop_are_kept_for_further_clicks() -> None:
    network = Watched(PREVIOUS)
    prompter = Prompter(drawn_image(), ready(network))
    mask = np.zeros((240, 320), np.bool_)
    mask[80:160, 100:200] = True
    first = prompter(points=[(150, 120)], mask=mask)
    assert network.encoded == 2, "what is around the mask, and what is close to it"
    again = prompter(points=[(150, 120), (110, 90)], negative=[(95, 75)], mask=first.probability)
    assert network.encoded == 2
    assert again.window == first.window
    assert overlap(again.mask, mask) > 0.9


@torch.inference_mode()
def test_every_convolution_takes_maps_with_channels_last() -> None:
    network, formats = SeguePrompt().eval().to(memory_format=torch.channels_last), []
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_pre_hook(
                lambda _, given: formats.append(given[0].is_contiguous(memory_format=torch.channels_last))
            )
    network(*(torch.rand(2, n, 96, 96).contiguous(memory_format=torch.channels_last) for n in (3, 4)))
    assert formats
    assert all(formats)


def test_a_new_mask_is_mended_once_and_an_earlier_one_taken_as_it_is() -> None:
    mask = np.zeros((240, 320), np.bool_)
    mask[50:150, 50:150] = True
    for prompts, asked in ((ImagePrompts(box=(50, 50, 150, 150)), 3), (ImagePrompts(mask=mask), 2)):
        network = Watched(BOX if prompts.mask is None else PREVIOUS)
        Prompter(drawn_image(), ready(network)).answer(prompts)
        assert len(network.planes) == asked, "with the closer look"
        assert network.planes[-1][PREVIOUS].any()


def test_a_mask_that_reaches_the_edge_of_its_crop_is_looked_at_in_a_wider_one() -> None:
    network = Watched(PREVIOUS)
    mask = np.zeros((240, 320), np.float32)
    mask[100:140, 140:180] = 1
    network.decode = lambda features, prompts: (  # type: ignore[method-assign]
        torch.full((len(prompts), 3, 96, 96), 9.0),
        torch.zeros(len(prompts), 3),
    )
    answer = Prompter(drawn_image(), ready(network))(mask=mask)
    assert network.encoded == 4, "twice in a wider one, and close up at last"
    assert answer.window[0] < 110
    assert Prompter(drawn_image(), ready(network))(box=(140, 100, 180, 140)).window == (130, 90, 190, 150)


def test_clicks_scribbles_and_masks_have_planes_of_their_own() -> None:
    network = Watched(PREVIOUS)
    mask = np.zeros((240, 320), np.bool_)
    mask[60:180, 80:240] = True
    prompter = Prompter(drawn_image(), ready(network))
    prompter(points=[(100, 100)], negative=[(220, 160)], scribble=[[(120, 80), (200, 80)]], mask=mask)
    planes = network.planes[-2]  # the last but one shows what is around
    x0, y0, x1, y1 = prompter(points=[(100, 100)], mask=mask).window

    def at(x: float, y: float) -> tuple[int, int]:
        return int((y + 0.5 - y0) / (y1 - y0) * SIDE), int((x + 0.5 - x0) / (x1 - x0) * SIDE)

    assert planes[POSITIVE][at(100, 100)] == 1
    assert planes[POSITIVE][at(160, 80)] == 1
    assert planes[POSITIVE][at(220, 160)] == 0
    assert planes[NEGATIVE][at(220, 160)] == 1
    assert not planes[BOX].any()
    assert planes[PREVIOUS][at(100, 100)] == 1
    assert planes[PREVIOUS][at(60, 100)] == 0


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (ImagePrompts(), "at least one positive point, a box or a mask"),
        (ImagePrompts(negative=[(5, 5)]), "at least one positive point, a box or a mask"),
        (ImagePrompts(mask=np.zeros((240, 320))), "a mask that is not empty"),
        (ImagePrompts(points=[(320, 5)]), r"point \(320, 5\) is outside the 320x240 image"),
        (ImagePrompts(scribble=[[(5, 5), (5, 300)]]), r"point \(5, 300\) is outside"),
        (ImagePrompts(box=(5, 5, 5, 9)), r"box \(5, 5, 5, 9\) is empty"),
        (ImagePrompts(points=[(5, 5)], mask=np.ones((3, 4))), r"the mask has shape \(3, 4\)"),
    ],
)
def test_empty_and_unfitting_prompts_are_refused(prompts: ImagePrompts, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        Prompter(drawn_image(), ready(Watched())).answer(prompts)


def test_an_answer_brings_its_masks_to_the_size_of_the_image() -> None:
    planes = np.stack([np.full((4, 4), 0.9), np.full((4, 4), 0.2)]).astype(np.float32)
    answer = MaskPrediction((20, 30), (10, 5, 26, 13), np.array([0.8, 0.3], np.float32), planes)
    assert tight_box(answer.mask) == (10, 5, 26, 13)
    assert answer.masks[0].sum() == 16 * 8
    assert not answer.masks[1].any()
    assert answer.probability[6, 12] == np.float32(0.9)


@pytest.mark.shared
def test_corrections_bring_a_mask_near_the_truth_on_real_images(shared: Path) -> None:
    folder = shared / "data" / "vos" / "davis2016_480p"
    reached = []
    for name in ("dog-agility", "drift-straight"):
        image = cv2.imread(str(folder / "JPEGImages" / name / "00000.jpg"))[..., ::-1]
        truth = read_index_mask(folder / "Annotations" / name / "00000.png") > 0
        prompter = Prompter(Frame(0, 0.0, np.ascontiguousarray(image)))
        reached.append(overlap(prompter(box=tight_box(truth)).mask, truth))
    assert np.mean(reached) > 0.7
