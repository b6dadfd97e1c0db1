"""Packages that only some tests need: ``make dev`` leaves them out, ``make test`` installs all."""

from __future__ import annotations

from typing import Any

import pytest

HOW = {
    "axe_playwright_python": "--group browser",
    "fsspec": "'.[cluster]'",
    "huggingface_hub": "--group hub",
    "lightning_fabric": "'.[train]'",
    "moto": "--group storage",
    "OpenEXR": "'.[exr]'",
    "pydicom": "'.[dicom]'",
    "onnx": "'.[onnx]'",
    "onnxruntime": "'.[onnx]'",
    "playwright": "--group browser",
    "pymatting": "'.[matting]'",
    "ray": "'.[cluster]'",
    "s3fs": "'.[cluster]'",
    "tensorboard": "'.[train]'",
    "torchvision": "'.[hf]'",
    "transformers": "'.[hf]'",
}
"""What pip installs for each package that some tests need."""


def needs(module: str) -> Any:
    """A module, or a skip that names the line that installs it."""
    package = module.partition(".")[0]
    return pytest.importorskip(
        module,
        reason=f"{package} is missing: .venv/bin/pip install --constraint constraints.txt {HOW[package]}",
    )
