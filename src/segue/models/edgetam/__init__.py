"""EdgeTAM (arXiv 2501.07256): SAM 2 with a convolutional trunk and a memory of few rows."""

from segue.models.edgetam.network import EdgeTAM

__all__ = ["EdgeTAM"]
