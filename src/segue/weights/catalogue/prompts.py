"""Networks for interactive segmentation with boxes and clicks."""

from __future__ import annotations

from segue.registry import Entry
from segue.utils.lazy import LazyCallable
from segue.weights.catalogue.terms import FREE, SEGUE_TERMS

ENTRIES = (
    Entry(
        name="segue-prompt",
        task="prompt",
        build=LazyCallable("segue.models.segue_prompt:SeguePrompt"),
        signature="prompt.0.conv.weight",
        paper="after Sofiiuk et al., ICIP 2022 (arXiv 2102.06583)",
        licence=SEGUE_TERMS,
        bundled="segue-prompt.safetensors",
        sha256="501076a85b67e6843b40d85a4c09301a26cf6c0f875b9fa0b4ebb2fdf3cb1c93",
        trained_by="prompt",
    ),
    Entry(
        name="segue-prompt-free",
        task="prompt",
        build=LazyCallable("segue.models.segue_prompt:SeguePrompt"),
        signature="prompt.0.conv.weight",
        paper="after Sofiiuk et al., ICIP 2022 (arXiv 2102.06583)",
        licence=FREE,
        commercial=True,
        bundled="segue-prompt-free.safetensors",
        sha256="0a830f7f9305c052b592a3f0ff58350eed8e37d6fe0518de9232d7bddc0e7b29",
        trained_by="prompt",
    ),
)
