"""Commands are made of models of options."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import typer
from typer.testing import CliRunner

from segue.cli.options import Options, Values, command
from segue.options import FilePath, OptionModel, option


class Cut(OptionModel):
    """Where it is cut."""

    every: int | None = option(None, "Source", ge=1)
    """Cut after so many frames.  [default: never]"""


class Bread(OptionModel):
    """A loaf of bread."""

    flour: str = option(argument=True)
    """Kind of flour."""

    grams: int = option(500, "Output", "weight,w", ge=100, le=2000)
    """Weight in grams."""

    seeds: tuple[str, ...] = option(())
    """Seeds on the crust; may be given several times."""

    crust: Literal["thin", "thick"] = option("thin")
    """How the crust is."""

    salt: bool = option(True)
    """With salt."""

    form: FilePath | None = option(None)
    """File with the form."""

    baker: str = ""
    """Who bakes it; commands do not ask."""

    cut: Cut | None = None


def typed(options: Options, *words: str) -> Any:
    """What a command is given of the words of a command line, or what it says of them."""
    given: list[Values] = []

    def bake(fields: Values) -> None:
        """Bake bread."""
        given.append(fields)

    app = typer.Typer(rich_markup_mode="markdown")
    app.command()(command(bake, options))
    run = CliRunner().invoke(app, [*words], env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    return given[0] if given else run.output


def test_a_command_is_given_what_is_typed_nested_as_the_model_takes_it() -> None:
    plain = typed(Options(Bread), "rye")
    assert plain == {"flour": "rye", "grams": 500, "crust": "thin", "salt": True}
    assert Bread(**plain) == Bread(flour="rye")
    words = ["rye", "-w", "750", "--seeds", "poppy", "--seeds", "flax", "--no-salt", "--every", "3"]
    bread = Bread(**typed(Options(Bread), *words, "--form", "a.svg", "--crust", "thick"))
    assert bread == Bread(
        flour="rye", grams=750, seeds=("poppy", "flax"), crust="thick", salt=False, form=Path("a.svg"),
        cut=Cut(every=3),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["rye", "--weight", "99"], "--weight"),
        (["rye", "--weight", "2001"], "--weight"),
        (["rye", "--crust", "none"], "--crust"),
        (["rye", "--every", "0"], "--every"),
        (["rye", "--baker", "me"], "--baker"),
        ([], "flour"),
    ],
)
def test_options_refuse_invalid_values_of_their_fields(words: list[str], wrong: str) -> None:
    assert wrong in typed(Options(Bread), *words)


def test_the_help_says_what_the_fields_say() -> None:
    text = typed(Options(Bread), "--help")
    for said in (
        "Weight in grams.",
        "How the crust is.",
        "[default: never]",
        "Kind of flour.",
        "100<=x<=2000",
    ):
        assert said in text
    assert "Who bakes it" not in text


def test_a_command_may_offer_some_options_with_other_defaults_and_help() -> None:
    some = Options(Bread, only=["flour", "grams", "cut.every"], defaults={"grams": 800, "cut.every": 4})
    assert typed(some, "rye") == {"flour": "rye", "grams": 800, "cut": {"every": 4}}
    required = Options(Bread, without=["flour", "cut.every"], defaults={"form": ...})
    assert "--form" in typed(required)
    assert typed(required, "--form", "a")["form"] == Path("a")
    assert "--every" not in typed(required, "--help")
    assert "Weight of the dough." in typed(Options(Bread, help={"grams": "Weight of the dough."}), "--help")
