"""Find the objects of an image without prompts: every way of it behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segue.errors import PromptError
from segue.inputs import check_choice
from segue.layers.running import weights_apart
from segue.models.base import MemoryNetwork
from segue.models.deeplab import VOC_NAMES, DeepLabV3
from segue.models.detection.boxes import suppress
from segue.models.detection.classes import COCO_ORDER
from segue.prompts.answers import MakePrompter
from segue.prompts.lost import discover, pixels_of_patches
from segue.prompts.own_detectors import Finds, FunctionDetector
from segue.prompts.proposals import Detector as Detector
from segue.prompts.selection import Found, Rules, found_in, select
from segue.types import FeatureName, Image, Refinement
from segue.video.readers import FrameLike, as_frame

if TYPE_CHECKING:
    from segue.models.detection.mask_rcnn import Detections, MaskRCNN
    from segue.models.detection.nanodet import NanoDetPlus
    from segue.models.detection.pointrend import PointRend

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

    def __call__(self, frame: FrameLike, *_: FrameLike) -> Found:
        found = self.detections(as_frame(frame).image)
        labels = [self.names.get(int(label), str(int(label))) for label in found.labels]
        return select(found.masks.cpu().numpy(), found.scores.cpu().numpy(), labels, self.rules)

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
    def __call__(self, frame: FrameLike, *_: FrameLike) -> Found:
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
        return select(np.reshape(planes, (-1, *frame.size)), np.array(scores), labels, self.rules)


class DenseFeatures(Protocol):
    """Features for object discovery on a grid of patches."""

    @property
    def patch(self) -> int:
        """Pixels of a patch in each direction."""

    def dense(self, images: Tensor, which: FeatureName = "keys") -> tuple[Tensor, tuple[int, int]]:
        """Compute features of an image on a grid of patches.

        Args:
            images: RGB (1, 3, H, W), float in [0, 1].
            which: keys, queries or values of the last attention.

        Returns:
            Features (1, N, d), row by row of the grid, and its rows and columns, whose product is N.
        """


@dataclass(frozen=True)
class FeatureMaps:
    """Dense features of any convolutional network."""

    maps: Callable[[Tensor], Tensor]
    """RGB (1, 3, H, W) in [0, 1] → features (1, d, H/patch, W/patch)."""

    patch: int
    """Pixels of a feature in each direction."""

    stride: int
    """The sides of its images are multiples of this, and this of ``patch``."""

    def dense(self, images: Tensor, which: FeatureName = "keys") -> tuple[Tensor, tuple[int, int]]:
        """Compute features of an image whose sides are filled up by repeating its border.

        Args:
            images: RGB (1, 3, H, W), float in [0, 1].
            which: must be ``keys``.

        Returns:
            Features (1, N, d), row by row of the grid, and its rows and columns, whose product is N.

        Raises:
            PromptError: queries or values are asked for, which only attention has.
        """
        if which != "keys":
            raise PromptError(
                f"there are no {which} among these features; choose a network with attention, as lost"
            )
        height, width = images.shape[-2:]
        padded = F.pad(images, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        rows, columns = -(-height // self.patch), -(-width // self.patch)
        features = self.maps(padded)[..., :rows, :columns]
        return features.flatten(2).transpose(1, 2), (rows, columns)


def key_features(network: MemoryNetwork) -> FeatureMaps:
    """The query keys of a memory network as dense features.

    Args:
        network: memory network such as STCN, on the device of the images.

    Returns:
        Dense features whose ``maps`` takes RGB (1, 3, H, W) in [0, 1] and returns the keys of the network,
        (1, Ck, h, w). Images are rounded to 8 bits first. One feature covers ``network.read_stride`` pixels
        in each direction.
    """

    def keys(images: Tensor) -> Tensor:
        pixels = (images[0] * 255).round().byte().permute(1, 2, 0)
        return network.encode_query(network.prepare(pixels)).key

    return FeatureMaps(keys, network.read_stride, network.stride)


class DiscoveryDetector:
    """LOST: the object whose patches correlate least with the rest, refined to its edges.

    Args:
        features: a network with dense features, such as :class:`segue.models.dino.DINO`.
        which: keys, queries or values of the last attention.
        max_objects: more than one is our extension of the paper.
        refine: ``crf`` as in the STCN report, or ``none``.
        centre: take the mean of the features away first, for networks whose features all agree.
        device: where the network runs.
    """

    names: Mapping[int, str] = {}
    lookahead = 0

    def __init__(
        self,
        features: DenseFeatures,
        *,
        which: FeatureName = "keys",
        max_objects: int = 1,
        refine: Refinement = "crf",
        centre: bool = False,
        device: torch.device | None = None,
    ) -> None:
        check_choice("refine", refine, Literal["crf", "none"], PromptError)
        check_choice("features", which, FeatureName, PromptError)
        self.which, self.max_objects, self.refine, self.centre = which, max_objects, refine, centre
        self._device = device or torch.device("cpu")
        self._features = features.to(self._device) if isinstance(features, nn.Module) else features

    @torch.inference_mode()
    def __call__(self, frame: FrameLike, *_: FrameLike) -> Found:
        """The objects of a frame, the most prominent first; scores say only the order."""
        frame = as_frame(frame)
        features, grid = self._features.dense(as_planes(frame.image).to(self._device), self.which)
        rows = features[0].float().cpu().numpy()
        if self.centre:
            rows = rows - rows.mean(0)
        mask = np.zeros(frame.size, np.uint8)
        for number, find in enumerate(discover(rows, grid, self.max_objects), start=1):
            mask[pixels_of_patches(find, self._features.patch, frame.size) & (mask == 0)] = number
        if self.refine == "crf":
            from segue.masks import dense_crf  # late, for a quick start

            mask = dense_crf.refine(mask, frame.image).astype(np.uint8)
        return found_in(mask)


def as_planes(image: Image) -> Tensor:
    """Image (H, W, 3), uint8 → (1, 3, H, W), float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255
