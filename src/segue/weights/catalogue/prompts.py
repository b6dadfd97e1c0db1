"""Networks that make masks of boxes and clicks."""

from __future__ import annotations

from segue.lazy import LazyCallable
from segue.registry import Entry
from segue.weights.catalogue.terms import FREE, OWN

ENTRIES = (
    Entry(
        name="segue-prompt",
        task="prompt",
        build=LazyCallable("segue.models.segue_prompt:SeguePrompt"),
        signature="prompt.0.conv.weight",
        paper="after Sofiiuk et al., ICIP 2022 (arXiv 2102.06583)",
        licence=OWN,
        bundled="segue-prompt.safetensors",
        sha256="a241bf96058d5ba75f4205d6c10118580c6f776cb4794d693d2c37173260357c",
        trained_by="prompt",
    ),
    Entry(
        name="segue-prompt-free",
        task="prompt",
        build=LazyCallable("segue.models.segue_prompt:SeguePrompt"),
        signature="prompt.0.conv.weight",
        paper="after Sofiiuk et al., ICIP 2022 (arXiv 2102.06583)",
        licence=FREE,
        bundled="segue-prompt-free.safetensors",
        sha256="8a4cd7d1f193027c4d1e82abe3bdee6311c3fb4e15d4866c49784bc6f4e4fcf4",
        trained_by="prompt",
    ),
)
