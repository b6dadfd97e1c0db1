"""Tables of MUSTAN and HOFAM: what moves, on data that the networks have not seen."""

from __future__ import annotations

from collections.abc import Mapping

from segue.reproduce.tables import Row, Table, Training

MEASURES = {"F": "F", "recall": "Re", "precision": "Pr", "PWC": "PWC"}

BOTH = ("cdnet", "isd")


def _trained(name: str, network: str, data: tuple[str, ...], *options: str, folds: bool = False) -> Row:
    """A row of a network that is trained for it."""
    return Row(name, model=network, training=Training(network, data, options, folds))


def _fgsegnet(*, folds: bool, published: Mapping[str, float] | None = None) -> tuple[Row, Row]:
    """FgSegNet_v2 as one network of all films, from 200 and from 25 frames of each."""
    many, few = (Training("fgsegnet", ("cdnet",), ("--frames", count), folds) for count in ("200", "25"))
    return (
        Row("FgSegNet_v2, 200 frames", published or {}, "fgsegnet", training=many),
        Row("FgSegNet_v2, 25 frames", model="fgsegnet", training=few),
    )


def _ablation(name: str, title: str, dataset: str, *, folds: bool) -> Table:
    """The checks that the paper names, each against the first row."""
    rows = (
        _trained("MUSTAN2, three frames", "mustan2", BOTH, folds=folds),
        _trained("MUSTAN2 without refinement", "mustan2", BOTH, "--frm", "none", folds=folds),
        _trained("MUSTAN2, concatenation", "mustan2", BOTH, "--frm", "concat", folds=folds),
        _trained("MUSTAN2, five frames", "mustan2", BOTH, "--frames", "5", folds=folds),
        _trained("MUSTAN2, seven frames", "mustan2", BOTH, "--frames", "7", folds=folds),
        _trained("MUSTAN1, three frames", "mustan1", BOTH, folds=folds),
        _trained("MUSTAN1 without refinement", "mustan1", BOTH, "--frm", "none", folds=folds),
        _trained("MUSTAN2, CDnet only", "mustan2", ("cdnet",), folds=folds),
        _trained("MUSTAN2, ISD only", "mustan2", ("isd",)),
    )
    remark = "named by the paper as next steps, without numbers"
    return Table("mustan", name, title, dataset, MEASURES, rows, model="mustan2", remark=remark)


def _hofam(name: str, title: str, published: Mapping[str, float], columns: Mapping[str, str]) -> Table:
    """HOFAM as released, and the same trained on CDnet2014 without one of its parts."""

    def without(part: str, *options: str, network: str = "hofam") -> Row:
        return Row(part, model=network, training=Training("hofam", ("cdnet",), options))

    rows = (
        Row("HOFAM", published),
        without("HOFAM, trained here"),
        without("without attention", "--no-attention"),
        without("without class-in scale", "--class-in-scale", "as_run"),
        without("six scales of eight", "--levels", "6"),
        without("one flow (STAM)", "--flow-mode", "single", network="stam"),
    )
    remark = (
        "the README prints one row, of scenes of CDnet2014 that were trained on; of LASIESTA, of LIMU and of "
        "what each part brings it shows pictures alone"
    )
    return Table("hofam", name, title, name, columns, rows, model="hofam", remark=remark)


TABLES = (
    Table(
        "mustan",
        "sbi2015",
        "SBI2015, on which nothing was trained",
        "sbi",
        MEASURES,
        (
            Row("MUSTAN2, CDnet + ISD", {"F": 0.7933}, training=Training("mustan2", BOTH)),
            _trained("MUSTAN2, CDnet", "mustan2", ("cdnet",)),
            _trained("MUSTAN1, CDnet + ISD", "mustan1", BOTH),
            *_fgsegnet(folds=False, published={"F": 0.7595}),
            Row("mustan-lite", model="mustan-lite"),
        ),
        model="mustan2",
        remark="how the paper trained FgSegNet_v2 is not public (its 489 M values are 53 networks, one a "
        "scene); here it is one network of all films",
    ),
    Table(
        "mustan",
        "cdnet-unseen",
        "CDnet2014 in four folds: each video by a network that has not seen it",
        "cdnet",
        MEASURES,
        (
            Row("MUSTAN2, CDnet + ISD", training=Training("mustan2", BOTH, folds=True)),
            _trained("MUSTAN2, CDnet", "mustan2", ("cdnet",), folds=True),
            _trained("MUSTAN1, CDnet + ISD", "mustan1", BOTH, folds=True),
            *_fgsegnet(folds=True),
        ),
        model="mustan2",
        remark="the folds are ours (`cdnet-unseen`); the paper prints no such table",
    ),
    _ablation("ablation", "The paper's checks on SBI2015", "sbi", folds=False),
    _ablation("ablation-unseen", "The paper's checks on CDnet2014 in four folds", "cdnet", folds=True),
    _hofam(
        "hofam",
        "Composite pictures, counted as the released program does",
        {"Mean Dice": 0.9466, "recall": 0.9661, "precision": 0.9893, "F": 0.9776},
        {"Mean Dice": "Mean Dice", "recall": "Re", "precision": "Pr", "F": "F"},
    ),
    _hofam("lasiesta", "LASIESTA, unseen; static camera", {}, MEASURES),
    _hofam("limu", "LIMU, unseen", {}, MEASURES),
)
