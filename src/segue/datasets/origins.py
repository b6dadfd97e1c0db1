"""Where data sets come from; segue downloads none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["davis", "ytvos", "ytvis", "ovis", "cdnet", "isd", "sbi", "lasiesta", "limu"]
"""Data sets whose published layout is known."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A data set as its makers publish it.

    Attributes:
        title: its name.
        address: its page.
        licence: what is known of its terms.
        layout: files that show that a folder holds it.
    """

    title: str
    address: str
    licence: str
    layout: str


ORIGINS: Mapping[Kind, Origin] = {
    "davis": Origin(
        "DAVIS 2016 and 2017",
        "https://davischallenge.org",
        "CC BY-NC 4.0 in its terms of use; the films have terms of their own",
        "JPEGImages/480p/<sequence>, Annotations/480p/<sequence>, ImageSets/<year>",
    ),
    "ytvos": Origin(
        "YouTube-VOS",
        "https://youtube-vos.org/dataset/vos/",
        "terms on its page; registration needed",
        "<part>/meta.json, <part>/JPEGImages/<video>, <part>/Annotations/<video>",
    ),
    "ytvis": Origin(
        "YouTube-VIS",
        "https://youtube-vos.org/dataset/vis/",
        "terms on its page; registration needed",
        "<split>.json or <split>/instances.json, <split>/JPEGImages/<video>",
    ),
    "ovis": Origin(
        "OVIS",
        "https://songbai.site/ovis/",
        "terms on its page",
        "annotations_<split>.json, <split>/<video>, in a folder named ovis",
    ),
    "cdnet": Origin(
        "CDnet2014",
        "http://changedetection.net",
        "no licence stated; for research, with a citation of Wang et al. 2014",
        "[dataset/]<category>/<video>/input, groundtruth, ROI.bmp, temporalROI.txt",
    ),
    "isd": Origin(
        "synthetic scenes of segue (ISD)",
        "made by `segue synth`",
        "yours",
        "index.csv, <split>/<scene>/input, groundtruth, ROI.bmp, temporalROI.txt",
    ),
    "sbi": Origin(
        "SBI2015",
        "https://sbmi2015.na.icar.cnr.it/SBIdataset.html (frames), "
        "https://github.com/lim-anggun/FgSegNet_v2 (masks)",
        "terms on its pages; cite Maddalena and Petrosino 2015, Lim and Keles 2020",
        "<scene>/input, <scene>/groundtruth",
    ),
    "lasiesta": Origin(
        "LASIESTA",
        "https://www.gti.ssr.upm.es/data/lasiesta_database.html",
        "terms on its page; cite Cuevas et al. 2016",
        "I_SI_01/*.bmp, I_SI_01-GT/*.png",
    ),
    "limu": Origin(
        "LIMU",
        "https://limu.ait.kyushu-u.ac.jp/dataset/en/",
        "terms on its page",
        "<video>/input, <video>/groundtruth, or as a manifest says",
    ),
}
"""By kind."""
