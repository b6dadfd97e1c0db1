"""Watch cameras: ``segue watch``, its page, and :class:`Watch` for programs."""

from typing import TYPE_CHECKING

from segue.utils.lazy import lazy_names

if TYPE_CHECKING:
    from segue_watch.watching import Watch as Watch

_MODULES = {"segue_watch.watching": "Watch"}

__all__ = [*" ".join(_MODULES.values()).split()]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
