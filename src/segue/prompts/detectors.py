"""Find the objects of an image without prompts: every way of it behind one interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from segue.errors import PromptError
from segue.inputs import check_choice
from segue.layers.running import weights_apart
from segue.models.deeplab import VOC_NAMES, DeepLabV3
from segue.models.detection.boxes import suppress
from segue.models.detection.classes import COCO_ORDER
from segue.prompts.answers import MakePrompter
from segue.prompts.lost import discover, pixels_of_patches
from segue.prompts.own_detectors import Finds, FunctionDetector
from segue.prompts.proposals import Detector as Detector
from segue.prompts.proposals import Rules, found_in, select
from segue.types import FeatureName, Image, Refinement, Segmentation
from segue.video.readers import FrameLike, as_frame

if TYPE_CHECKING:
    from segue.models.detection.mask_rcnn import Detections, MaskRCNN
    from segue.models.detection.nanodet import NanoDetPlus
    from segue.models.detection.pointrend import PointRend
    from segue.models.dino import DINO

SAME_OBJECT = 0.8  # IoU of boxes of different classes above which the weaker one is the same object again


class NetworkDetector:
    """Mask R-CNN or PointRend, in evaluation mode, and the name of each of its class numbers.

    Raises:
        PromptError: the rules ask for a class that the network does not know.
    """

    lookahead = 0

    def __init__(
        self,
        network: MaskRCNN | PointRend,
        names: Mapping[int, str],
        rules: Rules | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.names = names
        self.rules = (rules or Rules()).checked(names)
        self._device = device or torch.device("cpu")
        self._network = network.to(self._device)

    def __call__(self, frame: FrameLike, *_: FrameLike) -> Segmentation:
        frame = as_frame(frame)
        found = self.detections(frame.image)
        labels = [self.names.get(int(label), str(int(label))) for label in found.labels]
        return select(frame, found.masks.cpu().numpy(), found.scores.cpu().numpy(), labels, self.rules)

    @torch.inference_mode()
    def detections(self, image: Image) -> Detections:
        """Find objects in an image, before any rule is applied.

        Args:
            image: RGB (H, W, 3), uint8.

        Returns:
            Boxes in pixels, scores in [0, 1], class numbers and masks of all that the network finds.
        """
        found: Detections = self._network(as_planes(image).to(self._device)[0])
        return found


class BoxDetector(FunctionDetector):
    """NanoDet-Plus, in evaluation mode, and a prompter that makes masks of its boxes.

    For ``tiles`` see :meth:`segue.models.detection.nanodet.NanoDetPlus.detect`.

    Raises:
        PromptError: the rules ask for a class that the network does not know.
    """

    names: Mapping[int, str] = COCO_ORDER

    def __init__(
        self,
        network: NanoDetPlus,
        prompter: MakePrompter | None,
        rules: Rules | None = None,
        *,
        tiles: int = 1,
    ) -> None:
        super().__init__(network, prompter, rules, self.names)
        self.tiles, self._network = tiles, network

    def find(self, image: Image, least_score: float) -> Finds:
        with weights_apart(self._network):
            found = self._network.detect(image, least_score, self.tiles)
        found = type(found)(*(values.cpu() for values in found))
        if self.rules.classes is not None:
            wanted = [self.names[label] in self.rules.classes for label in found.labels.tolist()]
            found = found.take(torch.tensor(wanted, dtype=torch.bool))
        # An object that two classes claim, as car and truck do, is one object.
        one = found.take(suppress(found.boxes, found.scores, torch.zeros_like(found.labels), SAME_OBJECT))
        return one.boxes.numpy(), one.scores.numpy(), [self.names[i] for i in one.labels.tolist()], None


class SemanticDetector:
    """Connected regions of a class, by DeepLabV3.

    The score of an object is the mean probability of its class inside it.
    """

    names: Mapping[int, str] = dict(enumerate(VOC_NAMES[1:], start=1))
    lookahead = 0

    def __init__(
        self, network: DeepLabV3, rules: Rules | None = None, device: torch.device | None = None
    ) -> None:
        self.rules = (rules or Rules()).checked(self.names)
        self._device = device or torch.device("cpu")
        self._network = network.to(self._device)

    @torch.inference_mode()
    def __call__(self, frame: FrameLike, *_: FrameLike) -> Segmentation:
        from scipy import ndimage  # late, for a quick start

        frame = as_frame(frame)
        probabilities = self._network(as_planes(frame.image).to(self._device))[0].softmax(0).cpu().numpy()
        winner = probabilities.argmax(0)
        planes, scores, labels = [], [], []
        for label in np.unique(winner[winner > 0]).tolist():
            regions, count = ndimage.label(winner == label)
            for region in range(1, count + 1):
                plane = regions == region
                planes.append(plane.astype(np.float32))
                scores.append(float(probabilities[label][plane].mean()))
                labels.append(self.names[label])
        return select(frame, np.reshape(planes, (-1, *frame.size)), np.array(scores), labels, self.rules)


class DiscoveryDetector:
    """LOST: the object whose patches correlate least with the rest, refined to its edges.

    Args:
        network: gives a feature for each patch.
        which: keys, queries or values of the last attention.
        refine: ``crf`` as in the STCN report, or ``none``.
        device: where the network runs.
    """

    names: Mapping[int, str] = {}
    lookahead = 0

    def __init__(
        self,
        network: DINO,
        *,
        which: FeatureName = "keys",
        refine: Refinement = "crf",
        device: torch.device | None = None,
    ) -> None:
        check_choice("refine", refine, Literal["crf", "none"], PromptError)
        check_choice("features", which, FeatureName, PromptError)
        self.which, self.refine = which, refine
        self._device = device or torch.device("cpu")
        self._network = network.to(self._device)

    @torch.inference_mode()
    def __call__(self, frame: FrameLike, *_: FrameLike) -> Segmentation:
        """The most prominent object of a frame."""
        frame = as_frame(frame)
        features, grid = self._network.dense(as_planes(frame.image).to(self._device), self.which)
        rows = features[0].float().cpu().numpy()
        found = pixels_of_patches(discover(rows, grid), self._network.patch, frame.size)
        mask = found.astype(np.uint8)
        if self.refine == "crf":
            from segue.masks import dense_crf  # late, for a quick start

            mask = dense_crf.refine(mask, frame.image).astype(np.uint8)
        return found_in(frame, mask)


def as_planes(image: Image) -> Tensor:
    """Image (H, W, 3), uint8 → (1, 3, H, W), float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255
