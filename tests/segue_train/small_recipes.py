"""Recipes of networks in the package, on images of 32 pixels a side."""

from __future__ import annotations

from segue_train.recipes.mustan_lite import MustanLiteRecipe
from segue_train.recipes.prompt import PromptRecipe


class SmallMustanLite(MustanLiteRecipe):
    """That of mustan-lite."""

    shown_size = (32, 32)


class SmallPrompt(PromptRecipe):
    """That of segue-prompt, two new samples and two corrected ones in a batch."""

    shapes = ((1.0, 32, 2 / 16, 4 / 16),)
