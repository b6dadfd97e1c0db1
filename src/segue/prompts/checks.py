"""Ids and sizes that fit, and what to say of those that do not."""

from __future__ import annotations

from collections.abc import Sequence

from segue.errors import PromptError
from segue.masks.files import MAX_ID


def check_id(id: int) -> int:
    """The id itself, if an index mask can hold it.

    Raises:
        PromptError: the id is not in 1..65535.
    """
    if not 1 <= id <= MAX_ID:
        raise PromptError(f"object id {id} is out of range; ids go from 1 to {MAX_ID}")
    return int(id)


def wrong_size(shape: Sequence[int], size: tuple[int, int]) -> str:
    """Text that tells both sizes as width x height."""
    return (
        f"the mask is {shape[1]}x{shape[0]} pixels, the frame {size[1]}x{size[0]}; "
        "use --fit (fit=True) to resize the mask"
    )
