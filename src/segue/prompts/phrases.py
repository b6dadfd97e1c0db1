"""Phrases such as "people" or "red cars", and the labels and colours that match them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from segue.errors import ArgumentError, PromptError
from segue.types import Image
from segue.utils.arrays import BoolArray, UInt8Array
from segue.utils.inputs import kind_of

ARTICLES = frozenset({"a", "an", "the", "all", "any", "every", "each", "some"})

COLOURS = (
    *("black", "grey", "white", "red", "orange", "yellow"),
    *("green", "blue", "purple", "pink", "brown"),
)
"""Colour words, in the order of the numbers of :func:`colour_numbers`."""

COLOUR_WORDS = {colour: colour for colour in COLOURS} | {"gray": "grey", "silver": "grey", "violet": "purple"}

ANYTHING = frozenset({"object", "thing", "anything", "everything"})
"""Nouns that fit every label."""

SYNONYMS = {
    "person": ("people", "human", "pedestrian"),
    "bicycle": ("bike", "cycle"),
    "car": ("automobile",),
    "motorcycle": ("motorbike",),
    "airplane": ("aeroplane", "plane", "aircraft"),
    "truck": ("lorry",),
    "boat": ("ship",),
    "dog": ("puppy",),
    "cat": ("kitten",),
    "cow": ("cattle",),
    "couch": ("sofa",),
    "potted plant": ("pottedplant", "houseplant"),
    "dining table": ("diningtable", "table"),
    "tv": ("television", "tvmonitor", "tv monitor"),
    "cell phone": ("phone", "mobile phone", "smartphone", "cellphone"),
    "refrigerator": ("fridge",),
    "hair drier": ("hair dryer", "hairdryer"),
    "donut": ("doughnut",),
    "sports ball": ("ball",),
    "backpack": ("rucksack",),
    "traffic light": ("traffic signal",),
}
"""Other words for a label."""

GROUPS = {
    "vehicle": ("bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"),
    "animal": ("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"),
}
"""Labels that belong to a noun."""

MIN_SHARE = 0.3
"""Share of an object's pixels in the colour of a phrase, unless it is the most frequent colour."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase of a text: label of results, noun, and an optional colour."""

    text: str
    noun: str
    colour: str | None = None

    def fits(self, label: str | None) -> bool:
        """Whether a label matches the phrase."""
        if self.noun in ANYTHING or label == self.text:
            return True
        if label is None:
            return False
        meanings = _meanings(self.noun).union(*(GROUPS.get(form, ()) for form in _forms(self.noun)))
        return not meanings.isdisjoint(_meanings(label))

    def has_colour(self, image: Image, mask: BoolArray) -> bool:
        """Whether an object, mask (H, W), in an RGB image (H, W, 3), uint8, has the phrase's colour."""
        if self.colour is None:
            return True
        counts = np.bincount(colour_numbers(image[mask]), minlength=len(COLOURS))
        matching = int(counts[COLOURS.index(self.colour)])
        return matching > 0 and matching >= min(int(counts.max()), MIN_SHARE * int(counts.sum()))


def parse_phrases(text: object) -> tuple[Phrase, ...]:
    """Split a text, or several, into phrases at commas.

    Full stops also separate them in a text that ends with one, as in "person. red car."
    """
    texts = [text] if isinstance(text, str) else text
    if not isinstance(texts, (list, tuple)) or not all(isinstance(item, str) for item in texts):
        raise ArgumentError(f"text: {kind_of(text)}; give phrases such as 'person' or ['person', 'red car']")
    parts = (re.split(r"[.,]" if item.rstrip().endswith(".") else ",", item) for item in texts)
    texts_of_phrases = [" ".join(part.split()) for each in parts for part in each if part.strip()]
    if not texts_of_phrases:
        raise PromptError("text: it is empty; give phrases such as 'person' or 'person, red car'")
    return tuple(_parse(item) for item in dict.fromkeys(texts_of_phrases))


def _parse(text: str) -> Phrase:
    words = text.lower().strip(" .!?").replace("-", " ").split()
    while words and words[0] in ARTICLES:
        del words[0]
    colour = COLOUR_WORDS.get(words[0]) if len(words) > 1 else None
    if colour is not None:
        del words[0]
    if not words:
        raise PromptError(f"text {text!r}: name what to look for, such as 'person' or 'red car'")
    noun = " ".join(words)
    return Phrase(text, next((form for form in _forms(noun) if form in ANYTHING), noun), colour)


def unmatched(phrases: Iterable[Phrase], names: Mapping[int, str]) -> list[Phrase]:
    """Phrases that match none of a detector's labels."""
    return [phrase for phrase in phrases if not any(phrase.fits(name) for name in names.values())]


def _forms(noun: str) -> Iterator[str]:
    """A noun and its possible singular forms."""
    yield noun
    for ending, singular in (("s", ""), ("es", ""), ("ies", "y"), ("ves", "fe"), ("mice", "mouse")):
        if noun.endswith(ending):
            yield noun.removesuffix(ending) + singular


@cache
def _meanings(noun: str) -> frozenset[str]:
    """Singular labels that a noun may mean."""
    forms = {*_forms(noun.lower().replace("-", " "))}
    labels = {label for label, words in SYNONYMS.items() if not forms.isdisjoint(words)}
    return frozenset(forms | labels)


def colour_numbers(pixels: UInt8Array) -> UInt8Array:
    """Index in :data:`COLOURS` for each pixel, RGB (N, 3); returns (N,)."""
    hue, saturation, value = np.moveaxis(cv2.cvtColor(pixels[None], cv2.COLOR_RGB2HSV)[0], -1, 0)
    # Hues of OpenCV are halved degrees; red begins anew at 172.
    bounds, colour_of_hue = (8, 20, 34, 85, 130, 150, 172), (3, 4, 5, 6, 7, 8, 9, 3)
    numbers: UInt8Array = np.array(colour_of_hue, np.uint8)[np.searchsorted(bounds, hue, side="right")]
    numbers[(numbers == 4) & (value < 160)] = COLOURS.index("brown")
    numbers[(numbers == 3) & (saturation < 130) & (value > 170)] = COLOURS.index("pink")
    plain = saturation < 50
    numbers[plain] = np.where(value[plain] > 170, COLOURS.index("white"), COLOURS.index("grey"))
    numbers[value < 50] = COLOURS.index("black")
    return numbers
