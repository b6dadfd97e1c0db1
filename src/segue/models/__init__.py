"""Networks of papers, one module each; tensors in, tensors out."""

from typing import TYPE_CHECKING

from segue.utils.lazy import lazy_names

if TYPE_CHECKING:
    from segue.models.cutie.network import Cutie as Cutie
    from segue.models.deeplab import DeepLabV3 as DeepLabV3
    from segue.models.detection.mask_rcnn import MaskRCNN as MaskRCNN
    from segue.models.detection.nanodet import NanoDetPlus as NanoDetPlus
    from segue.models.detection.pointrend import PointRend as PointRend
    from segue.models.dino import DINO as DINO
    from segue.models.edgetam.network import EdgeTAM as EdgeTAM
    from segue.models.fgsegnet import FgSegNetV2 as FgSegNetV2
    from segue.models.hofam import HOFAM as HOFAM
    from segue.models.msstsvis.lite import MSSTSVISLite as MSSTSVISLite
    from segue.models.msstsvis.network import MSSTSVIS as MSSTSVIS
    from segue.models.mustan import MUSTAN1 as MUSTAN1
    from segue.models.mustan import MUSTAN2 as MUSTAN2
    from segue.models.mustan_lite import MustanLite as MustanLite
    from segue.models.sam2.network import SAM2 as SAM2
    from segue.models.segue_prompt import SeguePrompt as SeguePrompt
    from segue.models.seqformer.network import SeqFormer as SeqFormer
    from segue.models.stcn import STCN as STCN
    from segue.models.stcn import STCNLite as STCNLite
    from segue.models.stm import STM as STM
    from segue.models.xmem import XMem as XMem

_MODULES = {
    "segue.models.cutie.network": "Cutie",
    "segue.models.deeplab": "DeepLabV3",
    "segue.models.detection.mask_rcnn": "MaskRCNN",
    "segue.models.detection.nanodet": "NanoDetPlus",
    "segue.models.detection.pointrend": "PointRend",
    "segue.models.dino": "DINO",
    "segue.models.edgetam.network": "EdgeTAM",
    "segue.models.fgsegnet": "FgSegNetV2",
    "segue.models.hofam": "HOFAM",
    "segue.models.msstsvis.lite": "MSSTSVISLite",
    "segue.models.msstsvis.network": "MSSTSVIS",
    "segue.models.mustan": "MUSTAN1 MUSTAN2",
    "segue.models.mustan_lite": "MustanLite",
    "segue.models.sam2.network": "SAM2",
    "segue.models.segue_prompt": "SeguePrompt",
    "segue.models.seqformer.network": "SeqFormer",
    "segue.models.stcn": "STCN STCNLite",
    "segue.models.stm": "STM",
    "segue.models.xmem": "XMem",
}

__all__ = [*" ".join(_MODULES.values()).split()]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
