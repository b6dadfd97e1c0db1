"""Networks by their class names, as users of PyTorch import them."""

from __future__ import annotations

import subprocess
import sys

import segue.models
from segue.registry import MODELS
from segue.weights.loading import Unfilled


def test_networks_of_the_catalogue_are_names_of_the_package() -> None:
    from segue.models import SAM2, STCN, Cutie, SeqFormer

    with Unfilled():
        built = {type(MODELS.find(name).build()) for name in ("stcn", "sam2-tiny", "cutie", "seqformer-r50")}
    assert built == {STCN, SAM2, Cutie, SeqFormer}
    assert {"STCN", "STM", "XMem", "MUSTAN2", "MSSTSVIS"} <= {*dir(segue.models)}


def test_listing_them_imports_no_network() -> None:
    code = "import sys, segue.models; dir(segue.models); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
