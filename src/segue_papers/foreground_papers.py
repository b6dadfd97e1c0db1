"""Tables of MUSTAN and HOFAM with the published numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from segue.datasets.foreground.isd import TILTS
from segue_papers.tables import SIZE, Table, TableRow, Training

MEASURES = {"F": "F", "recall": "Re", "precision": "Pr", "PWC": "PWC"}

BY_SIZE = {f"F {size}": f"F {size}" for size in ("small", "medium", "large")}
"""F by the size of the objects, see :mod:`.object_sizes`: HOFAM's loss is to find small ones."""

BOTH = ("cdnet", "isd")

AS_IS = ("--without", "align,rain", "--short-side", "0")
"""Videos as MUSTAN sees them: no frame is aligned, no rain is removed, no image is reduced."""

AS_IS_256 = ("--without", "align,rain", "--short-side", "256")
"""Options for HOFAM: its input size, and unchanged frames."""

AS_SHIPPED = ("--without", "", "--short-side", "240")
"""Videos as segue shows them to its own networks."""

ISD_LIGHTS = ("day", "evening", "night", "mixed", "neon")
"""Lights of clips of `segue synth isd`."""

LISTED = ("--frame-list", "published")
"""Option for the frames of CDnet2014 that FgSegNet_v2 was trained on."""

RESNET18, VGG16 = "a ResNet-18 of ImageNet", "a VGG-16 of ImageNet"


def _mustan(
    name: str,
    network: str,
    data: tuple[str, ...],
    *options: str,
    folds: bool = False,
    published: Mapping[str, float] | None = None,
) -> TableRow:
    """A row of MUSTAN with its training."""
    training = Training(network, data, options, folds, pretrained=RESNET18)
    return TableRow(name, published or {}, network, training=training)


def _fgsegnet(*, folds: bool, published: Mapping[str, float] | None = None) -> tuple[TableRow, TableRow]:
    """Rows of FgSegNet_v2 as one network for all videos, from 200 and from 25 frames each."""
    many, few = (
        Training("fgsegnet", ("cdnet",), ("--frames", count, *LISTED), folds, pretrained=VGG16)
        for count in ("200", "25")
    )
    return (
        TableRow("FgSegNet_v2, 200 frames", published or {}, "fgsegnet", training=many),
        TableRow("FgSegNet_v2, 25 frames", model="fgsegnet", training=few),
    )


def _ablation(name: str, title: str, dataset: str, *, folds: bool) -> Table:
    """Ablations of the paper, each compared with the first row."""
    rows = (
        _mustan("MUSTAN2, three frames", "mustan2", BOTH, folds=folds),
        _mustan("MUSTAN2 without refinement", "mustan2", BOTH, "--frm", "none", folds=folds),
        _mustan("MUSTAN2 without RLIM", "mustan2", BOTH, "--no-rlim", folds=folds),
        _mustan("MUSTAN2, concatenation", "mustan2", BOTH, "--frm", "concat", folds=folds),
        _mustan("MUSTAN2, five frames", "mustan2", BOTH, "--frames", "5", folds=folds),
        _mustan("MUSTAN2, seven frames", "mustan2", BOTH, "--frames", "7", folds=folds),
        *(
            replace(
                _mustan(f"MUSTAN2, three frames in training, {text} here", "mustan2", BOTH, folds=folds),
                options=("--frames", count),
            )
            for text, count in (("five", "5"), ("seven", "7"))
        ),
        _mustan("MUSTAN1, three frames", "mustan1", BOTH, folds=folds),
        _mustan("MUSTAN1 without refinement", "mustan1", BOTH, "--frm", "none", folds=folds),
        *(
            _mustan(f"MUSTAN1, {n} scale{'s' * (n > 1)}", "mustan1", BOTH, "--scales", str(n), folds=folds)
            for n in (4, 3, 2, 1)
        ),
        *(
            _mustan(f"MUSTAN2, {n} scale{'s' * (n > 1)}", "mustan2", BOTH, "--scales", str(n), folds=folds)
            for n in (3, 2, 1)
        ),
        _mustan("MUSTAN2, CDnet only", "mustan2", ("cdnet",), folds=folds),
        _mustan("MUSTAN2, ISD only", "mustan2", ("isd",)),
    )
    remark = "named by the paper as next steps, or parts of its title, without numbers"
    return Table(
        "mustan", name, title, dataset, MEASURES, rows, "mustan2", remark=remark, options=AS_IS, sizes=True
    )


def _context() -> Table:
    """Open questions of the paper: number of frames, depth, camera motion."""
    rendered = ("isd",)
    return Table(
        "mustan",
        "context",
        "Open questions of the paper, in rooms never seen: frames, depth, normals, a moving camera",
        "isd",
        {
            "F": "F",
            "F still camera": "still/F",
            "F moving camera": "moving/F",
            **{f"F {light}": f"light {light}/F" for light in ISD_LIGHTS},
            **{f"F {tilt}": f"{tilt}/F" for tilt in TILTS},
        },
        (
            _mustan("three frames", "mustan2", rendered),
            _mustan("five frames", "mustan2", rendered, "--frames", "5"),
            _mustan("seven frames", "mustan2", rendered, "--frames", "7"),
            replace(
                _mustan("three frames and depth", "mustan2", rendered, "--depth"), options=("--depth", "own")
            ),
            _mustan("three frames, normals learnt, too", "mustan2", rendered, "--normals"),
            replace(
                _mustan("three frames, camera followed", "mustan2", rendered),
                options=("--follow-camera", "always"),
            ),
        ),
        model="mustan2",
        subset="test",
        remark="named by the paper as open, without numbers; trained on the part train of clips of `segue "
        "synth isd`, tested on kinds of rooms that it never shows; `python -m benchmarks.speed.foreground "
        "--models mustan2=FILE --peers '' --video ISD/test/CLIP/input` measures time and memory of a network",
        options=AS_IS,
        sizes=True,
    )


_COMPARED = tuple(
    TableRow(
        name,
        model=network,
        training=Training(
            "semantic", ("cdnet",), ("--architecture", network), pretrained="a ResNet-50 of ImageNet"
        ),
    )
    for name, network in (("PSPNet", "pspnet"), ("DeepLabV3+", "deeplabv3plus"))
)
"""Networks of single frames, with which the README of HOFAM compares images."""


def _hofam(name: str, title: str, published: Mapping[str, float], columns: Mapping[str, str]) -> Table:
    """HOFAM as released, and trained on CDnet2014 without one of its parts."""

    def without(part: str, *options: str, network: str = "hofam") -> TableRow:
        return TableRow(part, model=network, training=Training("hofam", ("cdnet",), options))

    rows = (
        TableRow("HOFAM", published),
        without("HOFAM, trained here"),
        without("without attention", "--no-attention"),
        without("without class-in scale", "--class-in-scale", "as_run"),
        without("six scales of eight", "--levels", "6"),
        without("one flow (STAM)", "--flow-mode", "single", network="stam"),
        *(_COMPARED if name != "hofam" else ()),
    )
    remark = (
        "the README prints one row, of scenes of CDnet2014 that were trained on; of LASIESTA, of LIMU and of "
        "what each part brings it shows images alone, also of PSPNet and DeepLabV3+: here those of "
        "segmentation_models_pytorch, trained on the same images; the release has flow of SelFlow, whose "
        "files are read (--run '--flow FOLDER'), without them it is DIS; strips: added green, missed orange, "
        "which the README draws red"
    )
    return Table(
        "hofam",
        name,
        title,
        name,
        {**columns, **BY_SIZE},
        rows,
        model="hofam",
        remark=remark,
        options=AS_IS_256,
        strip=None if name == "hofam" else "errors",
    )


def _plug_in(name: str, title: str, dataset: str) -> Table:
    """HOFAM's parts in mustan-lite, fine-tuned from our weights with equal steps and data."""

    def trained(part: str, *options: str) -> TableRow:
        start = ("--samples", "0", "--start", "shipped")
        return TableRow(
            part, model="mustan-lite", training=Training("mustan-lite", ("cdnet",), (*start, *options))
        )

    flow, scale = ("--flow", "dis"), ("--class-in-scale", "always")
    rows = (
        TableRow("mustan-lite, as shipped", model="mustan-lite"),
        trained("mustan-lite, trained on"),
        trained("with class-in scale", *scale),
        trained("with flow, without attention", *flow, "--no-flow-attention"),
        trained("with flow and attention", *flow),
        trained("with flow, attention and class-in scale", *flow, *scale),
    )
    remark = (
        "the README says that the parts can be plugged into any network, and prints no numbers; which "
        "network is our choice, and the flow is to 3 and 6 frames before, which mustan-lite sees already"
    )
    return Table(
        "hofam",
        name,
        title,
        dataset,
        {**MEASURES, **BY_SIZE},
        rows,
        model="mustan-lite",
        remark=remark,
        options=AS_SHIPPED,
    )


FOREGROUND: tuple[Table, ...] = (
    Table(
        "mustan",
        "sbi2015",
        "SBI2015, on which nothing was trained",
        "sbi",
        MEASURES,
        (
            _mustan("MUSTAN2, CDnet + ISD", "mustan2", BOTH, published={"F": 0.7933, SIZE: 40.85}),
            _mustan("MUSTAN2, CDnet", "mustan2", ("cdnet",)),
            _mustan("MUSTAN2, CDnet, 200 frames", "mustan2", ("cdnet",), *LISTED),
            _mustan("MUSTAN1, CDnet + ISD", "mustan1", BOTH),
            *_fgsegnet(folds=False, published={"F": 0.7595, SIZE: 489}),
            TableRow("mustan-lite", model="mustan-lite"),
            TableRow("mustan-lite, as shipped", model="mustan-lite", options=AS_SHIPPED),
        ),
        model="mustan2",
        remark="how the paper trained FgSegNet_v2 is not public (its 489 M values are 53 networks, one a "
        "scene); here it is one network of all videos",
        options=AS_IS,
        sizes=True,
    ),
    Table(
        "mustan",
        "cdnet-unseen",
        "CDnet2014 in four folds: each video by a network that has not seen it",
        "cdnet",
        MEASURES,
        (
            _mustan("MUSTAN2, CDnet + ISD", "mustan2", BOTH, folds=True),
            _mustan("MUSTAN2, CDnet", "mustan2", ("cdnet",), folds=True),
            _mustan("MUSTAN2, CDnet, 200 frames", "mustan2", ("cdnet",), *LISTED, folds=True),
            _mustan("MUSTAN1, CDnet + ISD", "mustan1", BOTH, folds=True),
            *_fgsegnet(folds=True),
        ),
        model="mustan2",
        remark="the folds are ours (`cdnet-unseen`); the paper prints no such table",
        options=AS_IS,
        sizes=True,
    ),
    _context(),
    _ablation("ablation", "The paper's checks on SBI2015", "sbi", folds=False),
    _ablation("ablation-unseen", "The paper's checks on CDnet2014 in four folds", "cdnet", folds=True),
    _hofam(
        "hofam",
        "Composite images, counted as the released program does",
        {"Mean Dice": 0.9466, "recall": 0.9661, "precision": 0.9893, "F": 0.9776},
        {"Mean Dice": "Mean Dice", "recall": "Re", "precision": "Pr", "F": "F"},
    ),
    _hofam("lasiesta", "LASIESTA, unseen; static camera", {}, MEASURES),
    _hofam("limu", "LIMU, unseen", {}, MEASURES),
    _plug_in("plug-in", "HOFAM's parts in mustan-lite, LASIESTA, unseen; static camera", "lasiesta"),
    _plug_in("plug-in-sbi2015", "HOFAM's parts in mustan-lite, SBI2015, unseen", "sbi"),
)
"""All of them, paper by paper."""
